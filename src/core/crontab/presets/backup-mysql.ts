import * as z from 'zod'
import { BACKUP_LIMITS, backupLine } from './backup.ts'
import { backupOptions, executable, path, word } from './options.ts'
import { preset } from './preset.ts'
import { commandOf } from './shell.ts'

export const backupMysql = preset({
  preset: 'backup-mysql',
  title: 'Backup of MySQL or MariaDB databases (mysqldump)',
  schedule: '20 3 * * *',
  options: () =>
    z.strictObject({
      ...backupOptions('then comes the time in UTC, and .sql.gz'),
      databases: z.array(word(64)).max(100).default([]).describe('the databases; none = all of them'),
      defaultsFile: path()
        .optional()
        .describe(
          'an option file with user and password under [client], which its user alone can read; without it, ~/.my.cnf',
        ),
      mysqldump: executable('mysqldump').describe('mysqldump or mariadb-dump, or its full path'),
      singleTransaction: z
        .boolean()
        .default(true)
        .describe('one moment of all InnoDB tables, without a lock; false where tables are of MyISAM'),
      routines: z.boolean().default(true).describe('stored procedures, functions and events too'),
    }),
  example: { folder: '/var/backups/mysql', name: 'shop', databases: ['shop'] },
  build: ({ databases, defaultsFile, mysqldump, singleTransaction, routines, ...place }) => ({
    ...BACKUP_LIMITS,
    command: backupLine(place, {
      ending: '.sql.gz',
      filter: 'gzip',
      command: commandOf([
        mysqldump,
        // it must come first
        defaultsFile === undefined ? null : `--defaults-extra-file=${defaultsFile}`,
        singleTransaction ? '--single-transaction' : null,
        '--quick',
        ...(routines ? ['--routines', '--events'] : []),
        ...(databases.length === 0 ? ['--all-databases'] : ['--databases', ...databases]),
      ]),
    }),
  }),
})
