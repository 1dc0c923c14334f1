// Presets of crontab entries: what each makes runs under /bin/sh with the environment that cron gives, the programs that
// it calls being stand-ins that note their words. Real are the shell, tar, gzip and find.
import { spawnSync } from 'node:child_process'
import {
  chmodSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import t from 'tap'
import { cronEnvironment } from '../../../src/core/crontab/cron-environment.ts'
import { entryIssues } from '../../../src/core/crontab/entry-validation.ts'
import { expandEntry } from '../../../src/core/crontab/presets/expand.ts'
import { ENTRY_PRESETS } from '../../../src/core/crontab/presets/index.ts'
import { exampleOf, shownPresets } from '../../../src/core/crontab/presets/show.ts'
import { rendered } from '../../../src/core/crontab/user-state.ts'
import type { EntryDefinition } from '../../../src/protocol/entry.ts'
import { CrontabPreset } from '../../../src/protocol/preset.ts'
import { noCron } from '../../fixtures/crontab.ts'
import { bench, CALLED, commandOf, HOSTILE, type Options, REFUSED, WRONG } from './presets-bench.ts'
import { crontabs, DEPLOYER, definition } from './service-harness.ts'

await t.test('each preset makes an entry that cron takes, and says what it is', (t) => {
  t.strictSame(
    ENTRY_PRESETS.map(({ preset }) => preset),
    'laravel-scheduler backup-mysql backup-postgres backup-files cleanup certbot-renew queue-restart custom'.split(
      ' ',
    ),
  )
  for (const one of ENTRY_PRESETS) {
    const { entry, issues } = expandEntry(exampleOf(one))
    t.strictSame(issues, [], one.preset)
    const { preset: _preset, options: _options, schedule = '', command = '', ...rest } = entry
    t.strictSame(entryIssues({ ...rest, schedule, command }), [])
    const [shown] = shownPresets(one.preset, true)
    t.match(CrontabPreset.parse(shown), { preset: one.preset, title: /./, schedule: one.schedule, command })
    for (const [name, option] of Object.entries(one.options().shape))
      t.match(option.description, /./, `${one.preset} explains ${name}`)
    const odd = expandEntry({ ...exampleOf(one), options: { ...one.example, noSuchOption: 1 } })
    t.match(odd.issues, [{ path: 'options.noSuchOption', message: /^there is no such option; there are: / }])
  }
  t.equal(shownPresets(undefined, false).length, ENTRY_PRESETS.length)
  t.throws(() => shownPresets('no-such', false), { code: 'ENTRY_INVALID', message: /laravel-scheduler/ })
  t.match(expandEntry(definition({ options: { a: 1 } })).issues, [{ path: 'options' }])
  t.end()
})

await t.test('what an entry says itself stands', (t) => {
  const { entry } = expandEntry(
    definition({
      preset: 'backup-mysql',
      options: { folder: '/b', name: 'x' },
      schedule: '1 1 * * *',
      noOverlap: false,
    }),
  )
  t.match(entry, { schedule: '1 1 * * *', noOverlap: false, timeoutMs: 86_400_000, command: '/bin/true' })
  t.end()
})

await t.test('options that cannot be are refused by their names', (t) => {
  for (const [preset, options, path] of REFUSED) {
    const { issues } = expandEntry({ name: 'It', user: 'alice', enabled: true, preset, options })
    t.equal(issues[0]?.path, path, `${preset} ${JSON.stringify(options)}`)
    t.match(issues[0]?.message, new RegExp(` \\(all options: agent cron presets ${preset}\\)$`))
    t.notMatch(issues.map(({ message }) => message).join(), /expected|received|Too |Invalid|Unrecognized/)
  }
  const { reasons, ...wrong } = WRONG
  const texts = expandEntry(definition(wrong)).issues.map(({ path, message }) => `${path}: ${message}`)
  t.strictSame(texts, reasons)
  t.match(expandEntry(definition({ preset: 'no-such' })).issues, [
    { path: 'preset', message: /there are: laravel-scheduler, / },
  ])
  t.end()
})

await t.test('what is called gets exactly its words', (t) => {
  const { root, run, calls } = bench(t)
  const app = join(root, 'work')
  const place = { folder: join(root, 'backups'), name: 'shop' }
  const rows: [preset: string, options: Options, words: string[], more?: object][] = [
    ['laravel-scheduler', { folder: app }, ['artisan', 'schedule:run'], { folder: app }],
    ['queue-restart', { folder: app }, ['artisan', 'queue:restart'], { folder: app }],
    ['queue-restart', { folder: app, worker: 'laravel-horizon' }, ['artisan', 'horizon:terminate']],
    [
      'queue-restart',
      { folder: app, worker: 'symfony-messenger' },
      ['bin/console', 'messenger:stop-workers'],
    ],
    ['certbot-renew', {}, ['renew', '--quiet', '--no-random-sleep-on-renew']],
    [
      'certbot-renew',
      { certName: 'shop.example', reload: 'nginx' },
      [
        'renew',
        '--quiet',
        '--no-random-sleep-on-renew',
        '--cert-name',
        'shop.example',
        '--deploy-hook',
        'systemctl reload nginx',
      ],
    ],
    [
      'backup-mysql',
      { ...place, databases: ['shop', 'my blog'], defaultsFile: '/root/my backup.cnf' },
      [
        '--defaults-extra-file=/root/my backup.cnf',
        '--single-transaction',
        '--quick',
        '--routines',
        '--events',
        '--databases',
        'shop',
        'my blog',
      ],
    ],
    ['backup-mysql', { ...place, singleTransaction: false, routines: false }, ['--quick', '--all-databases']],
    [
      'backup-postgres',
      { ...place, database: 'shop', host: 'db', port: 5433, username: 'me', passFile: "/root/it's" },
      ['--no-password', '--format=custom', '--host=db', '--port=5433', '--username=me', '--', 'shop'],
      { passFile: "/root/it's" },
    ],
    [
      'custom',
      { executable: 'my-job', args: ['-x', 'a  b', '$HOME', ''.padEnd(3, '%')] },
      ['-x', 'a  b', '$HOME', '%%%'],
    ],
  ]
  for (const [preset, options, words, more = {}] of rows) {
    const { status, stderr } = run(commandOf(preset, options))
    t.equal(status, 0, `${preset}: ${stderr}`)
    t.match(calls(), [{ words, ...more }])
  }
  const missing = run(commandOf('laravel-scheduler', { folder: join(root, 'none') }))
  t.not(missing.status, 0)
  t.strictSame(calls(), [], 'nothing runs where the folder is missing')
  t.end()
})

const EXECUTABLES = new Set(['php', 'mysqldump', 'pgDump', 'certbot', 'executable'])
const isPathOf = (text: string) => text.startsWith('/')

await t.test('a hostile option is refused, or is one word', (t) => {
  const { root, run, calls, standIn } = bench(t, [...CALLED, 'tar', 'find'])
  let refused = 0
  let taken = 0
  for (const [n, { preset, options, example = {} }] of ENTRY_PRESETS.entries())
    for (const name of Object.keys(options().shape))
      for (const [m, text] of HOSTILE.entries()) {
        const base = join(root, 'work', `${n}-${name}-${m}`)
        const isPath = ['folder', 'defaultsFile', 'passFile', 'paths'].includes(name)
        const value = isPath || (name === 'executable' && m % 2) ? `${base}/${text}` : text
        const isList = ['databases', 'paths', 'exclude', 'args'].includes(name)
        // folders that are there, so that what follows runs
        const own = {
          folder: join(root, 'backups'),
          executable: 'my-job',
          ...(name === 'folder' ? { paths: ['/srv'] } : {}),
        }
        const takes = options().shape
        const given = Object.fromEntries(
          Object.entries({ ...example, ...own, [name]: isList ? [value] : value }).filter(
            ([key]) => key in takes,
          ),
        )
        const { entry, issues } = expandEntry({
          name: 'It',
          user: 'alice',
          enabled: true,
          preset,
          options: given,
        })
        const what = `${preset} ${name}: ${JSON.stringify(value)}`
        if (issues.length > 0) {
          t.match(issues[0]?.path, new RegExp(`^options.${name}`), what)
          refused++
          continue
        }
        const command = entry.command ?? ''
        t.equal(entryIssues({ name: 'It', user: 'alice', schedule: '* * * * *', command }).length, 0, what)
        if (name === 'folder') mkdirSync(value, { recursive: true })
        if (name === 'executable' && isPathOf(value)) {
          mkdirSync(dirname(value), { recursive: true })
          standIn(value)
        }
        const { stderr } = run(command)
        const seen = calls()
        const holds = (word: string) =>
          word === value || word.endsWith(`=${value}`) || (isPath && word === value.slice(1))
        const isFound = seen.some(
          ({ folder, passFile, words }) => folder === value || passFile === value || words.some(holds),
        )
        const isMadeThere = name === 'folder' && readdirSync(value).some((file) => /^[a-z]+-2/.test(file))
        const isCalled = EXECUTABLES.has(name) && (seen.length > 0 || stderr.includes('not found'))
        t.ok(isFound || isMadeThere || isCalled, `${what}\n${stderr}\n${JSON.stringify(seen)}`)
        taken++
      }
  const everything = readdirSync(root, { recursive: true, encoding: 'utf8' })
  t.strictSame(
    everything.filter((path) => path.endsWith('/pwned') || path === 'pwned'),
    [],
  )
  t.ok(refused > 100 && taken > 100, `${refused} refused, ${taken} taken`)
  t.end()
})

await t.test('a backup is whole or not there, and the newest stay', (t) => {
  const { root, run, standIn, backups } = bench(t)
  const place = { folder: join(root, 'backups'), name: 'my.shop', keep: 2 }
  const clock = (time: string) => {
    writeFileSync(join(root, 'bin/date'), `#!/bin/sh\necho 20261122-${time}\n`)
    chmodSync(join(root, 'bin/date'), 0o755)
  }
  const kept = [
    'my.shop-20261122-1x0000.sql.gz',
    'my.shop-weekly-202611.sql.gz',
    'myxshop-20261122-010000.sql.gz',
  ]
  for (const name of kept) writeFileSync(join(root, 'backups', name), '')
  writeFileSync(join(root, 'backups', 'my.shop-20261121-010000.sql.gz.part'), 'of a run that was killed')
  const command = commandOf('backup-mysql', place)
  for (const time of ['010000', '020000', '030000']) {
    clock(time)
    t.match(run(command), { status: 0, stderr: '', stdout: '' })
  }
  const two = ['my.shop-20261122-020000.sql.gz', 'my.shop-20261122-030000.sql.gz']
  t.strictSame(backups(), [...kept, ...two].toSorted())
  const newest = join(root, 'backups', two[1] ?? '')
  t.equal(spawnSync('gunzip', ['-c', newest], { encoding: 'utf8' }).stdout, 'told\n')
  t.equal(statSync(newest).mode & 0o777, 0o600)

  clock('040000')
  standIn(join(root, 'bin/mysqldump'), 'echo half; echo no rights >&2; exit 3')
  t.match(run(command), { status: 1, stderr: /no rights\nno backup was made \(status 3\)/ })
  t.strictSame(backups(), [...kept, ...two].toSorted(), 'one that failed takes the place of none')
  standIn(join(root, 'bin/mysqldump'))
  writeFileSync(join(root, 'bin/gzip'), '#!/bin/sh\nexit 7\n')
  chmodSync(join(root, 'bin/gzip'), 0o755)
  t.match(run(command), { status: 1 }, 'nor one that could not be compressed')
  rmSync(join(root, 'bin/gzip'))
  t.strictSame(backups(), [...kept, ...two].toSorted())

  const victim = join(root, 'victim')
  writeFileSync(victim, 'precious')
  symlinkSync(victim, join(root, 'backups', 'my.shop-20261122-040000.dump.part'))
  clock('040000')
  run(commandOf('backup-postgres', { ...place, database: 'shop' }).replace(/rm -f "\$b"\S+; /, ''))
  t.equal(readFileSync(victim, 'utf8'), 'precious', 'what a link leads to is not written over')
  t.match(run(commandOf('backup-postgres', { ...place, database: 'shop' })), { status: 0 })
  t.equal(readFileSync(join(root, 'backups', 'my.shop-20261122-040000.dump'), 'utf8'), 'told\n')
  t.end()
})

await t.test('files are packed by tar, also those that change meanwhile', (t) => {
  const { root, run, backups } = bench(t)
  const shop = join(root, 'my shop')
  mkdirSync(join(shop, 'cache'), { recursive: true })
  writeFileSync(join(shop, 'a'), 'one')
  writeFileSync(join(shop, 'cache/b'), 'two')
  const command = commandOf('backup-files', {
    folder: join(root, 'backups'),
    name: 'shop',
    paths: [shop],
    exclude: ['cache'],
  })
  t.match(run(command), { status: 0, stderr: '' })
  const [made = ''] = backups()
  t.match(made, /^shop-\d{8}-\d{6}\.tar\.gz$/)
  const listed = spawnSync('tar', ['-tzf', join(root, 'backups', made)], { encoding: 'utf8' }).stdout
  t.strictSame(listed.trim().split('\n'), [`${shop.slice(1)}/`, `${shop.slice(1)}/a`])
  const tar = (status: number) => {
    writeFileSync(
      join(root, 'bin/tar'),
      `#!/bin/sh\n/usr/bin/env -i PATH=/usr/bin:/bin tar "$@"\nexit ${status}\n`,
    )
    chmodSync(join(root, 'bin/tar'), 0o755)
  }
  rmSync(join(root, 'backups', made))
  tar(1)
  t.equal(run(command).status, 0, 'a file changed as it was read')
  t.equal(backups().length, 1)
  rmSync(join(root, 'backups'), { recursive: true })
  mkdirSync(join(root, 'backups'))
  tar(2)
  t.equal(run(command).status, 1)
  t.strictSame(backups(), [])
  t.end()
})

await t.test('old files of one folder go, and nothing else', (t) => {
  const { root, run } = bench(t)
  const folder = join(root, 'work/old things')
  const at = Date.now() / 1000
  const day = 86_400
  mkdirSync(join(folder, 'sub'), { recursive: true })
  const files: [name: string, days: number][] = [
    ['young.log', 6.9],
    ['old.log', 7.1],
    ['-old.log', 8],
    ['old; touch pwned.log', 9],
    ['old.txt', 90],
    ['sub/old.log', 90],
  ]
  const write = () => {
    for (const [name, days] of files) {
      writeFileSync(join(folder, name), '')
      utimesSync(join(folder, name), at - days * day, at - days * day)
    }
  }
  write()
  symlinkSync(join(folder, 'old.txt'), join(folder, 'link.log'))
  const clean = (more: Options = {}) =>
    run(commandOf('cleanup', { folder, olderThanDays: 7, pattern: '*.log', ...more }))
  const left = () => readdirSync(folder, { recursive: true, encoding: 'utf8' }).toSorted()
  const { status, stdout } = clean()
  t.equal(status, 0)
  t.strictSame(stdout.trim().split('\n').toSorted(), ['./-old.log', './old.log', './old; touch pwned.log'])
  t.strictSame(left(), ['link.log', 'old.txt', 'sub', 'sub/old.log', 'young.log'])
  write()
  const link = join(root, 'work/link')
  symlinkSync(folder, link)
  symlinkSync(root, join(root, 'work/up'))
  for (const other of [link, join(root, 'work/up/work/old things'), join(root, 'none')]) {
    t.match(clean({ folder: other }), { status: 1, stdout: '', stderr: /nothing was deleted/ }, other)
    t.equal(left().length, 8)
  }
  t.end()
})

await t.test('the line of an entry is the same to cron', (t) => {
  const { root, calls } = bench(t)
  const spoolDir = join(root, 'spool')
  mkdirSync(join(spoolDir, '.bin'), { recursive: true })
  symlinkSync(resolve(import.meta.dirname, '../../../assets/cronrun'), join(spoolDir, '.bin/cronrun'))
  const args = ['50% off!', '+%F', "it's", '$(date)']
  const command = commandOf('custom', { executable: join(root, 'bin/my-job'), args })
  const { lines, script } = rendered(
    { id: 'job', name: 'Job', schedule: '* * * * *', command, enabled: true },
    { spoolDir, host: 'here' },
  )
  t.equal(script, null)
  const given = lines.split('\n').find((one) => one.startsWith('* * * * * ')) ?? ''
  // what cron makes of it: the escape goes, a bare % would end the command
  t.notMatch(given, /[^\\]%/)
  const { status } = spawnSync('/bin/sh', ['-c', given.slice('* * * * * '.length).replaceAll('\\%', '%')], {
    cwd: '/',
    env: cronEnvironment({ name: 'alice', home: root }, 'debian'),
  })
  t.equal(status, 0)
  t.match(calls(), [{ words: args }])
  t.end()
})

await t.test('in a crontab', { skip: noCron() }, async (t) => {
  const { prepare, body, service, apply } = await crontabs(t, { policy: { directories: ['/srv'] } })
  const asked: EntryDefinition = {
    name: 'Clean',
    user: 'alice',
    enabled: true,
    preset: 'certbot-renew',
    options: { certbot: '/bin/echo' },
  }
  const put = (entry: EntryDefinition) => apply({ action: 'put', entry })
  const { entry: made } = await put(asked)
  t.match(made, {
    preset: 'certbot-renew',
    options: { certbot: '/bin/echo' },
    schedule: '17 3,15 * * *',
    command: '/bin/echo renew --quiet --no-random-sleep-on-renew',
    noOverlap: true,
    splayMs: 3_600_000,
  })
  t.match(body(), /\n17 3,15 \* \* \* \S*cronrun .*echo renew/)
  t.match((await prepare({ action: 'put', entry: asked })).warnings, [/certbot\.timer/])
  await apply({ action: 'disable', id: made?.id ?? '' })
  const { entries } = await service.list('alice', { ...DEPLOYER, scopes: new Set(['read'] as const) })
  t.match(entries, [{ preset: 'certbot-renew', enabled: false, masked: true }])
  t.notOk(entries[0]?.options, 'options are for those who may see commands')
  await t.rejects(put({ ...asked, options: { certName: '; x' } }), {
    code: 'ENTRY_INVALID',
    facts: { issues: [{ path: 'options.certName' }] },
  })
  await t.rejects(put({ ...asked, preset: 'no-such' }), { code: 'ENTRY_INVALID' })
  await t.rejects(
    put({ ...asked, preset: 'backup-mysql', options: { folder: '/srv/b', name: 'x' } }),
    { code: 'POLICY_DENIED', message: /put more into a script/ },
    'a line that the policy cannot judge',
  )
})
