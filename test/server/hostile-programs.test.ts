// Definitions that would harm the host, through the real dispatcher: each is refused, its field named, and not a byte
// of the configuration is another afterwards.
import { createHash } from 'node:crypto'
import { mkdirSync, readdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import t from 'tap'
import { HOSTILE } from '../core/programs/hostile-definitions.ts'
import { type Supervisord, supervisord } from '../fixtures/supervisord.ts'
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
