import * as z from 'zod'
import { EntryId, EntryRevision, Run } from './entry.ts'
import { madeOnce } from './made-once.ts'
import { GivenName, Instant } from './names.ts'
import { ProcessState, SignalName } from './process.ts'
import { Revision } from './program.ts'
import type { Scope } from './scopes.ts'

interface EventSpec {
  summary: string
  payload: z.ZodType
}

/** The schema of what it carries is made when it is first asked for: a daemon asks never. */
function event<P extends z.ZodType>(summary: string, payload: () => P): { summary: string; payload: P } {
  return madeOnce({ summary }, 'payload', payload)
}

export const SupervisorState = z.enum(['running', 'restarting', 'shutdown', 'unreachable'])
export type SupervisorState = z.infer<typeof SupervisorState>

/** Every event type. The key is the name on the wire. */
export const EVENTS = {
  'process.state': event('A process changed state.', () =>
    z.strictObject({
      process: GivenName,
      program: z.string(),
      from: ProcessState,
      to: ProcessState,
      pid: z.int().nullable(),
      exitStatus: z.int().optional(),
      signal: SignalName.optional(),
      expected: z.boolean().optional(),
      tries: z.int().optional(),
      spawnError: z.string().optional(),
      logTail: z.string().optional().describe('end of its log, on FATAL and unexpected EXITED; needs `logs`'),
      observed: z
        .literal(true)
        .optional()
        .describe('found by comparison, not told by supervisord: steps in between may be missing'),
    }),
  ),
  'process.added': event('A process appeared in supervisord.', () =>
    z.strictObject({ process: GivenName, program: z.string(), group: GivenName }),
  ),
  'process.removed': event('A process left supervisord.', () =>
    z.strictObject({ process: GivenName, program: z.string(), group: GivenName }),
  ),
  'supervisor.state': event('supervisord came, went, or could no longer be asked.', () =>
    z.strictObject({ state: SupervisorState, reason: z.string().optional() }),
  ),
  'program.applied': event('A program was created or changed, and came up.', () =>
    z.strictObject({ program: z.string(), action: z.string(), revision: Revision }),
  ),
  'program.rolledBack': event('A change of a program did not hold, and what was before is back.', () =>
    z.strictObject({
      program: z.string(),
      action: z.string(),
      reason: z.string(),
      logTail: z.string().optional().describe('end of the log of what did not come up; needs `logs`'),
    }),
  ),
  'program.drift': event('Somebody edited the file of a managed program.', () =>
    z.strictObject({
      program: z.string(),
      file: z.string(),
      revision: Revision,
      diff: z.string().optional().describe('against what the agent wrote; needs `program`'),
    }),
  ),
  'program.removed': event('A program was deleted.', () => z.strictObject({ program: z.string() })),
  'crontab.changed': event('The agent wrote a crontab.', () =>
    z.strictObject({
      user: z.string(),
      action: z.string(),
      id: EntryId.optional().describe('of the entry that it was about'),
      revision: EntryRevision.optional().describe('of the entry, where it is there'),
    }),
  ),
  'crontab.drift': event(
    'Somebody else changed the block of managed entries in a crontab, or wrote it at the same moment.',
    () =>
      z.strictObject({
        user: z.string(),
        kind: z
          .enum(['edited', 'missing', 'damaged', 'covered', 'race'])
          .describe(
            'covered: lines above the block set variables for its jobs; race: two wrote within a few milliseconds, and a line of the other one may be lost',
          ),
        restored: z.boolean().describe('put back, as `policy.cronDrift: enforce` asks'),
        diff: z.string().optional().describe('against what the agent wrote; needs `cron` and that user'),
      }),
  ),
  'crontab.started': event('A run of a managed crontab entry began.', () =>
    Run.pick({ run: true, id: true, startedAt: true, byHand: true }).extend({ user: z.string() }),
  ),
  'crontab.finished': event('A run of a managed crontab entry ended, or was skipped.', () =>
    Run.omit({ output: true, masked: true }).extend({ user: z.string() }),
  ),
  'crontab.missed': event('A run of a managed crontab entry was due, and cron did not start it.', () =>
    Run.pick({ run: true, id: true }).extend({ user: z.string(), dueAt: Instant }),
  ),
  'agent.started': event('The agent started.', () => z.strictObject({ version: z.string() })),
  'agent.stopping': event('The agent is stopping.', () => z.strictObject({ reason: z.string() })),
  'token.revoked': event('A token was revoked or removed.', () => z.strictObject({ token: z.string() })),
} as const satisfies Record<string, EventSpec>

/** Fields of payloads that only those see who have the scope. */
export const GUARDED_FIELDS = { logTail: 'logs', diff: 'program' } as const satisfies Record<string, Scope>

/** What must be held to see a guarded field; of a crontab the right to its user too. */
export function guardOf(
  type: string,
  field: keyof typeof GUARDED_FIELDS,
): { scope: Scope; isOfUser: boolean } {
  const isCron = field === 'diff' && type.startsWith('crontab.')
  return { scope: isCron ? 'cron' : GUARDED_FIELDS[field], isOfUser: isCron }
}

export type EventType = keyof typeof EVENTS
export type EventPayload<T extends EventType> = z.infer<(typeof EVENTS)[T]['payload']>

/** An event of one type, as published. */
export type AgentEventOf<T extends EventType> = {
  epoch: string
  seq: number
  at: string
  type: T
  actor?: string
  payload: EventPayload<T>
}
/** Any event; `type` tells which payload it has. */
export type AgentEvent = { [T in EventType]: AgentEventOf<T> }[EventType]

/** What crosses the wire of an event, checked by clients. Unknown types pass: a newer agent may have more. */
export const WireEvent = z.looseObject({
  subscription: z.string(),
  epoch: z.string(),
  seq: z.int(),
  at: z.string(),
  type: z.string(),
  actor: z.string().optional(),
  payload: z.record(z.string(), z.unknown()),
})
