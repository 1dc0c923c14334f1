import * as z from 'zod'
import { mutation, query } from '../protocol/method.ts'
import { ProcessName, Select } from '../protocol/names.ts'
import { ProcessResult } from '../protocol/process.ts'
import type { Context } from './context.ts'
import { observedProcesses } from './observed.ts'

const Cursor = z.string().max(128).describe('where a former answer ended; opaque')
const Channel = z.enum(['stdout', 'stderr'])

export const logMethods = {
  'log.tail': query({
    summary: 'Give the end of a log, or what came after a cursor.',
    scope: 'logs',
    params: () =>
      z.strictObject({
        process: ProcessName,
        channel: Channel.default('stdout'),
        lines: z.int().min(1).max(100_000).optional().describe('default 100'),
        bytes: z.int().min(1).max(262_144).optional().describe('instead of lines'),
        cursor: Cursor.optional(),
      }),
    result: () => z.strictObject({ text: z.string(), cursor: z.string(), truncated: z.boolean() }),
    errors: ['PROCESS_NOT_FOUND', 'LOG_UNAVAILABLE'],
    example: {
      params: { process: 'worker:worker_00', lines: 2 },
      result: {
        text: 'Processing: App\\Jobs\\Mail\nProcessed: App\\Jobs\\Mail\n',
        cursor: 'c1.AbCd',
        truncated: true,
      },
    },
    judge: ({ process }, { processes, principal }: Context) => processes.select([process], principal),
    run: ({ channel, process: _process, ...range }, { logs }: Context, entries) =>
      logs.tail(entries, channel, range),
  }),

  'log.follow': query({
    summary: 'Stream logs as `log` notifications.',
    scope: 'logs',
    params: () =>
      z.strictObject({
        select: Select,
        channel: z.enum(['stdout', 'stderr', 'both']).default('stdout'),
        lines: z.int().min(0).max(10_000).default(10).describe('lines of each log to begin with'),
        cursors: z
          .record(z.string().max(300), Cursor)
          .default({})
          .describe('where to go on, by `process` or `process/channel`'),
      }),
    result: () => z.strictObject({ subscription: z.string() }),
    errors: ['PROCESS_NOT_FOUND', 'LOG_UNAVAILABLE', 'TOO_MANY_SUBSCRIPTIONS'],
    example: { params: { select: ['worker:*'], channel: 'both' }, result: { subscription: 'l1' } },
    judge: ({ select }, { processes, principal }: Context) => processes.select(select, principal),
    run: ({ channel, lines, cursors }, { streams }: Context, entries) => ({
      subscription: streams.follow({
        entries,
        channels: channel === 'both' ? ['stdout', 'stderr'] : [channel],
        lines,
        cursors,
      }),
    }),
  }),

  'log.unfollow': query({
    summary: 'End a stream of logs.',
    scope: 'any',
    params: () => z.strictObject({ subscription: z.string().max(16) }),
    result: () => z.strictObject({}),
    errors: [],
    example: { params: { subscription: 'l1' }, result: {} },
    run: ({ subscription }, { streams }: Context) => {
      streams.unfollow(subscription)
      return {}
    },
  }),

  'log.clear': mutation({
    summary: 'Empty the log files of processes, running or not.',
    scope: 'control',
    params: () => z.strictObject({ select: Select }),
    result: () => z.strictObject({ results: z.array(ProcessResult) }),
    errors: ['PROCESS_NOT_FOUND', 'LOG_UNAVAILABLE'],
    example: {
      params: { select: ['worker:*'] },
      result: { results: [{ process: 'worker:worker_00', ok: true, changed: true }] },
    },
    cli: { command: 'clear', positional: ['select'] },
    judge: ({ select }, { processes, principal }: Context) => processes.select(select, principal),
    observe: (_params, context: Context, entries) => observedProcesses(context, entries),
    run: (_params, { logs }: Context, entries) => ({ results: logs.clear(entries) }),
  }),
}
