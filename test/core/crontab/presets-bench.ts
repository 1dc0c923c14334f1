import { spawnSync } from 'node:child_process'
import { chmodSync, existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Test } from 'tap'
import { cronEnvironment } from '../../../src/core/crontab/cron-environment.ts'
import { expandEntry } from '../../../src/core/crontab/presets/expand.ts'
import type { EntryDefinition } from '../../../src/protocol/entry.ts'

export type Options = Record<string, unknown>

export const CALLED = ['php', 'mysqldump', 'pg_dump', 'certbot', 'my-job']

/** A folder to work in, and stand-ins in a PATH. */
export function bench(t: Test, standIns: readonly string[] = CALLED) {
  const root = t.testdir({ bin: {}, work: {}, backups: {} })
  const notes = join(root, 'notes')
  const standIn = (path: string, then = 'echo told') => {
    const note = `printf '%s\\0' "$PWD" "\${PGPASSFILE-}" "$0" "$@" >>'${notes}'; printf '\\n\\0' >>'${notes}'`
    writeFileSync(path, `#!/bin/sh\n${note}\n${then}\n`)
    chmodSync(path, 0o755)
  }
  for (const name of standIns) standIn(join(root, 'bin', name))
  const run = (command: string) =>
    spawnSync('/bin/sh', ['-c', command], {
      cwd: join(root, 'work'),
      env: { ...cronEnvironment({ name: 'alice', home: root }, 'debian'), PATH: `${root}/bin:/usr/bin:/bin` },
      input: '',
      encoding: 'utf8',
    })
  /** The words of each call, with the folder and the password file that it had. */
  const calls = () => {
    const text = existsSync(notes) ? readFileSync(notes, 'utf8') : ''
    rmSync(notes, { force: true })
    return text
      .split('\0\n\0')
      .slice(0, -1)
      .map((call) => call.split('\0'))
      .map(([folder = '', passFile = '', , ...words]) => ({ folder, passFile, words }))
  }
  const backups = () => readdirSync(join(root, 'backups')).toSorted()
  return { root, run, calls, standIn, backups }
}

function entryOf(preset: string, options: Options): EntryDefinition {
  const { entry, issues } = expandEntry({ name: 'It', user: 'alice', enabled: true, preset, options })
  if (issues.length > 0) throw new Error(JSON.stringify(issues))
  return entry
}

export const commandOf = (preset: string, options: Options) => entryOf(preset, options).command ?? ''

/** Options that are refused, and where. */
const folder = '/srv/shop'
const backup = { folder: '/b', name: 'x' }
/** Options of which nearly all are wrong, and what is said of them. */
export const WRONG = {
  preset: 'backup-mysql',
  options: { folder: '', keep: 'x', databases: [3], routines: 'yes', extra: 1 },
  reasons: [
    'options.folder: must not be empty (all options: agent cron presets backup-mysql)',
    'options.name: missing: how the names of the files begin; then comes the time in UTC, and .sql.gz',
    'options.keep: must be a number',
    'options.databases.0: must be a text',
    'options.routines: must be true or false',
    'options.extra: there is no such option; there are: folder, name, keep, databases, defaultsFile, mysqldump, singleTransaction, routines',
  ],
}

export const REFUSED: [preset: string, options: Options, path: string][] = [
  ['laravel-scheduler', {}, 'options.folder'],
  ['laravel-scheduler', { folder: 'shop' }, 'options.folder'],
  ['laravel-scheduler', { folder: '/srv/../etc' }, 'options.folder'],
  ['laravel-scheduler', { folder, php: '-r' }, 'options.php'],
  ['laravel-scheduler', { folder, php: 'bin/php' }, 'options.php'],
  ['laravel-scheduler', { folder, php: 'A=b' }, 'options.php'],
  ['laravel-scheduler', { folder, script: '-r' }, 'options.script'],
  ['backup-mysql', { ...backup, name: 'a/b' }, 'options.name'],
  ['backup-mysql', { ...backup, keep: 0 }, 'options.keep'],
  ['backup-mysql', { ...backup, databases: ['--all-databases'] }, 'options.databases.0'],
  ['backup-mysql', { ...backup, password: 'x' }, 'options.password'],
  ['backup-postgres', { ...backup, database: 'host=evil' }, 'options.database'],
  ['backup-postgres', { ...backup, database: 'postgres://u:p@h/d' }, 'options.database'],
  ['backup-files', { ...backup, paths: [] }, 'options.paths'],
  ['backup-files', { ...backup, folder: '/srv/b', paths: ['/etc', '/srv'] }, 'options.paths.1'],
  ['certbot-renew', { reload: 'nginx; reboot' }, 'options.reload'],
  ['queue-restart', { folder, worker: 'sidekiq' }, 'options.worker'],
  ['custom', {}, 'options.executable'],
  ...[
    '/',
    '//',
    '/.',
    '/..',
    '/tmp/',
    '/tmp/..',
    '/etc',
    '/etc/cron.d',
    '/usr',
    '/usr/lib/x',
    '/var',
    '/home',
  ].map((one): [string, Options, string] => ['cleanup', { folder: one, olderThanDays: 1 }, 'options.folder']),
  ['cleanup', { folder: '/tmp/x', olderThanDays: 0 }, 'options.olderThanDays'],
  ['cleanup', { folder: '/tmp/x', olderThanDays: 1, pattern: '../*' }, 'options.pattern'],
]
export const HOSTILE = [
  '; touch pwned',
  'x && touch pwned #',
  'x\ntouch pwned',
  'a  b',
  '100%',
  `it's "so"`,
  '$(touch pwned)',
  '`touch pwned`',
  '-x',
  '--help',
  '!x',
  '*',
  '~',
  'A=b',
  '\\',
  'ü✓',
]
