import t from 'tap'
import { parseConfig } from '../../../src/config.ts'
import { LOCAL_ADMIN, localAgent } from '../../../src/core/access/local-principals.ts'
import type { Principal } from '../../../src/core/access/principal.ts'
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
