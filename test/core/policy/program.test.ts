// The judge on definitions of programs: users, caps, folders, executables, patterns.
import { chmodSync, chownSync, realpathSync, renameSync, symlinkSync } from 'node:fs'
import t from 'tap'
import { LOCAL_ADMIN } from '../../../src/core/access/local-principals.ts'
import { commandWords } from '../../../src/core/policy/command-words.ts'
import type { PolicyRules, ProgramDefinition } from '../../../src/core/policy/subject.ts'
import { scriptRows } from './script-rows.ts'
import { DEPLOYER, FILE, NOT_ROOT, PolicyHost, rulesOf } from './support.ts'

const web: ProgramDefinition = { name: 'web', command: '/usr/bin/env', user: 'www-data' }

await t.test('users, by number and not by name', async (t) => {
  const host = new PolicyHost(t)
  const rows: {
    user?: string
    uid?: number | null
    rules?: Partial<PolicyRules>
    token?: string[]
    against: string[]
  }[] = [
    { user: 'www-data', against: [] },
    { user: '33', against: [] },
    { user: 'web2', against: [] }, // another name of uid 33
    { user: 'deploy', against: ['policy.users'] },
    { user: '1500', against: ['policy.users'] },
    { user: 'nobody-at-all', against: ['policy.users'] },
    { user: 'www-data', rules: { users: [] }, against: ['policy.users'] },
    { user: 'www-data', rules: { users: ['33'] }, against: [] },
    { user: '1abc', rules: { users: ['1abc'] }, against: [] },
    { user: 'root', against: ['policy.allowRoot'] },
    { user: '0', against: ['policy.allowRoot'] },
    { user: '00', against: ['policy.allowRoot'] },
    { user: 'toor', rules: { users: ['toor', 'root'] }, against: ['policy.allowRoot'] },
    { user: 'root', rules: { allowRoot: true, users: [] }, against: [] },
    // what Python reads as a number and we as a name
    { user: '0_0', rules: { users: ['*', '0_0'] }, against: ['policy.users'] },
    { user: '+0', against: ['policy.users'] },
    { user: ' 0', against: ['policy.users'] },
    { user: '٠', against: ['policy.users'] },
    { user: '-l', against: ['policy.users'] },
    { user: 'www-data\nuser=root', against: ['policy.users'] },
    // an omitted user is supervisord's own
    { uid: 0, against: ['policy.allowRoot'] },
    { uid: 0, rules: { allowRoot: true }, against: [] },
    { uid: 33, against: [] },
    { uid: 1500, against: ['policy.users'] },
    { uid: 4242, against: ['policy.users'] },
    { uid: null, against: ['policy.users'] },
    // the token's own come first
    { user: 'www-data', token: [], against: ['token.users'] },
    { user: 'www-data', token: ['deploy'], against: ['token.users'] },
    { user: 'www-data', token: ['web2'], against: [] },
    { user: 'root', token: ['deploy'], rules: { allowRoot: true }, against: ['token.users'] },
    { uid: 33, token: ['deploy'], against: ['token.users'] },
    { uid: null, token: ['deploy'], against: ['token.users'] },
    { user: 'nobody-at-all', token: ['deploy'], against: ['token.users'] },
  ]
  for (const { user, uid = 0, rules, token = ['*'], against } of rows) {
    host.facts = { uid, searchPath: null }
    const definition = {
      name: 'web',
      command: '/usr/bin/env',
      stdoutLogfile: 'NONE',
      stderrLogfile: 'NONE',
      user,
    }
    const verdict = await host
      .policy(rules)
      .judge({ kind: 'program', definition }, { ...DEPLOYER, users: token })
    const name = `${user ?? `supervisord's ${uid}`} of ${JSON.stringify(rules ?? {})} for ${token.join() || 'none'}`
    t.same(rulesOf(verdict), against, name)
    t.equal(verdict.allowed, against.length === 0)
    const [first] = verdict.violations
    if (first) {
      t.equal(first.code, first.rule.startsWith('token.') ? 'FORBIDDEN' : 'POLICY_DENIED')
      t.equal(first.path, 'user')
      if (first.code === 'POLICY_DENIED')
        t.match(first.text, `${first.rule} in ${FILE}`, 'names key and file')
    }
  }
})

await t.test('the verdict says as whom it will run', async (t) => {
  const host = new PolicyHost(t)
  host.facts = { uid: 33, searchPath: null }
  const named = await host.policy().judge({ kind: 'program', definition: web }, DEPLOYER)
  t.match(named.resolved, { user: { uid: 33, name: 'www-data' } })
  const omitted = await host
    .policy()
    .judge({ kind: 'program', definition: { ...web, user: undefined } }, DEPLOYER)
  t.match(omitted.resolved, { user: { uid: 33, name: 'www-data' } })
})

await t.test('caps', async (t) => {
  const host = new PolicyHost(t)
  const policy = host.policy({ maxProcesses: 4, maxPrograms: 2 })
  const rows = [
    { processes: 4, count: 2, against: [] },
    { processes: 5, count: 2, against: ['policy.maxProcesses'] },
    { processes: 1, count: 3, against: ['policy.maxPrograms'] },
    { processes: undefined, count: undefined, against: [] },
  ]
  for (const { processes, count, against } of rows) {
    const subject = {
      kind: 'program',
      definition: { ...web, processes },
      ...(count ? { count } : {}),
    } as const
    t.same(rulesOf(await policy.judge(subject, DEPLOYER)), against, `${processes}, ${count}`)
  }
})

await t.test('folders, wherever a link leads', async (t) => {
  const host = new PolicyHost(t)
  const inside = host.dir('app/shop')
  const outside = host.dir('apple')
  const link = (to: string, at: string) => (symlinkSync(to, host.path(at)), host.path(at))
  const rows = [
    { directory: host.app, against: [] },
    { directory: inside, against: [] },
    { directory: `${host.app}/../app/shop`, against: [] },
    { directory: link(inside, 'way-in'), against: [] },
    { directory: outside, against: ['policy.directories'] }, // the same beginning is not the same folder
    { directory: link(outside, 'app/way-out'), against: ['policy.directories'] },
    { directory: `${host.app}/../apple`, against: ['policy.directories'] },
    { directory: `${host.app}/none`, against: ['policy.directories'] },
    { directory: link('loop', 'loop'), against: ['policy.directories'] },
    { directory: 'app', against: ['policy.directories'] },
    { directory: '~root', against: ['policy.directories'] },
    { directory: `${host.app}/%(ENV_X)s`, against: ['policy.directories'] },
  ]
  for (const { directory, against } of rows) {
    const definition = { ...web, directory }
    const bound = await host
      .policy({ directories: [host.app] })
      .judge({ kind: 'program', definition }, DEPLOYER)
    t.same(rulesOf(bound), against, directory)
    const free = await host.policy().judge({ kind: 'program', definition }, DEPLOYER)
    t.same(rulesOf(free), [], 'without roots any is fine')
  }
  const rooted = link(host.app, 'rooted')
  const verdict = await host
    .policy({ directories: [rooted] })
    .judge({ kind: 'program', definition: { ...web, directory: inside } }, DEPLOYER)
  t.same(rulesOf(verdict), [], 'a root may be a link itself')
})

await t.test('executables', async (t) => {
  const host = new PolicyHost(t)
  const tool = host.script('bin/tool')
  const hidden = host.script('hidden/tool2')
  host.file('bin/plain', 'x')
  symlinkSync(hidden, host.path('bin/turned'))
  symlinkSync(tool, host.path('hidden/back'))
  host.script('app/run')
  const rules = { executables: [host.bin], directories: [host.app] }
  const E = ['policy.executables']
  const rows: { command: string; against: string[]; becomes?: string }[] = [
    { command: `${tool} --fast "a b"`, against: [] },
    { command: 'tool  --fast', against: [], becomes: `${tool}  --fast` },
    { command: `'tool' x`, against: [], becomes: `${tool} x` },
    { command: `"${tool}" x`, against: [] },
    { command: host.path('app/run'), against: [] }, // what lies under `directories` counts too
    { command: host.path('hidden/back'), against: [] }, // where it leads decides
    { command: hidden, against: E },
    { command: 'turned', against: E },
    { command: host.path('bin/turned'), against: E },
    { command: `${host.bin}/../hidden/tool2`, against: E },
    { command: '/usr/bin/env tool', against: E },
    { command: 'no-such-tool', against: E },
    { command: host.path('bin/plain'), against: E },
    { command: host.bin, against: E },
    { command: host.path('bin/none'), against: E },
    { command: './tool', against: E },
    { command: 'bin/tool', against: E },
    { command: '%(ENV_TOOL)s', against: E },
    { command: '', against: E },
    { command: '   ', against: E },
    { command: `"" ${tool}`, against: E },
    { command: `${tool} "x`, against: E },
    { command: `${tool}\ncommand=/bin/evil`, against: E },
    { command: `${tool}\0`, against: E },
  ]
  for (const { command, against, becomes = command } of rows) {
    const verdict = await host
      .policy(rules)
      .judge({ kind: 'program', definition: { ...web, command } }, DEPLOYER)
    t.same(rulesOf(verdict), against, JSON.stringify(command))
    if (against.length === 0) t.equal(verdict.resolved?.command, becomes)
  }
  const sole = await host
    .policy({ executables: [tool] })
    .judge({ kind: 'program', definition: { ...web, command: 'tool' } }, DEPLOYER)
  t.same(rulesOf(sole), [], 'one file may be listed too')
  const none = await host.policy({ executables: [] }).judge({ kind: 'program', definition: web }, DEPLOYER)
  t.same(rulesOf(none), E, 'an empty list is nothing')
  host.facts = { ...host.facts, searchPath: null }
  const usual = await host
    .policy()
    .judge({ kind: 'program', definition: { ...web, command: 'env' } }, DEPLOYER)
  t.match(usual.resolved?.command, /^\/(usr\/)?bin\/env$/, "without a PATH, supervisord's own default")
})

await t.test('with roots of directories, what a command is given to run lies in them', async (t) => {
  const host = new PolicyHost(t)
  const { bin, app } = host
  const rules = { executables: [bin], directories: [app] }
  const D = ['policy.directories']
  for (const { command, against = [], becomes, ...where } of scriptRows(host)) {
    const definition = { ...web, command, directory: host.app, ...where }
    const verdict = await host.policy(rules).judge({ kind: 'program', definition }, DEPLOYER)
    t.same(rulesOf(verdict), against, command)
    t.equal(verdict.violations[0]?.path, against.length > 0 ? 'command' : undefined)
    if (against.length === 0) t.equal(verdict.resolved?.command, becomes, command)
  }
  for (const command of [
    `php -r 1`,
    `php ${host.path('other/artisan')}`,
    `env php -r 1`,
    `sudo php artisan`,
  ]) {
    const free = await host
      .policy({ executables: [bin] })
      .judge({ kind: 'program', definition: { ...web, command } }, DEPLOYER)
    t.same(rulesOf(free), [], `${command} without roots`)
  }
  const pattern = { ...rules, commands: [`${bin}/php *`] }
  const coded = { ...web, command: 'php -r 1', directory: app }
  t.same(rulesOf(await host.policy(pattern).judge({ kind: 'program', definition: coded }, DEPLOYER)), D)
})

await t.test('with roots of directories, no variable brings in other code', async (t) => {
  const host = new PolicyHost(t)
  const judge = (name: string, directories: string[]) => {
    const definition = { ...web, environment: { APP_ENV: 'prod', [name]: 'x' } }
    return host.policy({ directories }).judge({ kind: 'program', definition }, DEPLOYER)
  }
  for (const name of ['LD_PRELOAD', 'PATH', 'NODE_OPTIONS', 'PYTHONPATH', 'PERL5OPT', 'BASH_FUNC_x%%']) {
    const { violations } = await judge(name, [host.app])
    t.match(violations, [{ rule: 'policy.directories', path: 'environment', text: name }], name)
    t.same(rulesOf(await judge(name, [])), [])
  }
  for (const name of ['HOME', 'PYTHONUNBUFFERED', 'NODE_ENV', 'RAILS_ENV', 'PATHS'])
    t.same(rulesOf(await judge(name, [host.app])), [], name)
})

await t.test('patterns on the whole command, as it will be written', async (t) => {
  const host = new PolicyHost(t)
  const tool = host.script('bin/tool')
  const policy = host.policy({ executables: [host.bin], commands: [`${tool} work --*`, tool] })
  for (const [command, isAllowed] of [
    [`${tool} work --queue=a`, true],
    ['tool work --queue=a', true],
    ['tool', true],
    ['tool evil', false],
    [`${tool} work`, false],
    [`x ${tool} work --a`, false],
  ] as const) {
    const verdict = await policy.judge({ kind: 'program', definition: { ...web, command } }, DEPLOYER)
    t.equal(verdict.allowed, isAllowed, command)
    if (!isAllowed) t.match(rulesOf(verdict).at(-1), 'policy.commands')
  }
})

await t.test('limits stand before a command, which is judged without them', async (t) => {
  const host = new PolicyHost(t)
  const tool = host.script('bin/tool')
  const other = host.script('elsewhere/other')
  const [nice, prlimit] = ['/usr/bin/nice -n 5 ', '/usr/bin/prlimit --data=100000000 --nofile=99 ']
  const patterns = [`${tool} work --*`, `${tool} %Y "a ; b"`]
  const rows: { command: string; rules?: Partial<PolicyRules>; resolved?: string; against: string[] }[] = [
    { command: `${nice}${tool} work --a`, against: [] },
    { command: `${prlimit}${tool} work --a`, against: [] },
    { command: `${nice}${prlimit}${tool} work --a`, against: [] },
    { command: `${nice}tool work --a`, resolved: `${nice}${tool} work --a`, against: [] },
    { command: `${tool} %%Y "a ""; b"`, against: [] },
    { command: `${nice}${tool} evil`, against: ['policy.commands'] },
    { command: `${prlimit}${tool}`, against: ['policy.commands'] },
    // only what limits are written as is taken for them
    { command: `/usr/bin/nice --adjustment=-5 ${tool} work --a`, against: ['policy.commands'] },
    { command: `${prlimit}--cpu=1 ${tool} work --a`, against: ['policy.executables', 'policy.commands'] },
    // a host may also speak of what is written
    { command: `${nice}${tool} evil`, rules: { commands: [`${nice}${tool} *`] }, against: [] },
    // the own executable counts, and so do those of the limits
    { command: `${nice}${other} work`, rules: { commands: [] }, against: ['policy.executables'] },
    {
      command: `${nice}${prlimit}${tool} work --a`,
      rules: { executables: [host.bin] },
      against: ['policy.executables', 'policy.executables'],
    },
  ]
  for (const { command, rules, resolved = command, against } of rows) {
    const policy = host.policy({ executables: [host.bin, '/usr/bin'], commands: patterns, ...rules })
    const verdict = await policy.judge({ kind: 'program', definition: { ...web, command } }, DEPLOYER)
    t.same(rulesOf(verdict), against, command)
    if (against.length === 0) t.equal(verdict.resolved?.command, resolved)
  }
})

await t.test('what was judged is what is used', async (t) => {
  const host = new PolicyHost(t)
  const tool = host.script('bin/tool')
  const policy = host.policy({ executables: [host.bin], directories: [host.app] })
  const definition = { ...web, command: `${tool} x`, directory: host.app }
  const verdict = await policy.judge({ kind: 'program', definition }, DEPLOYER)
  t.equal(verdict.allowed, true)
  t.equal(await policy.stillHolds(verdict), true)
  const php = host.script('bin/php')
  const script = host.file('app/artisan')
  const scripted = await policy.judge(
    { kind: 'program', definition: { ...definition, command: `${php} artisan` } },
    DEPLOYER,
  )
  t.equal(await policy.stillHolds(scripted), true)
  renameSync(script, `${script}.old`)
  host.file('app/artisan')
  t.equal(await policy.stillHolds(scripted), false, 'another script of that name')
  renameSync(tool, `${tool}.old`)
  host.script('bin/tool')
  t.equal(await policy.stillHolds(verdict), false, 'another file of that name')
  const anew = await policy.judge({ kind: 'program', definition }, DEPLOYER)
  t.equal(await policy.stillHolds(anew), true)
  renameSync(host.app, `${host.app}.old`)
  symlinkSync(`${host.app}.old`, host.app)
  t.equal(await policy.stillHolds(anew), false, 'the same folder by another way')
})

await t.test('a link that others can turn is replaced by where it leads', { skip: NOT_ROOT }, async (t) => {
  const host = new PolicyHost(t)
  const release = host.dir('app/releases/42')
  const script = host.script('app/releases/42/run')
  const current = host.path('app/current')
  symlinkSync(release, current)
  const policy = host.policy({ directories: [host.app] })
  const definition = { ...web, command: `${current}/run x`, directory: current }
  const judge = () => policy.judge({ kind: 'program', definition }, DEPLOYER)
  const steady = await judge()
  t.match(steady.resolved, { command: definition.command, directory: current }, 'root alone can turn it')
  t.same(steady.notes, [])
  chownSync(host.app, 1500, 1500)
  const pinned = await judge()
  t.match(pinned.resolved, { command: `${script} x`, directory: release })
  t.match(pinned.notes, [/is used as/, /is used as/])
  const php = host.script('bin/php')
  const bound = host.policy({ executables: [host.bin], directories: [host.app] })
  const command = `${php} -q "${current}/run" x`
  const scripted = await bound.judge({ kind: 'program', definition: { ...web, command } }, DEPLOYER)
  t.equal(scripted.resolved?.command, `${php} -q ${script} x`)
  chownSync(host.app, 0, 0)
  chmodSync(host.app, 0o777)
  t.match((await judge()).resolved, { directory: release })
})

await t.test('links of the system stay as they are written', async (t) => {
  const host = new PolicyHost(t)
  const verdict = await host
    .policy()
    .judge({ kind: 'program', definition: { ...web, command: '/bin/sh' } }, DEPLOYER)
  t.equal(verdict.resolved?.command, '/bin/sh')
  t.equal(verdict.places[0]?.real, realpathSync('/bin/sh'))
})

await t.test('admin.sock is not bound, and told all the same', async (t) => {
  const host = new PolicyHost(t)
  const policy = host.policy({ maxProcesses: 1 })
  const definition = { ...web, user: 'root', processes: 2, command: '/etc/passwd' }
  const verdict = await policy.judge({ kind: 'program', definition }, LOCAL_ADMIN)
  t.equal(verdict.allowed, true)
  t.same(rulesOf(verdict), ['policy.allowRoot', 'policy.maxProcesses', 'policy.executables'])
  await t.rejects(policy.enforce(policy.judge({ kind: 'program', definition }, DEPLOYER)), {
    code: 'POLICY_DENIED',
    facts: { rule: 'policy.allowRoot', path: 'user', violations: { length: 3 } },
  })
})

await t.test('words of a command, as supervisord splits it', (t) => {
  const rows: [string, string[] | null][] = [
    ['a b', ['a', 'b']],
    ['  a\tb\n', ['a', 'b']],
    [`a "b c" 'd e'`, ['a', 'b c', 'd e']],
    [`a"b"'c'd`, ['abcd']],
    [`"" ''`, ['', '']],
    [String.raw`a\ b \" "\"" "\\" "\n" '\'`, ['a b', '"', '"', '\\', '\\n', '\\']],
    ['', []],
    [`"a`, null],
    [`'a`, null],
    ['a\\', null],
  ]
  for (const [text, words] of rows) t.same(commandWords(text)?.map((word) => word.text) ?? null, words, text)
  t.same(commandWords(` "a b"c %d`), [
    { text: 'a bc', start: 1, end: 7, isFixed: true },
    { text: '%d', start: 8, end: 10, isFixed: false },
  ])
  t.end()
})
