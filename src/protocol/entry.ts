import * as z from 'zod'
import { Instant } from './names.ts'
import { SignalName } from './process.ts'

/** No dot: it parts the fields in the names of spool files. */
export const EntryId = z
  .string()
  .regex(/^[A-Za-z0-9][A-Za-z0-9_-]{0,31}$/, 'letters, digits and _ - only, 32 at most')
  .meta({ description: 'names a managed entry on this host' })

/** Names a line of a crontab that is not ours by its bytes, and by its place among equal ones. */
export const ForeignKey = z
  .string()
  .regex(/^[0-9a-f]{16}-[1-9]\d{0,4}$/, 'a key as crontab.list gives it')
  .meta({ description: 'names a foreign line; another key once the line changes' })

/** The name of a system user, judged with the rest of an entry. */
const UserText = z.string().min(1).max(255)

/** Long enough for whatever somebody gives; what cron takes is judged with the rest of the entry. */
const Text = z.string().max(128 * 1024)

export const EntryRevision = z
  .string()
  .regex(/^[0-9a-f]{16}$/)
  .describe('changes with the entry, by whomever')

/** Durations on the wire are milliseconds; cron jobs know whole seconds. */
const wholeSeconds = (most: number) =>
  z
    .int()
    .min(1000)
    .max(most * 1000)
    .multipleOf(1000, 'whole seconds')

export const TIMEOUT_MAX_SECONDS = 7 * 24 * 3600
export const SPLAY_MAX_SECONDS = 3600

const limits = {
  timeoutMs: wholeSeconds(TIMEOUT_MAX_SECONDS).optional().describe('the job is ended after that'),
  noOverlap: z.boolean().optional().describe('a run is skipped while the last one lives'),
  splayMs: wholeSeconds(SPLAY_MAX_SECONDS)
    .optional()
    .describe('a fixed delay below that, so that hosts do not all start at once'),
}

const preset = {
  preset: z.string().min(1).max(64).optional(),
  options: z.record(z.string(), z.unknown()).optional().describe('of its preset'),
}

/** What `crontab.plan` and `crontab.put` take. Its form only: what cron takes is judged after a preset is filled in. */
export const EntryDefinition = z.strictObject({
  id: EntryId.optional().describe('of the entry to change; a new one is chosen when absent'),
  name: Text,
  user: UserText.describe('a system user'),
  schedule: Text.optional().describe('five fields or @daily and the like; left to the preset when absent'),
  command: Text.optional().describe('for /bin/sh; left to the preset when absent'),
  env: z.record(z.string(), Text).optional().describe('variables of the job'),
  enabled: z.boolean().default(true),
  ...limits,
  ...preset,
})
export type EntryDefinition = z.infer<typeof EntryDefinition>

export const RunVerdict = z.enum(['success', 'failed', 'timeout', 'skipped', 'missed', 'running'])
export type RunVerdict = z.infer<typeof RunVerdict>

export const RunId = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9_.:-]{0,127}$/, 'a run as crontab.runs gives it')

export const Run = z.strictObject({
  run: RunId,
  id: EntryId,
  startedAt: Instant.describe('of a missed run: when it was due'),
  endedAt: Instant.optional(),
  exitStatus: z.int().min(0).max(255).optional(),
  signal: SignalName.optional(),
  durationMs: z.int().min(0).optional().describe('absent while it runs and when it did not start'),
  verdict: RunVerdict,
  detail: z
    .enum(['interrupted', 'output-open', 'output-lost'])
    .optional()
    .describe(
      'interrupted: it was cut off, and how it would have ended is not known; output-open: what it left behind still writes; output-lost: the spool did not take it',
    ),
  byHand: z.literal(true).optional().describe('by crontab.run and not by cron'),
  output: z.string().optional().describe('its last 16 KiB; needs logs'),
  masked: z.literal(true).optional().describe('the output is withheld'),
})
export type Run = z.infer<typeof Run>

/** An entry as it is shown: one of ours, or a foreign line of somebody's crontab. */
export const Entry = z.strictObject({
  id: EntryId.optional().describe('of a managed entry'),
  key: ForeignKey.optional().describe('of a foreign line'),
  name: z.string().describe("of a foreign line: its tool's name for it, or its place"),
  user: UserText,
  schedule: z.string(),
  command: z.string().optional(),
  stdin: z.string().optional().describe('of a foreign line: what follows its first bare %'),
  env: z.record(z.string(), z.string()).optional().describe('of a foreign line: what the lines above it set'),
  enabled: z.boolean(),
  managed: z.boolean(),
  revision: EntryRevision,
  ...limits,
  ...preset,
  owner: z.string().optional().describe('the tool that wrote a foreign line, where it left its mark'),
  obstacles: z.array(z.string()).optional().describe('what keeps a foreign line from being imported'),
  next: z
    .array(Instant)
    .optional()
    .describe('absent for @reboot and for what both daemons do not read alike'),
  lastRun: Run.optional(),
  masked: z.literal(true).optional().describe('command, stdin, env and options are withheld'),
})
export type Entry = z.infer<typeof Entry>

/** What `crontab.preview` answers. */
export const SchedulePreview = z.strictObject({
  description: z.string(),
  zone: z.string().describe('the time zone of the host'),
  next: z.array(Instant),
  warnings: z.array(z.string()),
})
export type SchedulePreview = z.infer<typeof SchedulePreview>
