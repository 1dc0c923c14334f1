import * as z from 'zod'
import { BACKUP_LIMITS, backupLine } from './backup.ts'
import { backupOptions, path, word } from './options.ts'
import { preset } from './preset.ts'
import { commandOf } from './shell.ts'

/** Some files changed while they were read: the archive is good, those files are as they were at some moment. */
const TAR_CHANGED = 1

export const backupFiles = preset({
  preset: 'backup-files',
  title: 'Backup of files (tar)',
  schedule: '50 3 * * *',
  options: () =>
    z
      .strictObject({
        ...backupOptions('then comes the time in UTC, and .tar.gz'),
        paths: z.array(path()).min(1).max(100).describe('files and folders, by their full paths'),
        exclude: z
          .array(word(255))
          .max(100)
          .default([])
          .describe('patterns of what is left out, such as *.log or srv/shop/cache'),
        oneFileSystem: z.boolean().default(true).describe('leave out what is mounted within'),
      })
      .superRefine(({ folder, paths }, context) => {
        paths.forEach((one, at) => {
          if (folder === one || folder.startsWith(`${one}/`))
            context.addIssue({
              code: 'custom',
              path: ['paths', at],
              message: `the backups themselves lie there (${folder}), and each would hold all before it`,
            })
        })
      }),
  example: { folder: '/var/backups/files', name: 'shop', paths: ['/srv/shop'] },
  build: ({ paths, exclude, oneFileSystem, ...place }) => ({
    ...BACKUP_LIMITS,
    command: backupLine(place, {
      ending: '.tar.gz',
      statusMax: TAR_CHANGED,
      command: commandOf([
        'tar',
        '--create',
        '--gzip',
        '--file=-',
        '--directory=/',
        oneFileSystem ? '--one-file-system' : null,
        ...exclude.map((pattern) => `--exclude=${pattern}`),
        '--',
        // as tar keeps them anyway
        ...paths.map((one) => one.slice(1)),
      ]),
    }),
  }),
})
