import { chmodSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { pair } from '../../../src/cli/body.ts'
import { commandWords } from '../../../src/core/policy/command-words.ts'
import { issuesOf, withDefaults } from '../../../src/core/programs/definition.ts'
import { PresetBook } from '../../../src/core/programs/presets/book.ts'
import { commandOf } from '../../../src/core/programs/presets/command.ts'
import { PRESETS } from '../../../src/core/programs/presets/index.ts'
import { exampleOf, shownPreset } from '../../../src/core/programs/presets/show.ts'
import { renderSection } from '../../../src/core/programs/render.ts'
import { createLogger } from '../../../src/logger.ts'
import { readPresets } from '../../../src/preset-files.ts'
import { Definition } from '../../../src/protocol/definition.ts'
import { ProgramPreset } from '../../../src/protocol/preset.ts'
import { readYaml } from '../../../src/settings.ts'
import { ADMIN, waiting } from '../../fixtures/stack.ts'
import { SupervisorParser } from '../../fixtures/supervisor-parser.ts'
import { programHost } from './host.ts'

const LOGS = '/var/log/supervisor'
const book = new PresetBook(PRESETS)

function expand(preset: string, options: Definition['options'] = {}, more: Partial<Definition> = {}) {
  const { definition, issues, warnings } = book.expand(
    Definition.parse({ name: 'work', preset, options, ...more }),
  )
  return { definition, issues, warnings, words: wordsOf(definition.command ?? '') }
}

function wordsOf(command: string): string[] {
  return (commandWords(command) ?? []).map(({ text }) => text)
}

await t.test('each preset makes a program that supervisord takes, and says what it is', async (t) => {
  const parser = new SupervisorParser(t)
  for (const one of PRESETS) {
    const { definition, issues } = book.expand(Definition.parse(exampleOf(one)))
    t.strictSame(issues, [], one.preset)
    const whole = withDefaults(definition, LOGS)
    t.strictSame(issuesOf(whole), [])
    t.strictSame(Definition.parse(whole), whole)
    t.equal(whole.autorestart, true, 'a worker that ended by itself comes back')
    const parsed = await parser.parse({
      files: { '/etc/supervisord.conf': `[supervisord]\n${renderSection(whole)}` },
    })
    t.equal(parsed.fault, null)
    t.strictSame(
      parsed.processes?.[0]?.argv,
      wordsOf((whole.command ?? '').replace('%(process_num)02d', '00')),
    )
    const shown = ProgramPreset.parse(shownPreset(one, { book, logFolder: LOGS, show: true }))
    t.match(shown, { preset: one.preset, title: /./, stanza: /\[program:.*\nautorestart=true\n/s })
    t.strictSame(
      shown.warnings.filter((text) => !text.includes('descriptor')),
      [],
      'the defaults are safe',
    )
    for (const [name, option] of Object.entries(one.options().shape))
      t.match(option.description, /./, `${one.preset} explains ${name}`)
    t.match(book.expand({ ...exampleOf(one), options: { noSuchOption: 1 } }).issues[0], { path: /^options/ })
  }
  t.throws(() => book.need('no-such'), { code: 'PROGRAM_INVALID', message: /laravel-queue/ })
})

await t.test('what the README puts is what its preset takes', (t) => {
  const readme = readFileSync(join(import.meta.dirname, '../../../README.md'), 'utf8')
  const words = /^agent program put mail (.*)$/m.exec(readme)?.[1]?.split(' ') ?? []
  const given = words.filter((_, at) => words[at - 1] === '--options')
  t.ok(given.length > 1)
  const options = given.reduce((before, text) => pair(text, before), {})
  const definition = Definition.parse({ name: 'mail', preset: 'laravel-queue', options })
  t.strictSame(book.expand(definition).issues, [])
  t.end()
})

await t.test('a queue worker of Laravel, every option', async (t) => {
  const all = {
    php: '/usr/bin/php8.3',
    connection: 'redis',
    queue: ['mail', 'default'],
    name: 'it is',
    sleep: 5,
    tries: 3,
    timeout: 120,
    backoff: [1, 5, 10],
    memory: 256,
    maxJobs: 1000,
    maxTime: 1800,
    rest: 1,
    force: true,
    retryAfter: 130,
  }
  const { words, definition, warnings } = expand('laravel-queue', all)
  t.strictSame(words, [
    '/usr/bin/php8.3',
    'artisan',
    'queue:work',
    'redis',
    '--name=it is',
    '--queue=mail,default',
    '--sleep=5',
    '--tries=3',
    '--timeout=120',
    '--backoff=1,5,10',
    '--memory=256',
    '--max-jobs=1000',
    '--max-time=1800',
    '--rest=1',
    '--force',
  ])
  t.equal(definition.stopWaitSecs, 130)
  t.strictSame(warnings, [])
  t.strictSame(book.graceful({ name: 'work', preset: 'laravel-queue', options: all }), {
    by: 'command',
    argv: ['/usr/bin/php8.3', 'artisan', 'queue:restart'],
  })
})

await t.test('options that cannot be are refused by their names', (t) => {
  const refused: [preset: string, options: NonNullable<Definition['options']>, path: string][] = [
    ['laravel-queue', { timeout: -1 }, 'options.timeout'],
    ['laravel-queue', { queue: ['a b'] }, 'options.queue.0'],
    ['laravel-queue', { connection: '--once' }, 'options.connection'],
    ['laravel-queue', { php: '-r' }, 'options.php'],
    ['laravel-octane', { server: 'apache' }, 'options.server'],
    ['laravel-octane', { port: 70_000 }, 'options.port'],
    ['symfony-messenger', { receivers: [] }, 'options.receivers'],
    ['node', { entry: 'a.js', script: 'start' }, 'options.script'],
    ['sidekiq', { queues: ['mail,0'] }, 'options.queues.0'],
    ['slm-queue', { queue: '-x' }, 'options.queue'],
    ['custom', {}, 'options.executable'],
  ]
  for (const [preset, options, path] of refused) {
    const wayOut = new RegExp(` \\(all options: agent program presets ${preset}\\)$`)
    t.match(expand(preset, options).issues, [{ path, message: wayOut }])
  }
  t.match(expand('laravel-octane', { server: 'apache' }).issues, [
    { message: /^must be one of frankenphp, roadrunner, swoole \(/ },
  ])
  t.match(expand('laravel-octane', { port: 70_000 }).issues, [{ message: /^must be 65535 or less \(/ }])
  t.strictSame(expand('laravel-queue', { queue: 'mail' }).words[4], '--queue=mail', 'a list of one')
  t.match(expand('no-such').issues, [{ path: 'preset', message: /there are: laravel-queue, / }])
  t.match(book.expand({ name: 'work', options: { a: 1 } }).issues, [{ path: 'options' }])
  t.end()
})

await t.test('what may surprise is told', (t) => {
  const told: [
    preset: string,
    options: NonNullable<Definition['options']>,
    more: Partial<Definition>,
    text: RegExp,
  ][] = [
    [
      'laravel-queue',
      { timeout: 60 },
      { stopWaitSecs: 60 },
      /timeout \(60\) is not below stopWaitSecs \(60\)/,
    ],
    ['laravel-queue', { timeout: 90 }, {}, /timeout \(90\) is not below retry_after \(90\)/],
    ['laravel-queue', { timeout: 0 }, {}, /without timeout a job may take longer than stopWaitSecs/],
    ['laravel-queue', { maxTime: 0 }, {}, /neither maxTime nor maxJobs/],
    ['laravel-queue', { tries: 0 }, {}, /tries is 0/],
    ['laravel-horizon', {}, { processes: 2 }, /Horizon starts its workers itself/],
    ['laravel-octane', { host: '0.0.0.0' }, {}, /other hosts reach it/],
    ['laravel-reverb', {}, {}, /minfds/],
    ['laravel-schedule-work', {}, { processes: 2 }, /every task/],
    ['symfony-messenger', { timeLimit: 0 }, {}, /neither timeLimit nor limit/],
    ['node', { port: 3000 }, { processes: 2 }, /port 3000/],
    ['celery', { timeLimit: 0 }, {}, /timeLimit/],
  ]
  for (const [preset, options, more, text] of told)
    t.ok(
      expand(preset, options, more).warnings.some((warning) => text.test(warning)),
      `${preset}: ${text}`,
    )
  t.end()
})

await t.test('what a definition says itself stands', (t) => {
  const { definition } = expand(
    'node',
    { port: 3000 },
    {
      environment: { NODE_ENV: 'test', KEY: 'x' },
      stopWaitSecs: 5,
      autorestart: 'unexpected',
    },
  )
  t.match(definition, {
    command: 'node index.js',
    environment: { NODE_ENV: 'test', KEY: 'x', PORT: '3000' },
    stopWaitSecs: 5,
    autorestart: 'unexpected',
  })
  t.strictSame(expand('node', { script: 'start', args: ['--x', 'a b'] }).words, [
    'npm',
    'run',
    'start',
    '--',
    '--x',
    'a b',
  ])
  t.end()
})

await t.test('words stay words, whatever is in them', (t) => {
  const words = ['a b', "it's", '"', '\\', '$(x)', '; rm', '', 'ü', '`id`', '*', '%', "'\"'"]
  t.strictSame(wordsOf(commandOf(['x', ...words])), ['x', ...words])
  t.strictSame(expand('custom', { executable: 'x', args: words.filter(Boolean) }).words, [
    'x',
    ...words.filter(Boolean),
  ])
  t.end()
})

const IMPORT = `preset: shop-import
title: Import of the shop
options:
  feed: { type: string, about: where goods come from, required: true }
  mode: { type: string, about: how much, choices: [all, new], default: new }
  pause: { type: integer, about: seconds between two looks, default: 5, max: 60 }
  only: { type: list, about: only these shelves }
  dry: { type: boolean, about: change nothing }
  longest: { type: integer, about: seconds that an import takes, default: 100 }
  note: { type: string, about: a note }
command: [php, bin/import, '--feed={feed}', '{mode}', '--pause={pause}', '--note={note}', { when: dry, words: [--dry-run] }, '{only}']
longestJob: longest
graceful: { by: command, argv: [php, bin/import, 'stop:{mode}'] }
definition: { stopSignal: INT, environment: { SHOP: main } }
`

await t.test('presets of the host itself, from files', (t) => {
  const folder = t.testdir({
    'import.yaml': IMPORT,
    'again.yml': IMPORT.replace('Import of', 'Another import of'),
    'taken.yaml': IMPORT.replace('shop-import', 'node'),
    'unknown.yaml': `${IMPORT}shell: true\n`.replace('shop-import', 'unknown'),
    'place.yaml': IMPORT.replace('shop-import', 'place').replace('{pause}', '{paus}'),
    'default.yaml': IMPORT.replace('shop-import', 'default').replace('default: 5,', 'default: 61,'),
    'first.yaml': IMPORT.replace('shop-import', 'first').replace(
      '[php, bin/import,',
      "['{note}', bin/import,",
    ),
    'yaml.yaml': 'preset: [',
    'open.yaml': IMPORT.replace('shop-import', 'open'),
    'notes.txt': 'nothing',
  })
  chmodSync(join(folder, 'open.yaml'), 0o666)
  const told: Record<string, string> = {}
  const logger = createLogger('silent')
  logger.warn = (facts: { file: string; reason: string }) => {
    told[facts.file.slice(folder.length + 1)] = facts.reason
  }
  const own = new PresetBook([...PRESETS, ...readPresets(folder, { known: PRESETS, readYaml, logger })])
  const read = own
    .all()
    .slice(PRESETS.length)
    .map((one) => one.preset)
  const isRoot = process.getuid?.() === 0
  t.strictSame(read, isRoot ? ['shop-import'] : ['shop-import', 'open'])
  if (isRoot) t.match(told['open.yaml'], /chmod go-w/)
  t.match(told, {
    'import.yaml': 'preset: another one has the name shop-import',
    'taken.yaml': 'preset: another one has the name node',
    'unknown.yaml': /shell/,
    'place.yaml': 'command.4: {paus} is no option',
    'default.yaml': /options.pause.default/,
    'first.yaml': 'command.0: {note} may be missing, and this is what runs',
    'yaml.yaml': /./,
  })
  t.notOk(told['notes.txt'])
  const options = { feed: "it's; rm -rf /", only: ['a b', 'c'], dry: true }
  const { definition, issues } = own.expand({ name: 'work', preset: 'shop-import', options })
  t.strictSame(issues, [])
  t.strictSame(wordsOf(definition.command ?? ''), [
    'php',
    'bin/import',
    "--feed=it's; rm -rf /",
    'new',
    '--pause=5',
    '--dry-run',
    'a b',
    'c',
  ])
  t.match(definition, {
    stopSignal: 'INT',
    stopWaitSecs: 110,
    autorestart: true,
    environment: { SHOP: 'main' },
  })
  t.match(own.graceful({ name: 'work', preset: 'shop-import', options }), {
    argv: ['php', 'bin/import', 'stop:new'],
  })
  const shown = shownPreset(own.need('shop-import'), { book: own, logFolder: LOGS, show: true })
  t.match(ProgramPreset.parse(shown), { defaults: { mode: 'new', pause: 5 }, stanza: /--feed=feed new/ })
  const refused: [options: NonNullable<Definition['options']>, path: string][] = [
    [{}, 'options.feed'],
    [{ feed: '-x' }, 'options.feed'],
    [{ feed: 'a', mode: 'old' }, 'options.mode'],
    [{ feed: 'a', pause: 61 }, 'options.pause'],
    [{ feed: 'a', only: ['--all'] }, 'options.only.0'],
    [{ feed: 'a', other: 1 }, 'options'],
  ]
  for (const [wrong, path] of refused)
    t.match(own.expand({ name: 'work', preset: 'shop-import', options: wrong }).issues, [{ path }])
  t.strictSame(
    readPresets(join(folder, 'none'), { known: PRESETS, readYaml, logger: createLogger('silent') }),
    [],
  )
  t.end()
})

function byText(a: string, b: string): number {
  return a < b ? -1 : 1
}

const ARTISAN = `case $1 in
  queue:work)
    was=$(cat stamp)
    while [ "$(cat stamp)" = "$was" ]; do sleep 0.1; done ;;
  queue:restart)
    if [ -e broken ]; then echo 'no cache' >&2; exit 3; fi
    [ -e deaf ] || date +%s%N > stamp
    echo "told them from $PWD with $SHOP" ;;
esac
`

await t.test('a graceful restart by the verb of a preset', async (t) => {
  const made = await programHost(t, { presets: book, programs: { plain: { command: 'sleep 600' } } })
  const { host, stack, change, pids, policy, programs } = made
  const app = join(host.folder, 'app')
  const file = (name: string) => join(app, name)
  mkdirSync(app)
  writeFileSync(file('artisan'), ARTISAN)
  writeFileSync(file('stamp'), '0')
  const mail = {
    name: 'mail',
    preset: 'laravel-queue',
    options: { php: '/bin/sh' },
    directory: app,
    processes: 2,
    environment: { SHOP: 'keys 100%' },
  }
  await change({ action: 'put', definition: mail })
  const loop = 'trap "exit 0" HUP; while :; do sleep 0.1; done'
  const own = { executable: '/bin/sh', args: ['-c', loop], reloadSignal: 'HUP' }
  await change({ action: 'put', definition: { name: 'own', preset: 'custom', options: own } })
  await stack.waitState('plain', 'RUNNING')
  const judge = { principal: ADMIN, enforce: policy.enforce.bind(policy) }
  const { processes } = stack.stack
  const restart = async (select: string[], { as = ADMIN, timeoutMs = 20_000 } = {}) => {
    const entries = processes.select(select, as)
    const verbs = await programs.graceful.find(entries, { ...judge, principal: as })
    const options = { ...waiting({ timeoutMs }), mode: 'graceful' as const, maxUnavailable: 1, verbs }
    return await processes.restart(entries, options)
  }

  const before = { ...pids('mail'), ...pids('own'), ...pids('plain') }
  const results = await restart(['mail', 'own', 'plain'])
  t.strictSame(
    results.map(({ process, ok, changed }) => `${process} ${ok} ${changed}`).toSorted(byText),
    ['mail:mail_00', 'mail:mail_01', 'own:own_00', 'plain'].map((name) => `${name} true true`),
  )
  for (const [name, pid] of Object.entries({ ...pids('mail'), ...pids('own'), ...pids('plain') }))
    t.not(pid, before[name], `${name} is another process`)
  const stopped = ['mail:mail_00', 'mail:mail_01', 'own:own_00', 'plain'].filter((name) =>
    stack.states(name).some(({ to }) => to === 'STOPPING'),
  )
  t.strictSame(stopped, ['plain'], 'those with a verb ended by themselves')
  for (const name of Object.keys(before)) t.equal(stack.stack.table.get(name)?.state, 'RUNNING')

  const now = pids('mail')
  writeFileSync(file('deaf'), '')
  const late = await restart(['mail'], { timeoutMs: 4_000 })
  t.match(late, [
    {
      ok: false,
      error: {
        name: 'TIMEOUT',
        message: `mail:mail_00 is still RUNNING; it was not replaced, and has pid ${now['mail:mail_00']} as before; /bin/sh artisan queue:restart was done, and said: told them from ${app} with keys 100%`,
      },
    },
    { ok: false },
  ])
  const noLogs = { ...ADMIN, scopes: new Set(['control'] as const) }
  for (const { error } of await restart(['mail'], { as: noLogs, timeoutMs: 1_000 }))
    t.notMatch(error?.message, 'told them', 'what it says is for those who may see logs')
  writeFileSync(file('broken'), '')
  t.match(await restart(['mail']), [
    { ok: false, error: { name: 'STOP_FAILED', message: /ended with exit status 3, and said: no cache/ } },
    { ok: false },
  ])
  t.strictSame(pids('mail'), now, 'nothing was stopped')
  rmSync(file('broken'))
  const bound = { ...ADMIN, isAbovePolicy: false }
  await t.rejects(restart(['mail'], { as: bound }), { code: 'POLICY_DENIED' })
})
