import t from 'tap'
import { parseConfig } from '../../../src/config.ts'
import { LOCAL_ADMIN, localAgent } from '../../../src/core/access/local-principals.ts'
import { Policy } from '../../../src/core/access/policy.ts'
import { mayUseProgram, type Principal, seesAllPrograms } from '../../../src/core/access/principal.ts'

const { policy: defaults } = parseConfig('', 'test')
const agent = localAgent({ localScopes: ['read'], localPrograms: ['*'], localUsers: [] })
const remote: Principal = { ...agent, actor: 'token:a', isRemote: true }

const switches = [
  { rule: 'allowStdin', byDefault: false },
  { rule: 'allowSupervisorShutdown', byDefault: false },
  { rule: 'allowRemoteTokens', byDefault: false },
  { rule: 'allowRemoteProgram', byDefault: true },
  { rule: 'allowRemoteCron', byDefault: true },
] as const
for (const { rule, byDefault } of switches)
  await t.test(`${rule} is ${byDefault ? 'on' : 'off'} unless the config says otherwise`, async (t) => {
    for (const isOn of [true, false, undefined]) {
      const policy = new Policy({ ...defaults, ...(isOn === undefined ? {} : { [rule]: isOn }) })
      for (const principal of [agent, remote]) {
        const ask = () => policy.assertAllowed(principal, rule)
        if (isOn ?? byDefault) t.doesNotThrow(ask)
        else t.throws(ask, { code: 'POLICY_DENIED', facts: { rule: `policy.${rule}` } })
      }
      t.doesNotThrow(() => policy.assertAllowed(LOCAL_ADMIN, rule), 'admin.sock stands above it')
    }
  })

await t.test('a read-only host refuses all but admin.sock, by name of the method', async (t) => {
  const [open, closed] = [new Policy(defaults), new Policy({ ...defaults, readOnly: true })]
  for (const principal of [agent, remote]) {
    t.doesNotThrow(() => open.assertWritable(principal, 'process.stop'))
    t.throws(() => closed.assertWritable(principal, 'process.stop'), {
      code: 'POLICY_DENIED',
      message: /process\.stop/,
      facts: { rule: 'policy.readOnly' },
    })
  }
  t.doesNotThrow(() => closed.assertWritable(LOCAL_ADMIN, 'process.stop'))
})

await t.test('the digest changes with every rule, and only with the rules', async (t) => {
  const digest = new Policy(defaults).digest
  t.match(digest, /^[0-9a-f]{16}$/)
  t.equal(new Policy({ ...defaults }).digest, digest)
  for (const [rule, value] of Object.entries(defaults)) {
    const other = typeof value === 'boolean' ? !value : Array.isArray(value) ? [...value, '/x'] : `${value}1`
    t.not(new Policy({ ...defaults, [rule]: other }).digest, digest, rule)
  }
})

await t.test('programs of a principal', async (t) => {
  const rows = [
    { programs: ['*'], sees: ['web', 'xweb-1'], all: true },
    { programs: ['web-*'], sees: ['web-1'], all: false },
    { programs: ['web-*', 'db'], sees: ['web-1', 'db'], all: false },
    { programs: ['**'], sees: ['web', 'xweb-1'], all: false },
    { programs: [], sees: [], all: false },
  ]
  for (const { programs, sees, all } of rows) {
    const principal = { ...agent, programs }
    const test = mayUseProgram(principal)
    for (const program of ['web', 'web-1', 'xweb-1', 'db'])
      t.equal(
        test(program),
        all || programs.includes('**') || sees.includes(program),
        `${programs.join()} on ${program}`,
      )
    t.equal(seesAllPrograms(principal), all)
  }
})
