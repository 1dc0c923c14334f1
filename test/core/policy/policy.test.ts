import { readFileSync } from 'node:fs'
import t from 'tap'
import { parseConfig } from '../../../src/config.ts'
import { LOCAL_ADMIN, localAgent } from '../../../src/core/access/local-principals.ts'
import type { Principal } from '../../../src/core/access/principal.ts'
import { Accounts } from '../../../src/core/policy/accounts.ts'
import { Policy } from '../../../src/core/policy/policy.ts'
import type { PolicyRules } from '../../../src/core/policy/subject.ts'
import { POLICY_SWITCHES } from '../../../src/protocol/policy.ts'

const { policy: defaults } = parseConfig('', 'test')
const FILE = '/etc/supervisor-agent/config.yaml'
const agent = localAgent({ localScopes: ['read'], localPrograms: ['*'], localUsers: [] })
const remote: Principal = { ...agent, actor: 'token:a', isRemote: true }

function policyOf(rules: Partial<PolicyRules> = {}): Policy {
  const supervisord = async () => ({ uid: 0, searchPath: null })
  return new Policy({ rules: { ...defaults, ...rules }, file: FILE, supervisord })
}

const ON_BY_DEFAULT = new Set(['allowRemoteProgram', 'allowRemoteCron'])
for (const rule of POLICY_SWITCHES)
  await t.test(`${rule} binds all but admin.sock`, async (t) => {
    for (const isOn of [true, false, undefined]) {
      const policy = policyOf(isOn === undefined ? {} : { [rule]: isOn })
      const call = { kind: 'call', method: 'a.b', mutating: true, switches: [rule] } as const
      const isAllowed = isOn ?? ON_BY_DEFAULT.has(rule)
      for (const principal of [agent, remote]) {
        const verdict = await policy.judge(call, principal)
        t.equal(verdict.allowed, isAllowed)
        t.match(
          verdict.violations,
          isAllowed ? [] : [{ code: 'POLICY_DENIED', rule: `policy.${rule}`, text: /a\.b/ }],
        )
      }
      const above = await policy.judge(call, LOCAL_ADMIN)
      t.equal(above.allowed, true, 'admin.sock stands above it')
      t.equal(above.violations.length, isAllowed ? 0 : 1, 'and is told')
    }
  })

await t.test('a read-only host refuses what changes something, and says what to change where', async (t) => {
  const policy = policyOf({ readOnly: true })
  const call = { kind: 'call', method: 'process.stop', switches: [] } as const
  for (const principal of [agent, remote]) {
    t.equal((await policy.judge({ ...call, mutating: false }, principal)).allowed, true)
    const judging = policy.judge({ ...call, mutating: true }, principal)
    await t.rejects(policy.enforce(judging), {
      code: 'POLICY_DENIED',
      message: /process\.stop.*policy\.readOnly in \/etc\/supervisor-agent\/config\.yaml/,
      facts: { rule: 'policy.readOnly' },
    })
  }
  await policy.enforce(policy.judge({ ...call, mutating: true }, LOCAL_ADMIN))
})

await t.test('the digest changes with every rule, and only with the rules', async (t) => {
  const { digest } = policyOf()
  t.match(digest, /^[0-9a-f]{16}$/)
  t.equal(policyOf({}).digest, digest)
  for (const [rule, value] of Object.entries(defaults)) {
    const other = typeof value === 'boolean' ? !value : Array.isArray(value) ? [...value, '/x'] : `${value}1`
    t.not(policyOf({ [rule]: other }).digest, digest, rule)
  }
})

await t.test('users that nobody has are asked for a few at a time, and once', async (t) => {
  const accounts = new Accounts({ file: '/dev/null' })
  const children = () => readFileSync(`/proc/self/task/${process.pid}/children`, 'utf8').split(' ').length - 1
  const before = children()
  let most = 0
  const names = Array.from({ length: 24 }, (_, index) => `nobody-has-${index % 12}`)
  const ask = async () => await Promise.all(names.map((name) => accounts.find(name)))
  const watch = setInterval(() => (most = Math.max(most, children() - before)), 1)
  const startedMs = performance.now()
  t.same(await ask(), Array<null>(24).fill(null))
  t.ok(most >= 1 && most <= 4, `${most} at once`)
  most = 0
  await ask()
  clearInterval(watch)
  t.ok(performance.now() - startedMs > 4_000 || most === 0, `${most} when they are asked for again`)
})
