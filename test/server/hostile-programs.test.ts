// Definitions that would harm the host, through the real dispatcher: each is refused, its field named, and not a byte
// of the configuration is another afterwards.
import { createHash } from 'node:crypto'
import {
  existsSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import t from 'tap'
import { LOCAL_ADMIN } from '../../src/core/access/local-principals.ts'
import { HOSTILE } from '../core/programs/hostile-definitions.ts'
import { type Supervisord, supervisord } from '../fixtures/supervisord.ts'
import { until } from '../fixtures/wait.ts'
import { failure, parts, somebody } from './support.ts'

type Row = [it: string, fields: Record<string, unknown>, path: string]

/** What only this host makes hostile. */
function hostRows({ folder, logDir }: Supervisord): Row[] {
  const at = (name: string) => join(folder, 'srv', name)
  return [
    ['root', { user: 'root' }, 'user'],
    ['root by number', { user: '0' }, 'user'],
    ['nobody named, so as supervisord runs', { user: undefined }, 'user'],
    ['a user without right', { user: 'daemon' }, 'user'],
    ['a user that there is not', { user: 'nosuchuser' }, 'user'],
    ['a folder outside the roots', { directory: '/etc' }, 'directory'],
    ['a folder that climbs out of the roots', { directory: at('../..') }, 'directory'],
    ['a link out of the roots', { directory: at('link') }, 'directory'],
    ['a link below a link', { directory: at('link/cron.d') }, 'directory'],
    ['a folder that there is not', { directory: at('none') }, 'directory'],
    ['a file for a folder', { directory: at('file') }, 'directory'],
    ['an executable outside the roots', { command: '/usr/sbin/chroot /' }, 'command'],
    ['an executable that there is not', { command: '/bin/no-such-command' }, 'command'],
    ['a relative executable', { command: './run' }, 'command'],
    ['a shell with code', { command: '/bin/sh -c "id > /tmp/x"' }, 'command'],
    ['a shell behind env', { command: '/usr/bin/env sh -c id' }, 'command'],
    ['code in PHP', { command: "/usr/bin/env python3 -c 'print(1)'" }, 'command'],
    ['another user by sudo', { command: '/usr/bin/sudo id' }, 'command'],
    ['a library in the environment', { environment: { LD_PRELOAD: '/tmp/x.so' } }, 'environment'],
    ['another PATH', { environment: { PATH: '/tmp' } }, 'environment'],
    ['a log onto /etc/passwd', { stdoutLogfile: '/etc/passwd' }, 'stdoutLogfile'],
    ['errors onto /etc/passwd', { redirectStderr: false, stderrLogfile: '/etc/passwd' }, 'stderrLogfile'],
    ['a log over a link', { stdoutLogfile: join(logDir, 'link.log') }, 'stdoutLogfile'],
    ['a log in a folder over a link', { stdoutLogfile: join(logDir, 'out', 'a.log') }, 'stdoutLogfile'],
    [
      'a log in the configuration',
      { stdoutLogfile: join(folder, 'conf.d', 'agent-x.conf') },
      'stdoutLogfile',
    ],
    ['a log in memory', { stdoutLogfile: '/dev/shm/a.log' }, 'stdoutLogfile'],
    ['more processes than the host allows', { processes: 33 }, 'processes'],
    ['a preset that there is not', { preset: 'no-such' }, 'preset'],
    ['the name of a program of others', { name: 'theirs' }, 'name'],
    ['the name of an event listener of others', { name: 'hears' }, 'name'],
  ]
}

await t.test('a hostile definition changes nothing', async (t) => {
  const host = await supervisord(t, { programs: { theirs: { command: 'sleep 600', startsecs: 0 } } })
  const srv = join(host.folder, 'srv')
  mkdirSync(srv)
  writeFileSync(join(srv, 'file'), '')
  symlinkSync('/etc', join(srv, 'link'))
  symlinkSync('/etc/passwd', join(host.logDir, 'link.log'))
  symlinkSync('/etc', join(host.logDir, 'out'))
  host.writeProgram('eventlistener:hears', {
    command: 'sleep 600',
    events: 'TICK_3600',
    autostart: false,
  })
  const { dispatcher, context, lines, tokensFile } = await parts(t, {
    url: host.url,
    policy: { users: ['nobody'], directories: [srv], logDirectories: [host.logDir] },
  })
  const panel = context(
    somebody({ scopes: new Set(['read', 'program']), users: ['nobody', 'root', 'daemon', 'nosuchuser'] }),
  )
  const base = { name: 'web', command: '/bin/sleep 600', user: 'nobody', directory: srv }
  const before = hashOf(host)
  t.match(
    await dispatcher.dispatch('program.plan', { definition: base }, panel),
    { errors: [] },
    'the rest is fine',
  )

  const rows = [...HOSTILE, ...hostRows(host)]
  t.ok(rows.length >= 120, `${rows.length} of them`)
  for (const [n, [it, fields, path]] of rows.entries()) {
    const given = Object.entries({ ...base, ...fields }).filter(([, value]) => value !== undefined)
    const definition = Object.fromEntries(given)
    const idempotencyKey = `hostile-definition-${n}`
    const { code, facts } = await failure(
      dispatcher.dispatch('program.put', { definition, idempotencyKey }, panel),
    )
    t.match(code, /^(?:PROGRAM_INVALID|POLICY_DENIED)$/, `${it}: ${JSON.stringify(facts)}`)
    const issues = (facts['issues'] ?? [{ path: facts['path'] }]) as { path: string }[]
    t.ok(
      issues.some((issue) => issue.path === path),
      `${it}: ${code} names ${path}: ${JSON.stringify(facts)}`,
    )
    t.notMatch(JSON.stringify(facts), /evil|SECRET_VALUE/, `${it}: what was sent is not repeated`)
  }
  t.equal(hashOf(host), before, 'the configuration is as it was')
  t.strictSame(under(join(dirname(tokensFile), 'programs')), [], 'nothing was begun')
  t.notMatch(lines.join(''), /SECRET_VALUE/)
})

await t.test('no program gets the log of another, nor any file that is there', async (t) => {
  const kept = { command: 'sleep 600', startsecs: 0, stdout_logfile_maxbytes: 0 }
  const host = await supervisord(t, { programs: { db: { command: 'sleep 600', startsecs: 0 }, kept } })
  const { logDir, folder, mainLog } = host
  const log = (name: string) => join(logDir, name)
  for (const name of ['db.out.1', 'other.log', 'app-1.log', 'web-9.log', 'old.log.3'])
    writeFileSync(log(name), 'SECRET_LINE\n')
  await until(() => existsSync(log('db.out')), 'the log of db')
  symlinkSync(log('db.out'), log('soft.log'))
  linkSync(log('db.out'), log('hard.log'))
  symlinkSync(log('target.log'), log('led.log'))
  host.writeProgram('led', { command: 'sleep 600', autostart: false, stdout_logfile: log('led.log') })
  host.writeProgram('eventlistener:hears', {
    command: 'sleep 600',
    events: 'TICK_3600',
    autostart: false,
    stderr_logfile: log('hears.log'),
  })
  const { dispatcher, context } = await parts(t, {
    url: host.url,
    policy: { users: ['nobody'], logDirectories: [logDir, folder] },
  })
  const scopes = new Set(['read', 'logs', 'control', 'program'] as const)
  const narrow = context(somebody({ scopes, programs: ['web-*'], users: ['nobody'] }))
  const wider = context(somebody({ scopes, programs: ['web-*', 'db'], users: ['nobody'] }))
  const base = { command: '/bin/sleep 600', user: 'nobody', startSecs: 0, redirectStderr: true }
  let calls = 0
  const put = (definition: object, as = narrow) =>
    dispatcher.dispatch(
      'program.put',
      { definition: { ...base, ...definition }, verifyMs: 0, idempotencyKey: `log-claims-${++calls}` },
      as,
    )

  const before = readFileSync(log('db.out.1'), 'utf8')
  const always = { stdoutLogfileMaxBytes: 0 }
  const rows: [it: string, fields: object, key?: string][] = [
    ['a live log', { stdoutLogfile: log('db.out') }],
    ['a live log, never rotated', { stdoutLogfile: log('db.out'), ...always }],
    ['a live log that never rotates', { stdoutLogfile: log('kept.out') }],
    ['both never rotated', { stdoutLogfile: log('kept.out'), ...always }],
    ['errors into it', { redirectStderr: false, stderrLogfile: log('kept.out') }, 'stderrLogfile'],
    ['a backup', { stdoutLogfile: log('db.out.1') }],
    ['a backup to come', { stdoutLogfile: log('db.out.7'), ...always }],
    ['a log whose backup is there', { stdoutLogfile: log('old.log') }],
    ['the log of an event listener, not there yet', { stdoutLogfile: log('hears.log') }],
    ['any file in a root', { stdoutLogfile: log('other.log') }],
    ['one of several', { processes: 2, stdoutLogfile: log('app-%(process_num)d.log') }],
    ['its default, when that is there', { name: 'web-9' }],
    ['a link to a log', { stdoutLogfile: log('soft.log') }],
    ['a second name of a log', { stdoutLogfile: log('hard.log'), ...always }],
    ['where the link of a log leads, not there yet', { stdoutLogfile: log('target.log') }],
    ["supervisord's own log", { stdoutLogfile: mainLog, ...always }],
    ['a backup of it to come', { stdoutLogfile: `${mainLog}.1` }],
  ]
  for (const [it, fields, path = 'stdoutLogfile'] of rows) {
    const definition = { ...base, name: 'web-0', ...fields }
    const error = await failure(put(definition))
    t.match(error, { code: 'POLICY_DENIED', facts: { rule: 'policy.logDirectories', path } }, it)
    t.notMatch(
      `${error.message}${JSON.stringify(error.facts)}`,
      /of db|program:|hears:|conf\.d/,
      `${it}: names nobody`,
    )
    const explain = { method: 'program.put', params: { definition } }
    const rule = 'policy.logDirectories'
    t.match(await dispatcher.dispatch('policy.explain', explain, narrow), { allowed: false, rule }, it)
  }
  t.match(await failure(put({ name: 'web-0', stdoutLogfile: log('db.out') }, wider)), {
    message: /is a log of db/,
  })
  t.equal(readFileSync(log('db.out.1'), 'utf8'), before)
  t.match(
    await dispatcher.dispatch(
      'program.plan',
      { definition: { name: 'web-0', ...base, stdoutLogfile: log('other.log') } },
      context(LOCAL_ADMIN),
    ),
    { errors: [], warnings: [/other\.log is there already/] },
    'root is warned',
  )

  await put({ name: 'web-1' })
  t.ok(existsSync(log('web-1.log')))
  await put({ name: 'web-1', command: '/bin/sleep 601' })
  await dispatcher.dispatch('program.delete', { name: 'web-1', idempotencyKey: 'log-claims-gone' }, narrow)
  await put({ name: 'web-1' })
  t.match(await failure(put({ name: 'web-2', startSecs: 1, command: '/bin/false' })), { code: 'ROLLED_BACK' })
  t.ok(existsSync(log('web-2.log')))
  await put({ name: 'web-2' })
  t.pass('its own logs, of a former life or a change that was undone, are its own')
  t.match(await failure(put({ name: 'web-3', stdoutLogfile: log('web-1.log') })), { code: 'POLICY_DENIED' })
  // two at the same moment, neither of whose files are there yet
  const racing = { autostart: false, stdoutLogfile: log('racing.log') }
  const pair = ['web-4', 'web-5'].map((name) =>
    put({ name, ...racing }).then(
      () => 'done',
      ({ code }: { code: string }) => code,
    ),
  )
  t.strictSame((await Promise.all(pair)).toSorted(), ['POLICY_DENIED', 'done'])
  rmSync(log('web-1.log'))
  linkSync(log('db.out'), log('web-1.log'))
  const scale = { name: 'web-1', processes: 1, idempotencyKey: 'log-claims-scale' }
  t.match(
    await failure(dispatcher.dispatch('program.scale', scale, narrow)),
    { code: 'POLICY_DENIED' },
    'one that was made a second name of a log',
  )
})

/** Of names, modes, times and content of all that supervisord reads. */
function hashOf({ configFile, programDir }: Supervisord): string {
  const hash = createHash('sha256')
  const files = readdirSync(programDir).toSorted()
  hash.update(JSON.stringify(files))
  for (const path of [configFile, ...files.map((name) => join(programDir, name))]) {
    const { mode, mtimeMs, ino } = statSync(path)
    hash.update(JSON.stringify([path, mode, mtimeMs, ino]))
    hash.update(readFileSync(path))
  }
  return hash.digest('hex')
}

function under(folder: string): string[] {
  try {
    return readdirSync(folder, { recursive: true }).map(String)
  } catch {
    return []
  }
}

await t.test('no more programs than the host allows, however many are asked for at once', async (t) => {
  const host = await supervisord(t)
  const { dispatcher, context } = await parts(t, {
    url: host.url,
    policy: { users: ['nobody'], logDirectories: [host.logDir], maxPrograms: 2 },
  })
  const panel = context(somebody({ scopes: new Set(['read', 'program']), users: ['nobody'] }))
  const put = (n: number) => {
    const definition = { name: `p-${n}`, command: '/bin/sleep 600', user: 'nobody', autostart: false }
    const call = { definition, verifyMs: 0, idempotencyKey: `many-at-once-${n}` }
    return dispatcher.dispatch('program.put', call, panel).then(
      () => 'done',
      ({ facts }: { facts: { rule: string } }) => facts.rule,
    )
  }
  const outcomes = await Promise.all(Array.from({ length: 4 }, (_, n) => put(n)))
  const over = 'policy.maxPrograms'
  t.strictSame(outcomes.toSorted(), ['done', 'done', over, over])
  t.match(await dispatcher.dispatch('program.list', {}, panel), { programs: { length: 2 } })
})
