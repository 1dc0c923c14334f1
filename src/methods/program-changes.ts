import * as z from 'zod'
import type { Prepared } from '../core/programs/draft.ts'
import type { Outcome } from '../core/programs/service.ts'
import { Definition } from '../protocol/definition.ts'
import { mutation, query } from '../protocol/method.ts'
import { GivenName } from '../protocol/names.ts'
import { PlanAction, Program, ProgramRevision, Revision } from '../protocol/program.ts'
import { ProgramName } from '../protocol/program-text.ts'
import type { Context } from './context.ts'
import { observedProgram, observedSupervisor } from './observed.ts'
import { actions, ByName, definition, IfRevision, program } from './program.ts'

const VerifyMs = z
  .int()
  .min(0)
  .max(600_000)
  .optional()
  .describe('how long each process must have been up, milliseconds; default startSecs, a second at least')

const CHANGE_ERRORS = [
  'FORBIDDEN',
  'POLICY_DENIED',
  'PROGRAM_NOT_FOUND',
  'PROGRAM_INVALID',
  'REVISION_CONFLICT',
  'ROLLED_BACK',
  'CONFIG_BROKEN',
  'SUPERVISOR_FAULT',
  'SUPERVISOR_UNREACHABLE',
  'CANCELLED',
] as const

/** Carries out what was prepared. */
function commit(made: Prepared, context: Context, verifyMs?: number) {
  const { programs, signal, progress } = context
  return programs.commit(made, { judge: context, verifyMs, signal, onProgress: progress })
}

const Changed = z.strictObject({
  program: Program,
  actions: z.array(PlanAction),
  warnings: z.array(z.string()),
})
const changed = { program, actions, warnings: [] }

/** What became of a program that stays. */
function changedOf({ program: now, actions: taken, warnings }: Outcome): z.input<typeof Changed> {
  if (now === null) throw new Error('a program that stays is gone')
  return { program: now, actions: taken, warnings }
}

/** What changes programs, prepared as it is judged and then carried out, and what was changed. */
export const programChangeMethods = {
  'program.put': mutation({
    summary:
      'Create or change a program: tried, written, applied, watched, and undone if it does not come up.',
    scope: 'program',
    params: () => z.strictObject({ definition: Definition, ifRevision: IfRevision, verifyMs: VerifyMs }),
    invalidAs: { definition: 'PROGRAM_INVALID' },
    result: () => Changed,
    errors: CHANGE_ERRORS,
    example: { params: { definition }, result: changed },
    cli: { command: 'program put', positional: ['name'], body: 'definition' },
    secretParams: ['definition.environment', 'definition.options'],
    judge: ({ definition: wanted, ifRevision }, context: Context) =>
      context.programs.prepare({ action: 'put', definition: wanted, ifRevision }, context),
    observe: ({ definition: { name } }, context: Context) => observedProgram(context, name),
    run: async ({ verifyMs }, context: Context, made) => changedOf(await commit(made, context, verifyMs)),
  }),

  'program.delete': mutation({
    summary: 'Stop a program and delete its file; its last revision can be restored.',
    scope: 'program',
    params: () => z.strictObject({ name: ProgramName, ifRevision: IfRevision }),
    result: () => z.strictObject({ removed: z.array(GivenName).describe('the processes that were stopped') }),
    errors: CHANGE_ERRORS,
    example: { params: { name: 'mailer' }, result: { removed: ['mailer:mailer_00'] } },
    cli: { command: 'program rm', positional: ['name'] },
    judge: (params, context: Context) => context.programs.prepare({ action: 'delete', ...params }, context),
    observe: ({ name }, context: Context) => observedProgram(context, name),
    run: async (_params, context: Context, made) => {
      const { actions: taken } = await commit(made, context)
      return { removed: taken.flatMap(({ processes }) => processes) }
    },
  }),

  'program.scale': mutation({
    summary: 'Change the number of processes without restarting the ones that stay.',
    scope: 'program',
    params: () => z.strictObject({ name: ProgramName, processes: z.int().min(1).max(1000) }),
    result: () =>
      z.strictObject({
        program: Program,
        started: z.array(GivenName),
        stopped: z.array(GivenName),
        warnings: z.array(z.string()),
      }),
    errors: CHANGE_ERRORS,
    example: {
      params: { name: 'mailer', processes: 3 },
      result: { program, started: ['mailer.surge1:mailer_02'], stopped: [], warnings: [] },
    },
    cli: { command: 'program scale', positional: ['name', 'processes'] },
    judge: (params, context: Context) => context.programs.prepare({ action: 'scale', ...params }, context),
    observe: ({ name }, context: Context) => observedProgram(context, name),
    run: async (_params, context: Context, made) => {
      const outcome = await commit(made, context)
      const { program: now, warnings } = changedOf(outcome)
      const { started, stopped } = outcome
      return { program: now, started: [...started], stopped: [...stopped], warnings }
    },
  }),

  'program.enable': mutation({
    summary: 'Start a program, now and with supervisord.',
    scope: 'program',
    params: () => ByName,
    result: () => Changed,
    errors: CHANGE_ERRORS,
    example: { params: { name: 'mailer' }, result: changed },
    cli: { command: 'program enable', positional: ['name'] },
    judge: ({ name }, context: Context) => context.programs.prepare({ action: 'enable', name }, context),
    observe: ({ name }, context: Context) => observedProgram(context, name),
    run: async (_params, context: Context, made) => changedOf(await commit(made, context)),
  }),

  'program.disable': mutation({
    summary: 'Stop a program, now and with supervisord; its file stays.',
    scope: 'program',
    params: () => ByName,
    result: () => Changed,
    errors: CHANGE_ERRORS,
    example: { params: { name: 'mailer' }, result: changed },
    cli: { command: 'program disable', positional: ['name'] },
    judge: ({ name }, context: Context) => context.programs.prepare({ action: 'disable', name }, context),
    observe: ({ name }, context: Context) => observedProgram(context, name),
    run: async (_params, context: Context, made) => changedOf(await commit(made, context)),
  }),

  'program.adopt': mutation({
    summary:
      'Take over a program that others wrote, and nothing restarts; or accept their edit of a file of ours, which supervisord then runs.',
    scope: 'program',
    params: () => z.strictObject({ name: GivenName }),
    result: () => Changed,
    errors: CHANGE_ERRORS,
    example: { params: { name: 'mailer' }, result: changed },
    cli: { command: 'program adopt', positional: ['name'] },
    judge: ({ name }, context: Context) => context.programs.prepare({ action: 'adopt', name }, context),
    observe: ({ name }, context: Context) => observedProgram(context, name),
    run: async (_params, context: Context, made) => changedOf(await commit(made, context)),
  }),

  'program.history': query({
    summary: 'List the revisions of a program, the newest first; a deleted program keeps its own.',
    scope: 'read',
    params: () => ByName,
    result: () => z.strictObject({ revisions: z.array(ProgramRevision) }),
    errors: ['PROGRAM_NOT_FOUND', 'FORBIDDEN'],
    example: {
      params: { name: 'mailer' },
      result: {
        revisions: [
          {
            revision: program.revision,
            at: '2026-11-22T10:00:00.000Z',
            actor: 'token:panel-1',
            method: 'program.put',
            current: true,
            definition,
          },
        ],
      },
    },
    cli: { command: 'program history', positional: ['name'] },
    judge: ({ name }, { programs, principal }: Context) => programs.assertMine(name, principal),
    run: async ({ name }, { programs, principal }: Context) => ({
      revisions: await programs.history(name, principal),
    }),
  }),

  'program.restore': mutation({
    summary: 'Give a program the file of an earlier revision, also when it was deleted.',
    scope: 'program',
    params: () => z.strictObject({ name: ProgramName, revision: Revision }),
    result: () => Changed,
    errors: CHANGE_ERRORS,
    example: { params: { name: 'mailer', revision: program.revision }, result: changed },
    cli: { command: 'program restore', positional: ['name', 'revision'] },
    judge: (params, context: Context) => context.programs.prepare({ action: 'restore', ...params }, context),
    observe: ({ name }, context: Context) => observedProgram(context, name),
    run: async (_params, context: Context, made) => changedOf(await commit(made, context)),
  }),

  'program.quarantine': mutation({
    summary:
      'Put a file aside for which supervisord refuses all of its files, or take it back; on admin.sock alone.',
    scope: 'admin',
    params: () =>
      z.strictObject({
        file: z.string().startsWith('/').max(4096).describe('as CONFIG_BROKEN names it'),
        undo: z.boolean().default(false).describe('take it back, if supervisord takes it now'),
      }),
    result: () =>
      z.strictObject({
        from: z.string(),
        to: z.string(),
        faults: z
          .array(z.strictObject({ file: z.string(), line: z.int(), message: z.string() }))
          .describe('what supervisord refuses still'),
      }),
    errors: ['PROGRAM_INVALID', 'CONFIG_BROKEN', 'SUPERVISOR_FAULT'],
    example: {
      params: { file: '/etc/supervisor/conf.d/shop.conf' },
      result: {
        from: '/etc/supervisor/conf.d/shop.conf',
        to: '/etc/supervisor/conf.d/shop.conf.quarantined',
        faults: [],
      },
    },
    cli: { command: 'program quarantine', positional: ['file'] },
    judge: (params, { quarantine, principal }: Context) => quarantine.prepare(params, principal),
    observe: (_params, context: Context) => observedSupervisor(context),
    run: async (_params, { quarantine }: Context, move) => {
      await quarantine.commit(move)
      return move
    },
  }),
}
