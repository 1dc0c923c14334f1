// The judge on cron entries.
import t from 'tap'
import { LOCAL_ADMIN } from '../../../src/core/access/local-principals.ts'
import type { PolicyRules } from '../../../src/core/policy/subject.ts'
import { DEPLOYER, PolicyHost, rulesOf } from './support.ts'

const entry = { user: 'www-data', schedule: '*/5 * * * *', command: '/usr/bin/env' }

await t.test('users, @reboot, and how many', async (t) => {
  const host = new PolicyHost(t)
  const rows: { entry?: object; count?: number; rules?: Partial<PolicyRules>; against: string[] }[] = [
    { against: [] },
    { entry: { user: 'deploy' }, against: ['policy.users'] },
    { entry: { user: 'root' }, against: ['policy.allowRoot'] },
    { entry: { user: 'toor' }, against: ['policy.allowRoot'] },
    { entry: { schedule: '@reboot' }, against: ['policy.allowReboot'] },
    { entry: { schedule: ' @REBOOT ' }, against: ['policy.allowReboot'] },
    { entry: { schedule: '@reboot' }, rules: { allowReboot: true }, against: [] },
    { entry: { schedule: '@daily' }, against: [] },
    { count: 3, rules: { maxCronEntries: 3 }, against: [] },
    { count: 4, rules: { maxCronEntries: 3 }, against: ['policy.maxCronEntries'] },
    { count: 1, rules: { maxCronEntries: 0 }, against: ['policy.maxCronEntries'] },
  ]
  for (const { entry: more, count, rules, against } of rows) {
    const subject = { kind: 'cron', entry: { ...entry, ...more }, ...(count ? { count } : {}) } as const
    const name = JSON.stringify({ ...more, count, ...rules })
    t.same(rulesOf(await host.policy(rules).judge(subject, DEPLOYER)), against, name)
    const above = await host.policy(rules).judge(subject, LOCAL_ADMIN)
    t.equal(above.allowed, true)
    t.same(rulesOf(above), against)
  }
  const mine = await host.policy().judge({ kind: 'cron', entry }, { ...DEPLOYER, users: ['deploy'] })
  t.same(rulesOf(mine), ['token.users'])
})

await t.test('executables: a plain command by its own, a line with shell syntax by the shell', async (t) => {
  const host = new PolicyHost(t)
  const tool = host.script('bin/tool')
  const E = ['policy.executables']
  const plain = { executables: [host.bin] }
  const shell = { executables: [host.bin, '/bin/sh', '/usr/bin'] }
  const rows: { command: string; plain: string[]; shell: string[] }[] = [
    { command: `${tool} -a`, plain: [], shell: [] },
    { command: '/opt/evil', plain: E, shell: E },
    { command: '/etc/passwd', plain: E, shell: E },
    { command: `cd / && ${tool}`, plain: E, shell: [] },
    { command: `${tool} >> /tmp/x 2>&1`, plain: E, shell: [] },
    { command: `${tool} $(id)`, plain: E, shell: [] },
    { command: `${tool} \`id\``, plain: E, shell: [] },
    { command: `A=1 ${tool}`, plain: E, shell: [] },
    { command: `${tool}\n/opt/evil`, plain: E, shell: [] },
    { command: '/opt/evil; true', plain: [...E, ...E], shell: E },
    { command: 'env -i', plain: E, shell: [] },
    { command: 'no-such-tool', plain: E, shell: E },
    { command: '', plain: E, shell: E },
    { command: `${tool}\0`, plain: E, shell: E },
    { command: `${tool}\r`, plain: E, shell: E },
  ]
  for (const { command, ...expected } of rows)
    for (const [kind, rules] of Object.entries({ plain, shell })) {
      const verdict = await host.policy(rules).judge({ kind: 'cron', entry: { ...entry, command } }, DEPLOYER)
      const against = kind === 'plain' ? expected.plain : expected.shell
      t.same(rulesOf(verdict), against, `${JSON.stringify(command)} with ${kind}`)
    }
  const short = await host.policy().judge({ kind: 'cron', entry: { ...entry, command: 'env -i' } }, DEPLOYER)
  t.match(short.resolved?.command, /^(\/usr)?\/bin\/env -i$/, 'written absolute')
})

await t.test('no wildcard of a pattern lets shell syntax in', async (t) => {
  const host = new PolicyHost(t)
  const policy = host.policy({ commands: ['/usr/bin/env *', 'cd /srv && /usr/bin/env *'] })
  for (const [command, isAllowed] of [
    ['/usr/bin/env a b --c=*', true],
    ['cd /srv && /usr/bin/env x', true],
    ['/usr/bin/env a; /usr/bin/id', false],
    ['/usr/bin/env a && b', false],
    ['/usr/bin/env a | b', false],
    ['/usr/bin/env $(id)', false],
    ['/usr/bin/env `id`', false],
    ['/usr/bin/env a > /tmp/x', false],
    ['/usr/bin/env a\n/usr/bin/id', false],
    ['cd /srv && /usr/bin/env x && id', false],
  ] as const) {
    const verdict = await policy.judge({ kind: 'cron', entry: { ...entry, command } }, DEPLOYER)
    t.same(rulesOf(verdict), isAllowed ? [] : ['policy.commands'], command)
  }
})
