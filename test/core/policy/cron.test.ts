// The judge on cron entries.
import { spawnSync } from 'node:child_process'
import { chownSync, renameSync, symlinkSync } from 'node:fs'
import * as fc from 'fast-check'
import t from 'tap'
import { LOCAL_ADMIN } from '../../../src/core/access/local-principals.ts'
import { shellLine } from '../../../src/core/policy/shell-line.ts'
import type { PolicyRules } from '../../../src/core/policy/subject.ts'
import { DEPLOYER, NOT_ROOT, PolicyHost, rulesOf } from './support.ts'

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

/** A host with an interpreter that says where it is, what it is given, and nothing else. */
function scripted(t: Scope) {
  const host = new PolicyHost(t)
  const php = host.file('bin/php', '#!/bin/sh\necho "$(pwd -P)|$*|$A"\n', 0o755)
  const artisan = host.file('app/artisan')
  const outside = host.file('other/artisan')
  const rules = { executables: [host.bin, '/usr/bin', '/bin'], directories: [host.app] }
  return { host, php, artisan, outside, rules, app: host.app }
}

interface Scope {
  teardown(undo: () => unknown): void
}

await t.test('with roots of directories, a line is one command whose script lies in them', async (t) => {
  const { host, php, artisan, outside, rules, app } = scripted(t)
  host.file('app/bin/console', '#!/bin/sh\necho console $*\n', 0o755)
  symlinkSync(outside, host.path('app/way-out'))
  symlinkSync(host.dir('elsewhere'), host.path('app/link'))
  host.file('app/12')
  const D = ['policy.directories']
  const run = `${php} artisan schedule:run`
  const said = `${app}|artisan schedule:run|`
  const rows: { command: string; against?: string[]; becomes?: string; says?: string }[] = [
    { command: `${php} ${artisan} a`, says: `|${artisan} a|` },
    { command: `cd ${app} && ${run}`, says: said },
    { command: `cd ${app} && ${run} >> /dev/stderr 2>&1`, says: '' },
    { command: `cd ${app} && ${run} >/dev/null 2>&1`, says: '' },
    { command: `cd ${app}&&${run} 2>/dev/null</dev/null`, says: said },
    { command: ` cd '${app}'  &&  ${php} "artisan" 'a;b' "c d" e\\&f`, says: `${app}|artisan a;b c d e&f|` },
    { command: `cd ${app} && A=1 ${run}`, says: `${said}1` },
    { command: `A=1 ${php} ${artisan}`, says: `|${artisan}|1` },
    {
      command: `cd ${app} && env A=2 timeout 50 ${run}`,
      becomes: `cd ${app} && /bin/env A=2 /bin/timeout 50 ${run}`,
      says: `${said}2`,
    },
    { command: `cd ${app} && bin/console x`, says: 'console x' },
    { command: `cd ${app} && ./bin/console x`, says: 'console x' },
    { command: `cd ${app} && ${php} artisan *`, says: `${app}|artisan 12 artisan bin link way-out|` },
    {
      command: `flock -n ${app}/lock ${php} ${artisan}`,
      becomes: `/bin/flock -n ${app}/lock ${php} ${artisan}`,
      says: `|${artisan}|`,
    },
    // written absolute: what cron finds by PATH is not what was judged
    { command: `cd ${app} && cat artisan`, becomes: `cd ${app} && /bin/cat artisan`, says: '' },
    { command: `cd ${app} && nice sh artisan`, becomes: `cd ${app} && /bin/nice /bin/sh artisan` },
    // scripts that are elsewhere, or nobody knows where
    { command: `${php} ${outside}`, against: D },
    { command: `${php} artisan`, against: D },
    { command: `${php} ~/artisan`, against: D },
    { command: `${php} ${app}/art*`, against: D },
    { command: `${php} ${app}/{artisan,-r}`, against: D },
    { command: `cd ${app} && ${php} way-out`, against: D },
    { command: `cd ${app} && ${php} ../other/artisan`, against: D },
    { command: `cd ${app} && ${php} ${outside}`, against: D },
    { command: `cd ${app} && env ${php} ${outside}`, against: D },
    { command: `cd ${app} && ../other/artisan`, against: ['policy.executables'] },
    { command: `cd ${app}/link && ${php} artisan`, against: [...D, ...D] },
    { command: `cd ${app}/link/.. && ${run}`, against: [...D, ...D, ...D] },
    { command: `cd ${app}/bin/.. && ${run}`, against: D },
    { command: `cd / && ${php} ${artisan}`, against: D },
    { command: `cd ~ && ${php} ${artisan}`, against: [...D, ...D] },
    { command: `cd app && ${php} ${artisan}`, against: D },
    // code in place of a script
    { command: `${php} -r 1`, against: D },
    { command: `cd ${app} && ${php} -r 1`, against: D },
    { command: `cd ${app} && ${php} < ${outside}`, against: D },
    { command: `cd ${app} && ${php} 12>/dev/null -r 1`, against: D },
    { command: `sh -c "cd ${app} && ${run}"`, against: D },
    { command: `LD_PRELOAD=/tmp/x ${php} ${artisan}`, against: D },
    { command: `cd ${app} && PATH=/tmp ${run}`, against: D },
    { command: `cd ${app} && sudo ${run}`, against: ['policy.executables'] },
    // more of the shell
    ...[
      `${run}; id`,
      `${run} && id`,
      `${run} || id`,
      `${run} | sh`,
      `${run} & id`,
      `${run} $(id)`,
      `${run} "\`id\`"`,
      `${run} $X`,
      `${run} "$X"`,
      `${run} <<< x`,
      `${run} <(id)`,
      `${run} > >(sh)`,
      `${run} &> x`,
      `${run} >&x`,
      `${run} # x`,
      `${run}\nid`,
      `${run} >`,
      `${run} 'x`,
      `(${run})`,
      `{ ${run}; }`,
      `if ${run}; then id; fi`,
    ].flatMap((line) => [line, `cd ${app} && ${line}`].map((command) => ({ command, against: D }))),
    { command: `cd ${app}; ${run}`, against: D },
    { command: `cd ${app} || ${run}`, against: D },
    { command: `cd ${app} && cd / && ${run}`, against: D },
    { command: `cd ${app} &&`, against: ['policy.executables'] },
    { command: `cd ${app}`, against: ['policy.executables'] },
  ]
  for (const { command, against = [], becomes = command, says } of rows) {
    const verdict = await host.policy(rules).judge({ kind: 'cron', entry: { ...entry, command } }, DEPLOYER)
    t.same(rulesOf(verdict), against, command)
    if (against.length > 0) {
      t.equal(verdict.violations[0]?.path, 'command')
      continue
    }
    // /bin is a link to /usr/bin on most hosts
    const written = verdict.resolved?.command ?? ''
    t.equal(written.replaceAll('/usr/bin/', '/bin/'), becomes.replaceAll('/usr/bin/', '/bin/'))
    if (says === undefined) continue
    const ran = spawnSync('/bin/sh', ['-c', written], { cwd: '/', encoding: 'utf8' })
    t.equal(ran.stdout.trim(), says.startsWith('|') ? `/${says}` : says, `${command}: run by the shell`)
  }
})

await t.test('with roots of directories, the shell and what else is judged all the same', async (t) => {
  const { host, php, artisan, rules, app } = scripted(t)
  const judge = async (command: string, more: object, env?: Record<string, string>) => {
    const subject = { kind: 'cron', entry: { ...entry, command, env } } as const
    return rulesOf(await host.policy({ ...rules, ...more }).judge(subject, DEPLOYER))
  }
  const line = `cd ${app} && ${php} artisan`
  t.same(await judge(line, { executables: [php] }), ['policy.executables'], 'no /bin/sh here')
  t.same(await judge(`${php} ${artisan}`, { executables: [php] }), [])
  t.same(await judge(line, { commands: [`cd * && ${php} artisan*`] }), [])
  t.same(await judge(line, { commands: ['*'] }), ['policy.commands'])
  t.same(await judge(`${php} -r 1`, { commands: ['*'] }), ['policy.directories'])
  t.same(await judge(line, {}, { APP_ENV: 'prod' }), [])
  t.same(await judge(line, {}, { PATH: app }), ['policy.directories'])
  t.same(await judge(line, { directories: [] }, { PATH: app }), [])
})

await t.test('with roots of directories, the script that was judged is the one used', async (t) => {
  const { host, php, artisan, rules, app } = scripted(t)
  const policy = host.policy(rules)
  const judge = (command: string) => policy.judge({ kind: 'cron', entry: { ...entry, command } }, DEPLOYER)
  for (const command of [`${php} ${artisan}`, `cd ${app} && env ${php} artisan`]) {
    const verdict = await judge(command)
    t.equal(await policy.stillHolds(verdict), true)
    renameSync(artisan, `${artisan}.old`)
    host.file('app/artisan')
    t.equal(await policy.stillHolds(verdict), false, command)
  }
  const verdict = await judge(`cd ${app} && ${php} artisan`)
  renameSync(app, `${app}.old`)
  symlinkSync(`${app}.old`, app)
  t.equal(await policy.stillHolds(verdict), false, 'the same folder by another way')
})

await t.test('links that others can turn are written as where they lead', { skip: NOT_ROOT }, async (t) => {
  const { host, php, rules, app } = scripted(t)
  host.file('app/releases/42/artisan')
  symlinkSync('releases/42', host.path('app/current'))
  const judge = async (command: string) => {
    const verdict = await host.policy(rules).judge({ kind: 'cron', entry: { ...entry, command } }, DEPLOYER)
    return verdict.resolved?.command
  }
  const [moved, whole] = [`cd "${app}/current" && ${php} artisan`, `${php} "${app}/current/artisan" x`]
  t.equal(await judge(moved), moved)
  t.equal(await judge(whole), whole)
  chownSync(app, 1500, 1500)
  t.equal(await judge(moved), `cd ${app}/releases/42 && ${php} artisan`)
  t.equal(await judge(whole), `${php} ${app}/releases/42/artisan x`)
  renameSync(host.path('app/releases/42'), host.path('app/releases/4$(id)'))
  symlinkSync('4$(id)', host.path('app/releases/42'))
  const verdict = await host
    .policy(rules)
    .judge({ kind: 'cron', entry: { ...entry, command: whole } }, DEPLOYER)
  t.same(rulesOf(verdict), ['policy.executables'], 'no name of a folder becomes shell syntax')
})

await t.test('what is read of a line is what /bin/sh reads', (t) => {
  const host = new PolicyHost(t)
  const shown = (line: string) =>
    spawnSync('/bin/sh', ['-c', line], { cwd: host.app, encoding: 'utf8' }).stdout
  let read = 0
  const piece = fc.constantFrom(
    'a',
    'B',
    '1',
    ' ',
    '\t',
    "'",
    '"',
    '\\',
    '&',
    ';',
    '|',
    '#',
    '!',
    '=',
    '%',
    '-',
  )
  const odd = fc.constantFrom('$', '`', '(', ')', '~', '*', '?', '[', ']', '{', '}', ',', '\n', '>', '<')
  const text = fc.array(fc.oneof({ weight: 9, arbitrary: piece }, odd), { maxLength: 12 })
  fc.assert(
    fc.property(text, (chars) => {
      const line = `printf '<%s>' ${chars.join('')}`
      const words = shellLine(line)?.words
      if (!words?.every(({ isFixed }) => isFixed) || /[<>]/.test(chars.join(''))) return true
      read++
      const given = words.slice(2).map((word) => `<${word.text}>`)
      return shown(line) === (given.join('') || '<>')
    }),
    { numRuns: 400 },
  )
  t.ok(read > 50, `${read} lines were read`)
  t.end()
})
