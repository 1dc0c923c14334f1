import * as z from 'zod'
import { GivenName, Instant } from './names.ts'

/** supervisord's own words. */
export const PROCESS_STATES = [
  'STOPPED',
  'STARTING',
  'RUNNING',
  'BACKOFF',
  'STOPPING',
  'EXITED',
  'FATAL',
  'UNKNOWN',
] as const
export const ProcessState = z.enum(PROCESS_STATES)
export type ProcessState = z.infer<typeof ProcessState>

/** Signals by the name that supervisord writes into its log. */
export const SignalName = z.string().regex(/^SIG[A-Z0-9+-]{1,20}$/)

export const LastExit = z.strictObject({
  at: Instant,
  exitStatus: z.int().optional(),
  signal: SignalName.optional(),
  expected: z.boolean(),
})
export type LastExit = z.infer<typeof LastExit>

/** Facts that the state alone does not tell. */
export const ProcessFlag = z.enum(['crash-loop', 'running-without-pid'])
export type ProcessFlag = z.infer<typeof ProcessFlag>

/** A row of `process.list`: thousands of values at a time, so that a check which says nothing new is left out. */
export const Process = z.strictObject({
  name: z.string().describe('`group:process`, bare when equal'),
  group: z.string().describe('a group of processes'),
  process: z.string().describe('its name within the group'),
  program: z.string().describe('the program it is an instance of'),
  kind: z.enum(['program', 'fcgi-program', 'eventlistener']),
  state: ProcessState,
  pid: z.int().nullable(),
  startedAt: Instant.nullable(),
  uptimeMs: z.int().nullable().describe('while RUNNING, STARTING or STOPPING'),
  exitStatus: z.int().nullable().describe('of the last exit; null when it never exited or a signal ended it'),
  spawnError: z.string().nullable(),
  restarts: z.int().describe('times it came back by itself since the agent watches'),
  lastExit: LastExit.nullable(),
  flags: z.array(ProcessFlag),
  cpuPercent: z.number().nullable().describe('of one core, over the last sample'),
  memoryBytes: z.int().nullable().describe('resident set'),
  stdoutLogfile: z.string().nullable(),
  stderrLogfile: z.string().nullable(),
  managed: z.boolean().describe('its program file is ours'),
})
export type Process = z.infer<typeof Process>

/** The outcome for one process of a call on many. */
export const ProcessResult = z.strictObject({
  process: GivenName,
  ok: z.boolean(),
  changed: z.boolean(),
  note: z.string().optional().describe('what is not as one would expect, although it was done'),
  error: z.strictObject({ name: z.string(), message: z.string() }).optional(),
})
export type ProcessResult = z.infer<typeof ProcessResult>
