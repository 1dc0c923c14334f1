import * as z from 'zod'
import { path, word } from './options.ts'
import { preset } from './preset.ts'
import { commandOf, quoted } from './shell.ts'

/** Folders of the system, and those that hold everybody's: a slip there costs the host. */
const SYSTEM =
  /^\/(?:(?:bin|boot|dev|etc|lib\w*|proc|sbin|sys|usr\/(?:bin|sbin|lib\w*))(?:\/|$)|(?:home|opt|root|run|srv|usr|var)$)/
const DAY_MINUTES = 1440

export const cleanup = preset({
  preset: 'cleanup',
  title: 'Deletes old files of one folder',
  schedule: '30 4 * * *',
  options: () =>
    z.strictObject({
      folder: path()
        .refine((one) => !SYSTEM.test(one), 'a folder of the system is not cleaned up')
        .describe('the folder; what lies in folders within it stays, and a link to a folder is none'),
      olderThanDays: z.int().min(1).max(3650).describe('days since they were written last'),
      pattern: word(255)
        .refine((text) => !text.includes('/'), 'the pattern of a name: no /')
        .default('*')
        .describe('only files of such names, as in *.log'),
    }),
  example: { folder: '/var/backups/shop', olderThanDays: 30 },
  build: ({ folder, olderThanDays, pattern }) => ({
    noOverlap: true,
    command: [
      `cd -P ${quoted(folder)} && [ "$(pwd -P)" = ${quoted(folder)} ]`,
      '|| { echo "that folder is missing, or there is a link on the way to it: nothing was deleted" >&2; exit 1; };',
      commandOf(['find', '.', '-mindepth', '1', '-maxdepth', '1', '-type', 'f']),
      commandOf(['-mmin', `+${olderThanDays * DAY_MINUTES}`, '-name', pattern, '-print', '-delete']),
    ].join(' '),
  }),
})
