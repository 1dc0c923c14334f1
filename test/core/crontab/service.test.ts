// Crontabs of a real cron in namespaces of its own: entries made, changed, imported, ejected; drift, damage, copies; what
// others write in the same moments.
import { appendFileSync, existsSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { CrontabBackups } from '../../../src/core/crontab/backups.ts'
import { JobFiles } from '../../../src/core/crontab/job-files.ts'
import { cronSpool } from '../../../src/core/doctor/cron-spool.ts'
import { FLAVOUR, noCron } from '../../fixtures/crontab.ts'
import { until } from '../../fixtures/wait.ts'
import { crontabs, DEPLOYER, definition } from './service-harness.ts'
import { SHIM } from './shim-harness.ts'

const skip = noCron()
const FOREIGN = '# mine\nPATH=/usr/bin:/bin\n*/5 * * * * echo "a 100\\% mine"\n'

await t.test('an entry from its plan to its end, beside lines of others', { skip }, async (t) => {
  const { host, prepare, apply, put, body, service, spoolDir, events } = await crontabs(t)
  await host.install('alice', FOREIGN)
  const planned = await prepare({ action: 'put', entry: definition() })
  t.match(planned.diff, /^\+5 4 \* \* \* .*cronrun .* -- '\/bin\/true'$/m)
  t.match(planned.warnings, [/cron-not-running/])
  t.equal(body(), FOREIGN, 'a plan changes nothing')

  const made = await put({ timeoutMs: 60_000, noOverlap: true })
  t.match(
    body(),
    /^\n# >>> supervisor-agent block v1\n# \S+ Job\n5 4 \* \* \* \S+ -s \S+ -o -t 60 \S+ -- '\/bin\/true'\n# <<</,
  )
  t.ok(body()?.endsWith(FOREIGN), 'every byte of others is there')
  const line =
    body()
      ?.split('\n')
      .find((text) => text.startsWith('5 4 ')) ?? ''
  const ran = await host.run(['sh', '-c', line.replace('5 4 * * * ', '').replace('/bin/true', 'exit 7')], {
    user: 'alice',
  })
  t.equal(ran.code, 7, 'what the line names is there and runs as its user')
  const { entries } = await service.list('alice', DEPLOYER)
  t.match(entries, [
    { id: made.id, managed: true, command: '/bin/true', revision: made.revision, timeoutMs: 60_000 },
    { managed: false, command: 'echo "a 100% mine"', env: { PATH: '/usr/bin:/bin' } },
  ])

  const { entry: off } = await apply({ action: 'disable', id: made.id, ifRevision: made.revision })
  t.match(body(), /^#off 5 4/m)
  t.equal(off?.enabled, false)
  await t.rejects(apply({ action: 'enable', id: made.id, ifRevision: made.revision }), {
    code: 'REVISION_CONFLICT',
  })
  await apply({ action: 'enable', id: made.id })
  t.notMatch(body(), /#off/)

  const withEnv = await put({ id: made.id, env: { APP_KEY: 'very secret' }, command: '/bin/echo hello' })
  const script = join(spoolDir, '.scripts', `${made.id}.sh`)
  const { mode, uid, gid } = statSync(script)
  t.strictSame([mode & 0o7777, uid, gid], [0o640, 0, 1501], "root's, for the group of its user")
  t.equal(statSync(join(spoolDir, '.scripts')).mode & 0o777, 0o711)
  t.match(readFileSync(script, 'utf8'), "export APP_KEY='very secret'\n/bin/echo hello")
  t.notMatch(body(), /very secret/, 'nothing of it is in the crontab')
  t.not(withEnv.revision, made.revision)

  await apply({ action: 'delete', id: made.id })
  t.equal(body(), FOREIGN, 'what was there before is all there is')
  t.notOk(existsSync(script))
  t.strictSame(
    events('crontab.changed').map(({ action }) => action),
    ['put', 'disable', 'enable', 'put', 'delete'],
  )
  t.strictSame(events('crontab.drift'), [])
})

await t.test('who may see and do what', { skip }, async (t) => {
  const { put, apply, service, prepare, host } = await crontabs(t)
  const made = await put({ command: '/bin/echo hidden' })
  for (const who of [
    { ...DEPLOYER, scopes: new Set(['read'] as const) },
    { ...DEPLOYER, users: ['bob'] },
  ]) {
    const { entries } = await service.list(undefined, who)
    t.match(entries, [{ id: made.id, masked: true, command: undefined }])
    t.notMatch(JSON.stringify(entries), 'hidden')
  }
  const bob = { ...DEPLOYER, users: ['bob'] }
  const refused = { code: 'FORBIDDEN', facts: { rule: 'token.users' } }
  await t.rejects(apply({ action: 'delete', id: made.id }, bob), refused)
  await t.rejects(apply({ action: 'put', entry: definition({ id: made.id, user: 'bob' }) }, bob), refused)
  await t.rejects(prepare({ action: 'repair', user: 'alice' }, bob), refused)
  await t.rejects(service.assertMine('alice', bob), refused)
  await t.rejects(apply({ action: 'put', entry: definition({ schedule: '61 * * * *' }) }), {
    code: 'ENTRY_INVALID',
    facts: { issues: [{ path: 'schedule' }] },
  })
  await t.rejects(apply({ action: 'delete', id: 'nothing' }), { code: 'ENTRY_NOT_FOUND' })
  t.strictSame((await service.list('../../../etc/passwd', DEPLOYER)).entries, [])

  writeFileSync(join(host.etc, 'cron.deny'), 'alice\n')
  // cronie asks who calls, and that is root
  if (FLAVOUR === 'debian') {
    await t.rejects(put({ id: made.id, command: '/bin/echo other' }), {
      code: 'CRON_UNAVAILABLE',
      facts: { reason: 'not-allowed', user: 'alice' },
    })
    t.match((await service.find(made.id))?.entry.command, '/bin/echo hidden', 'and nothing was done')
    const copies = await service.backups('alice')
    await t.rejects(put({ id: made.id, command: '/bin/echo third' }), { code: 'CRON_UNAVAILABLE' })
    t.strictSame(await service.backups('alice'), copies, 'what is refused drives out no copy')
  }
  writeFileSync(join(host.etc, 'cron.deny'), '')
  writeFileSync(join(host.etc, 'shadow'), 'alice:*:19000:0:99999:7::19001:\n')
  await t.rejects(put(), { code: 'CRON_UNAVAILABLE', facts: { reason: 'expired-user' } })
  writeFileSync(join(host.etc, 'shadow'), 'alice:*:19000:0:30:7:::\n')
  await t.rejects(put(), { code: 'CRON_UNAVAILABLE', facts: { reason: 'expired-password' } })
  writeFileSync(join(host.etc, 'shadow'), '')
  const free = { ...DEPLOYER, users: ['*'] }
  await t.rejects(put({ user: 'daemon' }, free), {
    code: 'POLICY_DENIED',
    facts: { rule: 'policy.users' },
  })
  await t.rejects(put({ user: 'nobody-here' }, free), {
    code: 'CRON_UNAVAILABLE',
    facts: { reason: 'unknown-user' },
  })
})

await t.test('a foreign line is imported and comes back as it was', { skip }, async (t) => {
  const { host, apply, service, body } = await crontabs(t)
  const foreign = '30 2 * * 1\t/bin/echo  weekly\n0 1 * * * /bin/echo second\n'
  await host.install('alice', foreign)
  const { entries } = await service.list('alice', DEPLOYER)
  const key = entries[0]?.key ?? ''
  const { entry } = await apply({ action: 'import', user: 'alice', key })
  t.match(entry, { schedule: '30 2 * * 1', command: '/bin/echo  weekly', managed: true })
  t.equal(entry?.name, 'line 1', 'of what it runs nothing is in its name, which all may read')
  t.ok(body()?.endsWith('v1\n0 1 * * * /bin/echo second\n'), 'the line left its place')
  await t.rejects(apply({ action: 'import', user: 'alice', key }), { code: 'ENTRY_NOT_FOUND' })
  await apply({ action: 'eject', id: entry?.id ?? '' })
  t.equal(body(), foreign)
  await host.install('alice', '0 1 * * *\techo  short # by its name\n')
  const short = (await service.list('alice', DEPLOYER)).entries[0]?.key ?? ''
  const { entry: named } = await apply({ action: 'import', user: 'alice', key: short })
  t.match(named?.command, /^\/(?:usr\/)?bin\/echo /)
  await apply({ action: 'disable', id: named?.id ?? '' })
  await apply({ action: 'enable', id: named?.id ?? '' })
  await apply({ action: 'eject', id: named?.id ?? '' })
  t.equal(body(), '0 1 * * *\techo  short # by its name\n')
  await host.install('alice', 'A=b\n* * * * * /bin/echo $A\n')
  const [line] = (await service.list('alice', DEPLOYER)).entries
  await t.rejects(apply({ action: 'import', user: 'alice', key: line?.key ?? '' }), { code: 'ENTRY_INVALID' })
})

await t.test('what a person does to the block is told and not undone', { skip }, async (t) => {
  const { host, put, apply, stack, body, events, service } = await crontabs(t)
  const one = await put({ name: 'One' })
  const two = await put({ name: 'Two', command: '/bin/echo two' })
  await stack.drift.sweep()
  t.strictSame(events('crontab.drift'), [])
  const edited = (body() ?? '').replace('/bin/true', '/bin/false')
  await host.install('alice', edited)
  await stack.drift.sweep()
  await stack.drift.sweep()
  t.match(events('crontab.drift'), [
    { user: 'alice', kind: 'edited', restored: false, diff: /\+.*\/bin\/false/ },
  ])
  t.equal(events('crontab.drift').length, 1, 'once')
  t.equal(body(), edited)
  t.match((await service.find(one.id))?.entry.command, '/bin/false', 'and shown')
  await apply({ action: 'disable', id: two.id })
  t.match(body(), /\/bin\/false/, 'a change of another entry leaves it')
  t.match(await service.find(one.id), { entry: { command: '/bin/false' }, isDrifted: true })
  await t.rejects(put({ id: one.id }), { code: 'REVISION_CONFLICT', facts: { drift: true } })
  await apply({ action: 'repair', user: 'alice' })
  t.match(await service.find(one.id), { isDrifted: true }, 'nor does a repair of what is whole')
  await stack.drift.sweep()
  t.equal(events('crontab.drift').length, 1, 'it is the same as was told')
  await host.install('alice', (body() ?? '').replace('/bin/false', '/bin/cat'))
  await t.rejects(put({ id: one.id }), { code: 'REVISION_CONFLICT', facts: { drift: true } })
  const seen = await service.find(one.id)
  await apply({ action: 'put', entry: definition({ id: one.id }), ifRevision: seen?.revision })
  t.match(body(), /'\/bin\/true'/)

  await host.install('alice', (body() ?? '').replace('# <<<', '# <<'))
  await t.rejects(put({ name: 'Three' }), { code: 'CRONTAB_DAMAGED' })
  await apply({ action: 'repair', user: 'alice' })
  const { entries } = await service.list('alice', DEPLOYER)
  t.strictSame(
    new Set(entries.filter(({ managed }) => managed).map(({ id }) => id)),
    new Set([one.id, two.id]),
  )

  // one that is commented out, and back in its place only after another was changed
  const whole = body() ?? ''
  await host.install('alice', whole.replace('5 4 * * * ', '#5 4 * * * '))
  await apply({ action: 'enable', id: two.id })
  await host.install('alice', (body() ?? '').replace('#5 4 * * * ', '5 4 * * * '))
  await t.rejects(put({ name: 'Four' }), { code: 'CRONTAB_DAMAGED', message: /outside our block/ })
  await apply({ action: 'repair', user: 'alice' })
  t.match(body(), /^5 4 \* \* \* .*\/bin\/true'$/m, 'it runs again')

  await host.install('alice', (body() ?? '').replace("'/bin/true'", "'/bin/true' >>/tmp/log"))
  const altered = (await service.list('alice', DEPLOYER)).entries.find(({ obstacles }) => obstacles)
  t.match(altered, { id: one.id, obstacles: [/changed by hand/] })
  await t.rejects(put({ id: one.id }), { code: 'REVISION_CONFLICT', facts: { drift: true } })
  await apply({ action: 'put', entry: definition({ id: one.id }), ifRevision: altered?.revision })
  t.equal(body()?.match(/\/bin\/true/g)?.length, 1, 'it does not run twice')
})

await t.test('variables above the block are told, since they reach its jobs', { skip }, async (t) => {
  const { host, put, apply, stack, body, events } = await crontabs(t)
  await put()
  const ours = body() ?? ''
  await host.install('alice', `# mail\nMAILTO=ops\n${ours}`)
  await stack.tend()
  t.strictSame(events('crontab.drift'), [], 'those of mails do not')
  await host.install('alice', `PATH=/nowhere\n${ours}1 1 * * * /bin/echo theirs\n`)
  await stack.tend()
  await stack.tend()
  t.match(events('crontab.drift'), [{ kind: 'covered', restored: false, diff: /^\+PATH=\/nowhere$/m }])
  t.equal(events('crontab.drift').length, 1, 'once')
  await apply({ action: 'repair', user: 'alice' })
  t.equal(body(), `${ours}PATH=/nowhere\n1 1 * * * /bin/echo theirs\n`, 'its blank line with it')
})

await t.test('what entries run is put back when somebody clears it away', { skip }, async (t) => {
  const { host, put, stack, spoolDir, stateDir, begin, judge, body, events } = await crontabs(t)
  const { id } = await put({ env: { A: 'b' }, command: '/bin/echo hello' })
  const [shim, script] = [join(spoolDir, '.bin/cronrun'), join(spoolDir, '.scripts', `${id}.sh`)]
  const text = readFileSync(script, 'utf8')
  rmSync(spoolDir, { recursive: true })
  await stack.tend()
  t.equal(readFileSync(script, 'utf8'), text)
  t.strictSame([statSync(script).gid, statSync(script).mode & 0o777], [1501, 0o640])
  t.equal(statSync(shim).mode & 0o777, 0o755)
  const line = await host.run([shim, '-s', spoolDir, id], { user: 'alice' })
  t.equal(line.stdout.toString(), 'hello\n')

  await t.test(
    'and lines that lead to the spool of a former config are told, and led to that of today',
    async (t) => {
      await stack.stop()
      const today = join(host.folder, 'spool-2')
      const moved = await begin(today)
      const faults = () => cronSpool({ config: { stateDir, spoolDir: today } }).run()
      const message = `entries of alice leave their results in a former spoolDir, where nobody reads them: ${id}`
      t.match(await faults(), [{ severity: 'warning', message, fix: 'agent cron repair alice' }])
      const before = body()
      await moved.tend()
      t.equal(body(), before, 'nothing is written unasked')
      const wish = { action: 'put' as const, entry: definition({ id: 'other' }) }
      const change = await moved.service.prepare(wish, judge(DEPLOYER))
      t.match(change.warnings, [
        `lines that named a former spoolDir name the one of today: ${id}`,
        /cron-not-running/,
      ])
      await moved.service.commit(change, DEPLOYER)
      t.strictSame([body()?.match(/ -s (\S+)/g)], [[` -s ${today}`, ` -s ${today}`]])
      t.same(await faults(), [])
      const ran = await host.run([join(today, '.bin/cronrun'), '-s', today, id], { user: 'alice' })
      t.equal(ran.stdout.toString(), 'hello\n', 'its script is there')
      // its process has another number outside, so no more than its record is looked for
      await until(() => moved.results.runs.list({ id, limit: 1 }).length > 0, 'its result')
      await moved.stop()
      const back = await begin()
      const repair = { action: 'repair' as const, user: 'alice' }
      await back.service.commit(await back.service.prepare(repair, judge(DEPLOYER)), DEPLOYER)
      t.strictSame([body()?.match(/ -s (\S+)/g)], [[` -s ${spoolDir}`, ` -s ${spoolDir}`]], 'by a repair too')
      await back.drift.sweep()
      t.strictSame(events('crontab.drift'), [])
    },
  )

  await host.run(['mount', '-t', 'tmpfs', '-o', 'noexec', 'tmpfs', '/mnt'])
  const closed = host.inside('/mnt/spool')
  const files = new JobFiles(closed, { shim: SHIM })
  await t.rejects(files.start(), { code: 'CRON_UNAVAILABLE', facts: { reason: 'no-exec' } })
  const check = cronSpool({ config: { stateDir: join(host.folder, 'state'), spoolDir: closed } })
  t.match(await check.run(), [
    { severity: 'failure', message: /nothing can be run from/, fix: /remount,exec/ },
  ])
  const barred = await begin(closed)
  const gone = { action: 'delete' as const, id: 'other' }
  await barred.service.commit(await barred.service.prepare(gone, judge(DEPLOYER)), DEPLOYER)
  t.strictSame(
    [body()?.match(/ -s (\S+)/g)],
    [[` -s ${spoolDir}`]],
    'one goes away all the same, and leads none there',
  )
})

await t.test('with cronDrift: enforce the block is put back', { skip }, async (t) => {
  const { host, put, stack, body, events } = await crontabs(t, { cronDrift: 'enforce' })
  await put()
  const ours = body() ?? ''
  await host.install('alice', `${ours.replace('/bin/true', '/bin/false')}1 1 * * * /bin/echo theirs\n`)
  await stack.drift.sweep()
  t.equal(body(), `${ours}1 1 * * * /bin/echo theirs\n`)
  t.match(events('crontab.drift'), [{ kind: 'edited', restored: true }])
})

await t.test('copies of what was before each write', { skip }, async (t) => {
  const { host, put, apply, service, body, spoolDir, stateDir, begin } = await crontabs(t)
  await host.install('alice', FOREIGN)
  const made = await put({ env: { A: 'b' } })
  const withEntry = body()
  await apply({ action: 'delete', id: made.id })
  t.notOk(existsSync(join(spoolDir, '.scripts', `${made.id}.sh`)))
  const copies = await service.backups('alice')
  t.equal(copies.length, 2)
  await apply({ action: 'restore', user: 'alice', backup: copies[0]?.backup ?? '' })
  t.equal(body(), withEntry)
  t.ok(existsSync(join(spoolDir, '.scripts', `${made.id}.sh`)), 'with its script')
  const again = await begin()
  t.match(
    (await again.service.find(made.id))?.entry,
    { env: { A: 'b' } },
    'another start of the agent knows it',
  )
  const backups = new CrontabBackups(join(stateDir, 'crontabs/copies'))
  for (let i = 0; i < 12; i++) await backups.add('alice', Buffer.from(`# ${i}\n`), [])
  const kept = await service.backups('alice')
  t.equal(kept.length, 10, 'ten are kept')
  t.equal((await backups.read('alice', kept[0]?.backup ?? ''))?.bytes.toString(), '# 11\n', 'the newest')
  await t.rejects(apply({ action: 'restore', user: 'alice', backup: '2020-01-01T00-00-00-000Z' }), {
    code: 'ENTRY_NOT_FOUND',
  })
})

await t.test(
  'a copy is judged as it stands, a line of ours as a person changed it too',
  { skip },
  async (t) => {
    const { host, put, apply, service, body } = await crontabs(t, { policy: { commands: ['/bin/true'] } })
    const made = await put()
    await host.install('alice', body()?.replace("'/bin/true'", "'/bin/false'") ?? '')
    const seen = await service.find(made.id)
    await apply({ action: 'put', entry: definition({ id: made.id }), ifRevision: seen?.revision })
    t.match(body(), /'\/bin\/true'/)
    const before = body()
    const [copy] = await service.backups('alice')
    await t.rejects(apply({ action: 'restore', user: 'alice', backup: copy?.backup ?? '' }), {
      code: 'POLICY_DENIED',
    })
    t.equal(body(), before, 'and nothing has changed')
  },
)

await t.test('two calls at once, and a person who writes all the time', { skip }, async (t) => {
  const { host, put, body, events, service, stack } = await crontabs(t)
  const names = ['One', 'Two', 'Three']
  const seconds = new Set<number>()
  const spool = host.inside('/var/spool/cron/crontabs/alice')
  await Promise.all(
    names.map(async (name) => {
      await put({ name })
      seconds.add(Math.floor(statSync(spool).mtimeMs / 1000))
    }),
  )
  const { entries } = await service.list('alice', DEPLOYER)
  t.strictSame(new Set(entries.map(({ name }) => name)), new Set(names), 'none lost the other')
  t.equal(seconds.size, 3, 'each in a second of its own')

  const log = join(host.folder, 'lines')
  writeFileSync(log, '')
  const over = new AbortController()
  const person = (async () => {
    for (let n = 0; !over.signal.aborted; n++) {
      const added = await host.run([
        'sh',
        '-c',
        `(crontab -u alice -l; echo '1 1 * * * /bin/echo line-${n}-') | crontab -u alice -`,
      ])
      if (added.code === 0) appendFileSync(log, `line-${n}-\n`)
      await new Promise((resolve) => setTimeout(resolve, 200))
    }
  })()
  const made: string[] = []
  for (let i = 0; i < 3; i++) made.push((await put({ name: `Beside ${i}` })).id)
  over.abort()
  await person
  // one who read before our last write and wrote after it is seen at the next look
  await stack.drift.sweep()
  const lines = readFileSync(log, 'utf8').split('\n').filter(Boolean)
  const lost = [...lines, ...made].filter((text) => !body()?.includes(text))
  const races = events('crontab.drift')
  t.ok(
    lost.length <= races.length * 2,
    `${lost.length} of ${lines.length + made.length} lost (${lost.join(' ')}), ${races.length} told`,
  )
})
