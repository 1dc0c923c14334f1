import * as z from 'zod'
import { SupervisorState } from '../protocol/events.ts'
import { mutation, query } from '../protocol/method.ts'
import { Instant, ProcessName, Select } from '../protocol/names.ts'
import { Process, ProcessResult } from '../protocol/process.ts'
import type { Context } from './context.ts'
import { observedProcesses } from './observed.ts'

const TimeoutMs = z
  .int()
  .min(100)
  .max(3_600_000)
  .default(60_000)
  .describe('longest wait for each process, milliseconds; what was begun goes on')
const Wait = z.boolean().default(true).describe('false: return when supervisord has begun')
const Results = z.strictObject({ results: z.array(ProcessResult) })

const CONTROL_ERRORS = ['PROCESS_NOT_FOUND', 'SUPERVISOR_UNREACHABLE'] as const

const worker: Process = {
  name: 'worker:worker_00',
  group: 'worker',
  process: 'worker_00',
  program: 'worker',
  kind: 'program',
  state: 'RUNNING',
  pid: 4711,
  startedAt: '2026-11-22T10:00:00.000Z',
  uptimeMs: 3_600_000,
  exitStatus: null,
  spawnError: null,
  restarts: 1,
  lastExit: { at: '2026-11-22T09:59:59.000Z', signal: 'SIGKILL', expected: false },
  flags: [],
  cpuPercent: 0.4,
  memoryBytes: 48_234_496,
  stdoutLogfile: '/var/log/supervisor/worker_00.log',
  stderrLogfile: null,
  managed: false,
}

/** Options of every call that waits for processes. */
function options(context: Context, wait: boolean, timeoutMs: number) {
  const { principal, signal, progress } = context
  return {
    wait,
    timeoutMs,
    signal,
    actor: principal.actor,
    onProgress: progress,
  }
}

export const processMethods = {
  'process.list': query({
    summary: 'List processes with state, pid, uptime and last exit, from memory.',
    scope: 'read',
    params: () => z.strictObject({ select: Select.optional() }),
    result: () =>
      z.strictObject({
        epoch: z.string(),
        seq: z.int(),
        supervisor: z.strictObject({ state: SupervisorState, reason: z.string().optional(), since: Instant }),
        processes: z.array(Process),
      }),
    errors: ['PROCESS_NOT_FOUND', 'SUPERVISOR_UNREACHABLE'],
    example: {
      params: { select: ['worker:*'] },
      result: {
        epoch: 'dQw4w9Wg',
        seq: 42,
        supervisor: { state: 'running', since: '2026-11-22T09:00:00.000Z' },
        processes: [worker],
      },
    },
    cli: { command: 'status', positional: ['select'] },
    judge: ({ select }, { processes, principal }: Context) => select && processes.select(select, principal),
    run: (_params, { processes, principal }: Context, entries) => processes.list(entries, principal),
  }),

  'process.start': mutation({
    summary: 'Start processes and wait until they are RUNNING.',
    scope: 'control',
    params: () => z.strictObject({ select: Select, wait: Wait, timeoutMs: TimeoutMs }),
    result: () => Results,
    errors: [...CONTROL_ERRORS, 'START_FAILED', 'TIMEOUT'],
    example: {
      params: { select: ['worker:*'] },
      result: { results: [{ process: 'worker:worker_00', ok: true, changed: true }] },
    },
    cli: { command: 'start', positional: ['select'] },
    judge: ({ select }, { processes, principal }: Context) => processes.select(select, principal),
    observe: (_params, context: Context, entries) => observedProcesses(context, entries),
    run: async ({ wait, timeoutMs }, context: Context, entries) => ({
      results: await context.processes.start(entries, options(context, wait, timeoutMs)),
    }),
  }),

  'process.stop': mutation({
    summary: 'Stop processes by their stop signal and wait until they are down.',
    scope: 'control',
    params: () => z.strictObject({ select: Select, wait: Wait, timeoutMs: TimeoutMs }),
    result: () => Results,
    errors: [...CONTROL_ERRORS, 'STOP_FAILED', 'TIMEOUT'],
    example: {
      params: { select: ['worker:*'] },
      result: { results: [{ process: 'worker:worker_00', ok: true, changed: true }] },
    },
    cli: { command: 'stop', positional: ['select'] },
    judge: ({ select }, { processes, principal }: Context) => processes.select(select, principal),
    observe: (_params, context: Context, entries) => observedProcesses(context, entries),
    run: async ({ wait, timeoutMs }, context: Context, entries) => ({
      results: await context.processes.stop(entries, options(context, wait, timeoutMs)),
    }),
  }),

  'process.restart': mutation({
    summary: 'Stop processes where they run, start them, and wait until they are RUNNING.',
    scope: 'control',
    params: () =>
      z.strictObject({
        select: Select,
        wait: Wait,
        timeoutMs: TimeoutMs,
        mode: z
          .enum(['hard', 'graceful', 'rolling'])
          .default('hard')
          .describe(
            'graceful: by the verb of its preset, else by its stop signal; rolling: a few at a time, ending at the first that does not come up',
          ),
        maxUnavailable: z
          .int()
          .min(1)
          .max(1000)
          .default(1)
          .describe('rolling: processes of a program down at a time'),
      }),
    result: () => Results,
    errors: [...CONTROL_ERRORS, 'START_FAILED', 'STOP_FAILED', 'TIMEOUT'],
    example: {
      params: { select: ['worker:*'], mode: 'rolling' },
      result: { results: [{ process: 'worker:worker_00', ok: true, changed: true }] },
    },
    cli: { command: 'restart', positional: ['select'] },
    judge: async ({ select, mode }, context: Context) => {
      const entries = context.processes.select(select, context.principal)
      return {
        entries,
        verbs: mode === 'graceful' ? await context.graceful.find(entries, context) : undefined,
      }
    },
    observe: (_params, context: Context, judged) => observedProcesses(context, judged?.entries),
    run: async ({ wait, timeoutMs, mode, maxUnavailable }, context: Context, { entries, verbs }) => ({
      results: await context.processes.restart(entries, {
        ...options(context, wait, timeoutMs),
        mode,
        maxUnavailable,
        verbs,
      }),
    }),
  }),

  'process.signal': mutation({
    summary: 'Send a signal to processes.',
    scope: 'control',
    params: () =>
      z.strictObject({
        signal: z
          .string()
          .regex(
            /^(?:SIG)?[A-Z][A-Z0-9]{1,9}$|^[1-9][0-9]?$/,
            'a signal name such as HUP or SIGHUP, or its number',
          ),
        select: Select,
      }),
    result: () => Results,
    errors: [...CONTROL_ERRORS, 'SUPERVISOR_FAULT'],
    example: {
      params: { signal: 'USR2', select: ['worker:*'] },
      result: { results: [{ process: 'worker:worker_00', ok: true, changed: true }] },
    },
    cli: { command: 'signal', positional: ['signal', 'select'] },
    judge: ({ select }, { processes, principal }: Context) => processes.select(select, principal),
    observe: (_params, context: Context, entries) => observedProcesses(context, entries),
    run: async ({ signal }, context: Context, entries) => ({
      results: await context.processes.signal(entries, signal, options(context, false, 60_000)),
    }),
  }),

  'process.stdin': mutation({
    summary: 'Write text to the standard input of a process.',
    scope: 'admin',
    params: () => z.strictObject({ process: ProcessName, text: z.string().max(65_536) }),
    result: () => z.strictObject({}),
    errors: ['PROCESS_NOT_FOUND', 'SUPERVISOR_FAULT', 'SUPERVISOR_UNREACHABLE'],
    example: { params: { process: 'console', text: 'reload\n' }, result: {} },
    switches: ['allowStdin'],
    secretParams: ['text'],
    judge: ({ process }, { processes, principal }: Context) => processes.select([process], principal),
    observe: (_params, context: Context, entries) => observedProcesses(context, entries),
    run: async ({ text }, { processes, signal }: Context, entries) => {
      await processes.stdin(entries, text, signal)
      return {}
    },
  }),
}
