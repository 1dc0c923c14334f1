import * as z from 'zod'
import { BACKUP_LIMITS, backupLine } from './backup.ts'
import { backupOptions, executable, path, word } from './options.ts'
import { preset } from './preset.ts'
import { commandOf, quoted } from './shell.ts'

/** pg_dump takes a name with one of these for a whole connection string, which may say anything. */
const CONNECTION = /[=:/]/

export const backupPostgres = preset({
  preset: 'backup-postgres',
  title: 'Backup of a PostgreSQL database (pg_dump, for pg_restore)',
  schedule: '40 3 * * *',
  options: () =>
    z.strictObject({
      ...backupOptions('then comes the time in UTC, and .dump'),
      database: word(63)
        .refine((name) => !CONNECTION.test(name), 'the name of a database: no = : or /')
        .describe('the database'),
      host: word(255)
        .optional()
        .describe(
          'where the server listens, or the folder of its socket; without it, the socket of this host',
        ),
      port: z.int().min(1).max(65_535).optional().describe('without it, the usual one'),
      username: word(63).optional().describe('the role; without it, that of the user of the entry'),
      passFile: path()
        .optional()
        .describe('a password file that its user alone can read (0600); without it, ~/.pgpass'),
      pgDump: executable('pg_dump').describe('pg_dump, or its full path'),
    }),
  example: { folder: '/var/backups/postgres', name: 'shop', database: 'shop' },
  build: ({ database, host, port, username, passFile, pgDump, ...place }) => {
    const dump = commandOf([
      pgDump,
      '--no-password',
      '--format=custom',
      host === undefined ? null : `--host=${host}`,
      port === undefined ? null : `--port=${port}`,
      username === undefined ? null : `--username=${username}`,
      '--',
      database,
    ])
    const command = passFile === undefined ? dump : `PGPASSFILE=${quoted(passFile)} ${dump}`
    return { ...BACKUP_LIMITS, command: backupLine(place, { ending: '.dump', command }) }
  },
})
