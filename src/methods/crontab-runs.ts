import * as z from 'zod'
import { EntryId, Run, RunId } from '../protocol/entry.ts'
import { mutation, query } from '../protocol/method.ts'
import type { Context } from './context.ts'
import { observedRuns } from './observed.ts'

/** Of all outputs in one answer, as JSON: the rest of a frame is for the runs themselves. */
const OUTPUTS_BYTES = 512 * 1024
/** An answer without outputs fits into a frame. */
const RUNS_MAX = 1000

const run: z.input<typeof Run> = {
  run: 'sixb2k-9f0c1ab2.5f0c1ab2.123456.4242',
  id: 'sixb2k-9f0c1ab2',
  startedAt: '2026-11-22T10:01:00.000Z',
  verdict: 'running',
}
const ended: z.input<typeof Run> = {
  ...run,
  endedAt: '2026-11-22T10:01:02.000Z',
  durationMs: 2000,
  exitStatus: 0,
  verdict: 'success',
}

/** Runs with what they wrote, the newest first as far as there is room. */
async function withOutputs(runs: readonly Run[], { cronRuns, principal }: Context) {
  if (!principal.scopes.has('logs'))
    return { runs: runs.map((one) => ({ ...one, masked: true as const })), outputsLeftOut: 0 }
  const outputs = await cronRuns.outputs(runs.map((one) => one.run))
  let room = OUTPUTS_BYTES
  let outputsLeftOut = 0
  const shown = runs.map((one) => {
    const output = outputs.get(one.run)
    if (output === undefined) return one
    room -= Buffer.byteLength(JSON.stringify(output))
    if (room >= 0) return { ...one, output }
    outputsLeftOut++
    return one
  })
  return { runs: shown, outputsLeftOut }
}

export const crontabRunMethods = {
  'crontab.run': mutation({
    summary: 'Run an entry now as its user, as cron would; answers once it has begun.',
    scope: 'cron',
    params: () => z.strictObject({ id: EntryId }),
    result: () =>
      z.strictObject({
        run: Run.describe('its end is told by crontab.finished; skipped: the last run of it still lives'),
      }),
    errors: ['FORBIDDEN', 'POLICY_DENIED', 'ENTRY_NOT_FOUND', 'CRON_UNAVAILABLE', 'TIMEOUT'],
    example: { params: { id: 'sixb2k-9f0c1ab2' }, result: { run: { ...run, byHand: true } } },
    cli: { command: 'cron run', positional: ['id'] },
    judge: ({ id }, context: Context) => context.cronRuns.judge(id, context),
    observe: ({ id }, context: Context) => observedRuns(context, { id }),
    run: async (_params, context: Context, draft) => ({ run: await context.cronRuns.run(draft, context) }),
  }),

  'crontab.kill': mutation({
    summary: 'End a run: TERM to all of its job, KILL ten seconds later; one that is over is left as it is.',
    scope: 'cron',
    params: () => z.strictObject({ run: RunId }),
    result: () => z.strictObject({ run: Run }),
    errors: ['FORBIDDEN', 'ENTRY_NOT_FOUND', 'CRON_UNAVAILABLE', 'STOP_FAILED'],
    example: {
      params: { run: run.run },
      result: { run: { ...run, endedAt: '2026-11-22T10:01:02.000Z', signal: 'SIGTERM', verdict: 'failed' } },
    },
    cli: { command: 'cron kill', positional: ['run'] },
    judge: ({ run: name }, { cronRuns, principal }: Context) => cronRuns.judgeKill(name, principal),
    observe: ({ run: name }, context: Context) => observedRuns(context, { run: name }),
    run: async (_params, context: Context, draft) => ({ run: await context.cronRuns.kill(draft, context) }),
  }),

  'crontab.runs': query({
    summary: 'List runs of an entry or of all, the newest first, with what they wrote if wanted.',
    scope: 'read',
    params: () =>
      z.strictObject({
        id: EntryId.optional().describe('of that entry alone; one that was deleted may have runs still'),
        limit: z.int().min(1).max(RUNS_MAX).default(50),
        output: z.boolean().default(false).describe('the last 16 KiB of each too; needs logs'),
      }),
    result: () =>
      z.strictObject({
        runs: z.array(Run),
        outputsLeftOut: z
          .int()
          .describe('runs whose output had no room, the oldest ones: ask with a lower limit'),
      }),
    errors: ['ENTRY_NOT_FOUND'],
    example: {
      params: { id: 'sixb2k-9f0c1ab2', limit: 1, output: true },
      result: { runs: [{ ...ended, output: 'Running scheduled command\n' }], outputsLeftOut: 0 },
    },
    cli: { command: 'cron runs', positional: ['id'] },
    run: async ({ id, limit, output }, context: Context) => {
      const runs = await context.cronRuns.list({ id, limit })
      return output ? await withOutputs(runs, context) : { runs, outputsLeftOut: 0 }
    },
  }),
}
