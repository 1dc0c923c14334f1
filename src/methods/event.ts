import * as z from 'zod'
import { EVENTS } from '../protocol/events.ts'
import { query } from '../protocol/method.ts'
import { Glob } from '../protocol/names.ts'
import { Process } from '../protocol/process.ts'
import type { Context } from './context.ts'

const Position = z.strictObject({ epoch: z.string().max(64), seq: z.int().min(0) })

export const eventMethods = {
  'event.subscribe': query({
    summary: 'Stream events as `event` notifications, from here on or from a position on.',
    scope: 'read',
    params: () =>
      z.strictObject({
        types: z
          .array(Glob)
          .min(1)
          .max(32)
          .optional()
          .describe(`globs on event types: ${Object.keys(EVENTS).join(', ')}`),
        programs: z.array(Glob).min(1).max(100).optional().describe('globs on programs'),
        since: Position.optional().describe('the last position seen; what came after it is sent first'),
      }),
    result: () =>
      z.strictObject({
        subscription: z.string(),
        mode: z.enum(['resumed', 'snapshot']),
        epoch: z.string(),
        seq: z.int(),
        snapshot: z.strictObject({ processes: z.array(Process) }).optional(),
      }),
    errors: ['TOO_MANY_SUBSCRIPTIONS'],
    example: {
      params: { types: ['process.*'], since: { epoch: 'dQw4w9Wg', seq: 42 } },
      result: { subscription: 'e1', mode: 'resumed', epoch: 'dQw4w9Wg', seq: 42 },
    },
    run: async ({ types, programs, since }, { streams, processes, principal, signal }: Context) => {
      await processes.known
      signal.throwIfAborted()
      const start = streams.subscribe({ types, programs, since })
      if (start.mode === 'resumed') return start
      // the same tick: no event lies between the position and the snapshot
      return { ...start, snapshot: { processes: processes.list(undefined, principal, programs).processes } }
    },
  }),

  'event.unsubscribe': query({
    summary: 'End a stream of events.',
    scope: 'any',
    params: () => z.strictObject({ subscription: z.string().max(16) }),
    result: () => z.strictObject({}),
    errors: [],
    example: { params: { subscription: 'e1' }, result: {} },
    run: ({ subscription }, { streams }: Context) => {
      streams.unsubscribe(subscription)
      return {}
    },
  }),
}
