import * as z from 'zod'
import type { CrontabChange } from '../core/crontab/change.ts'
import type { Wish } from '../core/crontab/prepare.ts'
import {
  Entry,
  EntryDefinition,
  EntryId,
  EntryRevision,
  ForeignKey,
  SchedulePreview,
} from '../protocol/entry.ts'
import { mutation, query } from '../protocol/method.ts'
import { CrontabPreset } from '../protocol/preset.ts'
import type { Context } from './context.ts'
import { observedEntry } from './observed.ts'

export const CHANGE_ERRORS = [
  'FORBIDDEN',
  'POLICY_DENIED',
  'ENTRY_NOT_FOUND',
  'ENTRY_INVALID',
  'REVISION_CONFLICT',
  'CRONTAB_DAMAGED',
  'CRON_UNAVAILABLE',
] as const

const IfRevision = EntryRevision.optional().describe('only if the entry is still this one')
export const UserName = z
  .string()
  .regex(/^[A-Za-z_][A-Za-z0-9_.-]{0,31}$/, 'a system user')
  .describe('a system user')

const definition: z.input<typeof EntryDefinition> = {
  name: 'Laravel scheduler',
  user: 'www-data',
  schedule: '* * * * *',
  command: 'cd /srv/shop && php artisan schedule:run',
}
const entry: z.input<typeof Entry> = {
  ...definition,
  id: 'sixb2k-9f0c1ab2',
  schedule: '* * * * *',
  enabled: true,
  managed: true,
  revision: '5f0c1ab29e7d4438',
  next: ['2026-11-22T10:01:00.000Z'],
}
const Changed = z.strictObject({ entry: Entry, warnings: z.array(z.string()) })
const changed = { entry, warnings: [] }
const ById = z.strictObject({ id: EntryId, ifRevision: IfRevision })

export async function judge(wish: Wish, context: Context): Promise<CrontabChange> {
  return await context.crontabs.prepare(wish, context)
}

/** Carries out what was judged, and answers with the entry that it was about. */
async function commit({ crontabs, principal }: Context, change: CrontabChange) {
  const { entry: now, warnings } = await crontabs.commit(change, principal)
  if (now === null) throw new Error('a change of an entry that is about none')
  return { entry: now, warnings }
}

export const crontabMethods = {
  'crontab.list': query({
    summary: 'List the managed entries of all users, and the other lines of their crontabs.',
    scope: 'read',
    params: () => z.strictObject({ user: UserName.optional().describe('of that user alone') }),
    result: () =>
      z.strictObject({
        entries: z.array(Entry),
        hidden: z.int().describe('foreign lines that are not shown: over 500 of one user'),
      }),
    errors: [],
    example: { params: {}, result: { entries: [entry], hidden: 0 } },
    cli: { command: 'cron ls', positional: ['user'] },
    run: async ({ user }, { crontabs, principal }: Context) => await crontabs.list(user, principal),
  }),

  'crontab.preview': query({
    summary: 'Say in words when a schedule runs, its next runs, and what is ambiguous.',
    scope: 'read',
    params: () =>
      z.strictObject({
        schedule: z.string().min(1).max(1000),
        count: z.int().min(1).max(100).default(5).describe('how many next runs'),
      }),
    result: () => SchedulePreview,
    errors: ['ENTRY_INVALID'],
    example: {
      params: { schedule: '15 3 * * 1-5' },
      result: {
        description: 'at 03:15 on Monday to Friday',
        zone: 'Europe/Berlin',
        next: ['2026-11-23T02:15:00.000Z'],
        warnings: [],
      },
    },
    cli: { command: 'cron next', positional: ['schedule'] },
    run: ({ schedule, count }, { crontabs }: Context) => crontabs.preview(schedule, count),
  }),

  'crontab.presets': query({
    summary: 'List the presets that an entry can be made from, with their options.',
    scope: 'read',
    params: () =>
      z.strictObject({
        preset: z.string().max(64).optional().describe('only the one of that name'),
        show: z.boolean().default(false).describe('with an example of the command that it makes'),
      }),
    result: () => z.strictObject({ presets: z.array(CrontabPreset) }),
    errors: ['ENTRY_INVALID'],
    example: {
      params: { preset: 'laravel-scheduler' },
      result: {
        presets: [
          {
            preset: 'laravel-scheduler',
            title: 'Laravel scheduler (schedule:run)',
            schedule: '* * * * *',
            schema: { type: 'object', properties: { php: { type: 'string', default: 'php' } } },
            defaults: { php: 'php' },
            warnings: [],
          },
        ],
      },
    },
    cli: { command: 'cron presets', positional: ['preset'] },
    run: ({ preset, show }, { crontabs }: Context) => ({ presets: crontabs.presets(preset, show) }),
  }),

  'crontab.plan': query({
    summary: 'Show what a put would do to the crontab.',
    scope: 'cron',
    params: () => z.strictObject({ entry: EntryDefinition, ifRevision: IfRevision }),
    invalidAs: { entry: 'ENTRY_INVALID' },
    result: () =>
      z.strictObject({
        diff: z.string().describe('unified diff of the crontab and of the script of the entry'),
        warnings: z.array(z.string()),
      }),
    errors: CHANGE_ERRORS,
    example: { params: { entry: definition }, result: { diff: '', warnings: [] } },
    cli: { command: 'cron plan', body: 'entry' },
    secretParams: ['entry.command', 'entry.env', 'entry.options'],
    judge: (params, context: Context) => judge({ action: 'put', ...params }, context),
    run: (_params, _context: Context, { diff, warnings }) => ({ diff, warnings }),
  }),

  'crontab.put': mutation({
    summary: 'Create or change an entry in the crontab of its user.',
    scope: 'cron',
    params: () => z.strictObject({ entry: EntryDefinition, ifRevision: IfRevision }),
    invalidAs: { entry: 'ENTRY_INVALID' },
    result: () => Changed,
    errors: CHANGE_ERRORS,
    example: { params: { entry: definition }, result: changed },
    cli: { command: 'cron add', body: 'entry' },
    secretParams: ['entry.command', 'entry.env', 'entry.options'],
    judge: ({ entry: wanted, ifRevision }, context: Context) =>
      judge({ action: 'put', entry: wanted, ifRevision }, context),
    observe: ({ entry: { id, user } }, context: Context, made) =>
      observedEntry(context, { id: id ?? made?.id ?? undefined, user }),
    run: async (_params, context: Context, made) => await commit(context, made),
  }),

  'crontab.delete': mutation({
    summary: 'Take an entry out of the crontab of its user, for good.',
    scope: 'cron',
    params: () => ById,
    result: () => Changed,
    errors: CHANGE_ERRORS,
    example: { params: { id: 'sixb2k-9f0c1ab2' }, result: changed },
    cli: { command: 'cron rm', positional: ['id'] },
    judge: ({ id, ifRevision }, context: Context) => judge({ action: 'delete', id, ifRevision }, context),
    observe: ({ id }, context: Context) => observedEntry(context, { id }),
    run: async (_params, context: Context, made) => await commit(context, made),
  }),

  'crontab.enable': mutation({
    summary: 'Let a disabled entry run again.',
    scope: 'cron',
    params: () => ById,
    result: () => Changed,
    errors: CHANGE_ERRORS,
    example: { params: { id: 'sixb2k-9f0c1ab2' }, result: changed },
    cli: { command: 'cron enable', positional: ['id'] },
    judge: ({ id, ifRevision }, context: Context) => judge({ action: 'enable', id, ifRevision }, context),
    observe: ({ id }, context: Context) => observedEntry(context, { id }),
    run: async (_params, context: Context, made) => await commit(context, made),
  }),

  'crontab.disable': mutation({
    summary: 'Keep an entry from running; all else of it stays.',
    scope: 'cron',
    params: () => ById,
    result: () => Changed,
    errors: CHANGE_ERRORS,
    example: {
      params: { id: 'sixb2k-9f0c1ab2' },
      result: { ...changed, entry: { ...entry, enabled: false } },
    },
    cli: { command: 'cron disable', positional: ['id'] },
    judge: ({ id, ifRevision }, context: Context) => judge({ action: 'disable', id, ifRevision }, context),
    observe: ({ id }, context: Context) => observedEntry(context, { id }),
    run: async (_params, context: Context, made) => await commit(context, made),
  }),

  'crontab.import': mutation({
    summary: 'Make an entry of one foreign line, which leaves its place.',
    scope: 'cron',
    params: () => z.strictObject({ user: UserName, key: ForeignKey }),
    result: () => Changed,
    errors: CHANGE_ERRORS,
    example: { params: { user: 'www-data', key: '5f0c1ab29e7d4438-1' }, result: changed },
    cli: { command: 'cron import', positional: ['user', 'key'] },
    judge: ({ user, key }, context: Context) => judge({ action: 'import', user, key }, context),
    observe: ({ user }, context: Context) => observedEntry(context, { user }),
    run: async (_params, context: Context, made) => await commit(context, made),
  }),

  'crontab.eject': mutation({
    summary: 'Make an ordinary line of its user of an entry, which goes on without the agent.',
    scope: 'cron',
    params: () => z.strictObject({ id: EntryId }),
    result: () => Changed,
    errors: CHANGE_ERRORS,
    example: { params: { id: 'sixb2k-9f0c1ab2' }, result: changed },
    cli: { command: 'cron eject', positional: ['id'] },
    judge: ({ id }, context: Context) => judge({ action: 'eject', id }, context),
    observe: ({ id }, context: Context) => observedEntry(context, { id }),
    run: async (_params, context: Context, made) => await commit(context, made),
  }),
}
