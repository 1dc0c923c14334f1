import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  chownSync,
  existsSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import type { Wish } from '../../../src/core/crontab/prepare.ts'
import { SpoolFolder } from '../../../src/core/crontab/spool-folder.ts'
import { noCron } from '../../fixtures/crontab.ts'
import { noNamespace } from '../../fixtures/namespace.ts'
import { until } from '../../fixtures/wait.ts'
import { host, record, UP_MS } from './runs-harness.ts'
import { crontabs, DEPLOYER, definition } from './service-harness.ts'
import { run, SHIM } from './shim-harness.ts'

await t.test('fifty jobs in one second are kept while the agent is killed again and again', async (t) => {
  const { root, folder, journal, begin } = host(t)
  const reader = () => {
    const child = spawn(
      process.execPath,
      ['--import', 'tsx', join(import.meta.dirname, 'spool-reader.ts'), root, journal],
      {
        stdio: ['pipe', 'pipe', 'inherit'],
      },
    )
    t.teardown(() => child.kill('SIGKILL'))
    return child
  }
  const finished = () =>
    existsSync(journal)
      ? readdirSync(journal).flatMap((file) =>
          readFileSync(join(journal, file), 'utf8')
            .split('\n')
            .slice(0, -1)
            .map((line) => JSON.parse(line) as Record<string, unknown>)
            .filter(({ verdict }) => verdict !== undefined),
        )
      : []
  const jobs = Array.from({ length: 50 }, (_, i) =>
    run([SHIM, '-s', root, `job${i}`, '--', `sleep ${(i % 5) / 10}; echo ${i}; exit ${i}`]),
  )
  // killed at different moments: as soon as it has kept some more
  for (const most of [1, 10, 25, 40]) {
    const child = reader()
    await once(child.stdout, 'data')
    await until(() => finished().length >= most, `${most} results`)
    child.kill('SIGKILL')
    await once(child, 'exit')
  }
  for (const ended of await Promise.all(jobs)) t.type(ended.status, 'number')
  const { list, output } = await begin()
  t.strictSame(
    list()
      .map(({ exitStatus = -1 }) => exitStatus)
      .toSorted((a, b) => a - b),
    Array.from({ length: 50 }, (_, i) => i),
  )
  t.equal(new Set(finished().map(({ run: name }) => name)).size, 50)
  t.equal(finished().length, 50, 'none is written twice')
  for (const { run: name, exitStatus } of list()) t.equal(await output(name), `${exitStatus}\n`)
  await until(() => readdirSync(folder).length === 0, 'the spool to be empty')
})

await t.test('hostile files are refused and told of, and the good ones read', async (t) => {
  const { root, folder, begin } = host(t)
  const names = Array.from({ length: 8 }, (_, i) => record({ up: 1000 + i }).name)
  const [link = '', fifo = '', large = '', twice = '', empty = '', lie = '', directory = '', full = ''] =
    names
  const secret = join(root, 'secret')
  writeFileSync(secret, record({ rest: '\nended @1 0 0\n' }).text)
  symlinkSync(secret, join(folder, link))
  execFileSync('mkfifo', [join(folder, fifo)])
  writeFileSync(join(folder, large), '')
  truncateSync(join(folder, large), 100 * 1024 * 1024)
  writeFileSync(join(folder, twice), record({ up: 1003, rest: '\nended @1 0 0\n' }).text)
  linkSync(join(folder, twice), join(root, 'elsewhere'))
  writeFileSync(join(folder, empty), '')
  writeFileSync(join(folder, lie), record({ up: 9, rest: '\nended @1 0 0\n' }).text)
  mkdirSync(join(folder, directory))
  mkdirSync(join(folder, full))
  writeFileSync(join(folder, full, 'x'), '')
  writeFileSync(join(folder, 'notes.txt'), 'mine')
  symlinkSync('/', join(folder, 'root'))
  const isRoot = process.getuid?.() === 0
  const foreign = record({ up: 2000, rest: '\nended @1 0 0\n' })
  writeFileSync(join(folder, foreign.name), foreign.text)
  if (isRoot) chownSync(join(folder, foreign.name), 65_534, 65_534)
  const good = record({ rest: 'fine\nended @1 0 0\n' })
  writeFileSync(join(folder, good.name), good.text)

  const { list, log, output } = await begin()
  t.strictSame(
    list()
      .map(({ run: name }) => name)
      .filter((name) => isRoot || name !== foreign.name),
    [good.name],
  )
  t.equal(await output(good.name), 'fine')
  const { files, count } = JSON.parse(log().split('\n')[0] ?? '') as {
    files: { name: string; why: string }[]
    count: number
  }
  t.equal(count, isRoot ? 11 : 10)
  t.equal(files.length, 5, 'a few by name')
  await until(() => !readdirSync(folder).includes(good.name), 'the good one to be removed')
  t.strictSame(
    readdirSync(folder).toSorted(),
    [full, 'notes.txt', 'root'].toSorted(),
    'what has no name of ours stays',
  )
  t.ok(existsSync(secret))
  t.ok(existsSync(join(root, 'elsewhere')), 'names go, not what they stand for')

  const told = log().length
  // later ones too, whichever way they come
  symlinkSync(secret, join(folder, record({ up: 3000 }).name))
  await until(() => log().length > told, 'the report')
  t.match(log().slice(told), /"why":"symbolic-link"/)
  await until(() => !readdirSync(folder).includes(record({ up: 3000 }).name), 'its end')
})

await t.test('each refusal has its reason', async (t) => {
  const { root, folder } = host(t)
  const owner = { uid: process.getuid?.() ?? 0 }
  const own = SpoolFolder.open(folder, owner)
  t.teardown(() => own.close())
  writeFileSync(join(folder, 'file'), 'x')
  symlinkSync('file', join(folder, 'link'))
  symlinkSync('nowhere', join(folder, 'loose'))
  linkSync(join(folder, 'file'), join(root, 'other'))
  execFileSync('mkfifo', [join(folder, 'fifo')])
  mkdirSync(join(folder, 'folder'))
  writeFileSync(join(folder, 'large'), 'x'.repeat(100))
  const rows = [
    ['link', 'symbolic-link'],
    ['loose', 'symbolic-link'],
    ['file', 'hard-link'],
    ['fifo', 'not-regular'],
    ['folder', 'not-regular'],
    ['large', 'too-large'],
  ] as const
  for (const [name, why] of rows) t.match(own.read(name, 99), { kind: 'refused', why }, name)
  t.match(own.read('missing', 99), { kind: 'gone' })
  t.match(own.read('large', 100), { kind: 'file' })
  t.ok(own.isInPlace())
  renameSync(folder, `${folder}-away`)
  t.notOk(own.isInPlace())
  t.match(own.read('large', 100), { kind: 'file' }, 'it is the folder that counts')
  symlinkSync(`${folder}-away`, folder)
  t.throws(() => SpoolFolder.open(folder, owner), /ENOTDIR|ELOOP/)
  if (owner.uid === 0) {
    chownSync(join(`${folder}-away`, 'large'), 65_534, 65_534)
    t.match(own.read('large', 100), { why: 'foreign-owner' })
    t.throws(() => SpoolFolder.open(`${folder}-away`, { uid: 65_534 }), /belongs to uid 0/)
    mkdirSync(join(root, '.nobody.new'), { mode: 0o700 }) // of an agent that was killed
    const made = SpoolFolder.open(join(root, 'nobody'), { uid: 65_534 })
    t.match(statSync(join(root, 'nobody')), { uid: 65_534, gid: 0, mode: 0o40770 })
    t.notOk(existsSync(join(root, '.nobody.new')))
    made.close()
  }
})

await t.test('what was killed on the way is cleared away, what lives is not', async (t) => {
  const { folder, begin } = host(t)
  const dead = record({ up: 1 }).name
  const up = Math.round(UP_MS / 10) + 6000
  const alive = record({ pid: process.pid, up }).name
  const older = record({ pid: process.pid, up: 1 }).name
  for (const name of [dead, older, alive])
    for (const way of ['new', 'out']) writeFileSync(join(folder, `${name}.${way}`), 'x')
  writeFileSync(join(folder, 'job.lock'), '')
  const { log } = await begin()
  t.strictSame(readdirSync(folder).toSorted(), [`${alive}.new`, `${alive}.out`, 'job.lock'].toSorted())
  t.equal(log(), '', 'and nothing is said of it')
})

await t.test(
  'a result that comes again is known by its name, also when its entry has had many since',
  async (t) => {
    const { folder, begin } = host(t, { limits: { runs: 3, keepMs: 3_600_000 } })
    const records = Array.from({ length: 300 }, (_, i) =>
      record({ up: 1000 + i, rest: `${i}\nended @1 0 0\n` }),
    )
    const put = () => {
      for (const { name, text } of records) writeFileSync(join(folder, name), text)
    }
    put()
    const first = await begin()
    t.equal(first.events().length, 600, 'each is told, the oldest too')
    t.equal(first.list().length, 3, 'the newest are kept')
    t.match(first.list()[0], { run: records.at(-1)?.name })
    // as if it had been killed before they were removed
    await until(() => readdirSync(folder).length === 0, 'the spool to be empty')
    await first.stop()
    put()
    const second = await begin()
    await until(() => readdirSync(folder).length === 0, 'the spool to be empty')
    t.strictSame(second.events(), [])
    t.strictSame(second.list(), first.list())
  },
)

await t.test('a disk that is full delays results and loses none', { skip: noNamespace() }, async (t) => {
  const { root, journal } = host(t)
  const script = `mkdir -p ${journal} && mount -t tmpfs -o size=256k none ${journal} && exec "$@"`
  const full = join(import.meta.dirname, 'full-disk-runs.ts')
  const told = await run([
    'unshare',
    '-rm',
    'sh',
    '-c',
    script,
    'sh',
    process.execPath,
    '--import',
    'tsx',
    full,
    root,
    journal,
  ])
  t.equal(told.stderr.toString(), '')
  t.strictSame(JSON.parse(told.stdout.toString()), {
    whileFull: ['running'],
    left: 1,
    after: ['success'],
    events: ['crontab.started', 'crontab.finished'],
    logged: 1,
  })
})

await t.test(
  'lines are led to the spool of today as they are when a change is carried out',
  { skip: noCron() },
  async (t) => {
    const { spoolDir, put, stack, begin, judge } = await crontabs(t)
    const env = { A: 'b' }
    const { id } = await put({ env, command: '/bin/echo former' })
    const { id: gone } = await put({ env, command: '/bin/echo gone' })
    await stack.stop()
    const today = `${spoolDir}-2`
    const { service } = await begin(today)
    const prepare = (wish: Wish) => service.prepare(wish, judge(DEPLOYER))
    const early = await prepare({ action: 'put', entry: definition({ id: 'other' }) })
    const repair = await prepare({ action: 'repair', user: 'alice' })
    const entry = definition({ id, env, command: '/bin/echo new' })
    for (const wish of [{ action: 'delete', id: gone } as const, { action: 'put', entry } as const])
      await service.commit(await prepare(wish), DEPLOYER)

    const scripts = join(today, '.scripts')
    const commands = { [id]: '/bin/echo new', other: '/bin/true' }
    for (const change of [early, repair]) {
      await service.commit(change, DEPLOYER)
      t.match(
        readFileSync(join(scripts, `${id}.sh`), 'utf8'),
        '/bin/echo new',
        `${change.action}: its script`,
      )
      t.notOk(existsSync(join(scripts, `${gone}.sh`)), `${change.action}: what was deleted stays away`)
      const { entries } = await service.list('alice', DEPLOYER)
      t.strictSame(Object.fromEntries(entries.map((one) => [one.id, one.command])), commands)
    }
  },
)

await t.test(
  'a change that was prepared before another of its entry is refused',
  { skip: noCron() },
  async (t) => {
    const { spoolDir, put, service, judge } = await crontabs(t)
    const { id } = await put({ env: { A: 'old' } })
    const prepare = (wish: Wish) => service.prepare(wish, judge(DEPLOYER))
    const late = await prepare({ action: 'disable', id })
    // its line is the same: what differs is in its script
    await put({ id, env: { A: 'new' } })
    await t.rejects(service.commit(late, DEPLOYER), { code: 'REVISION_CONFLICT' })
    t.match(readFileSync(join(spoolDir, '.scripts', `${id}.sh`), 'utf8'), 'new')
    t.match((await service.list('alice', DEPLOYER)).entries, [{ id, enabled: true, env: { A: 'new' } }])
  },
)
