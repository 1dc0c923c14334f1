import * as z from 'zod'
import type { CrontabChange } from '../core/crontab/change.ts'
import { mutation, query } from '../protocol/method.ts'
import { Instant } from '../protocol/names.ts'
import type { Context } from './context.ts'
import { CHANGE_ERRORS, judge, UserName } from './crontab.ts'
import { observedEntry } from './observed.ts'

const BackupName = z.string().regex(/^[0-9TZ-]{20,40}$/, 'a copy as crontab.backups gives it')
const ByUser = z.strictObject({ user: UserName })
const Restored = z.strictObject({
  diff: z.string().describe('unified diff of the crontab'),
  warnings: z.array(z.string()),
})

/** Carries out what was judged of a crontab as a whole. */
async function commitTable({ crontabs, principal }: Context, change: CrontabChange) {
  const { warnings } = await crontabs.commit(change, principal)
  return { diff: change.diff, warnings }
}

/** What is done to a crontab as a whole. */
export const crontabTableMethods = {
  'crontab.repair': mutation({
    summary:
      'Put the block of a crontab right: a damaged one as the agent knows it, one below variables of others on top, lines that name a former spoolDir to that of today; all other bytes stay.',
    scope: 'cron',
    params: () => ByUser,
    result: () => Restored,
    errors: CHANGE_ERRORS,
    example: { params: { user: 'www-data' }, result: { diff: '', warnings: [] } },
    cli: { command: 'cron repair', positional: ['user'] },
    judge: ({ user }, context: Context) => judge({ action: 'repair', user }, context),
    observe: ({ user }, context: Context) => observedEntry(context, { user }),
    run: async (_params, context: Context, made) => await commitTable(context, made),
  }),

  'crontab.backups': query({
    summary: 'List the copies of a crontab from before each write, the newest first.',
    scope: 'cron',
    params: () => ByUser,
    result: () =>
      z.strictObject({
        backups: z.array(z.strictObject({ backup: BackupName, at: Instant, sizeBytes: z.int() })),
      }),
    errors: ['FORBIDDEN'],
    example: {
      params: { user: 'www-data' },
      result: {
        backups: [{ backup: '2026-11-22T10-00-00-000Z', at: '2026-11-22T10:00:00.000Z', sizeBytes: 512 }],
      },
    },
    cli: { command: 'cron backups', positional: ['user'] },
    judge: ({ user }, { crontabs, principal }: Context) => crontabs.assertMine(user, principal),
    run: async ({ user }, { crontabs }: Context) => ({ backups: await crontabs.backups(user) }),
  }),

  'crontab.restoreBackup': mutation({
    summary: 'Give a user the crontab of an earlier copy; what runs then is judged by the rules of today.',
    scope: 'cron',
    params: () => z.strictObject({ user: UserName, backup: BackupName }),
    result: () => Restored,
    errors: CHANGE_ERRORS,
    example: {
      params: { user: 'www-data', backup: '2026-11-22T10-00-00-000Z' },
      result: { diff: '', warnings: [] },
    },
    cli: { command: 'cron restore-backup', positional: ['user', 'backup'] },
    judge: ({ user, backup }, context: Context) => judge({ action: 'restore', user, backup }, context),
    observe: ({ user }, context: Context) => observedEntry(context, { user }),
    run: async (_params, context: Context, made) => await commitTable(context, made),
  }),
}
