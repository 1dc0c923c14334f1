import * as z from 'zod'
import { GivenName, Instant, Select } from './names.ts'

export const ScheduleAction = z.enum(['start', 'stop', 'restart'])
export const ScheduleMode = z.enum(['hard', 'graceful', 'rolling'])

/** What came of a schedule of the config. */
export const ScheduleRun = z.strictObject({
  startedAt: Instant,
  endedAt: Instant,
  ok: z.boolean(),
  changed: z.array(GivenName).describe('processes that it started, stopped or restarted'),
  failed: z.array(GivenName),
  error: z.string().optional().describe('why nothing was begun'),
})
export type ScheduleRun = z.infer<typeof ScheduleRun>

/** A schedule of the config, as `agent.info` shows it. */
export const ShownSchedule = z.strictObject({
  schedule: z.int().describe('its place in the config, from 1; who did it is `schedule:<n>`'),
  at: z.string(),
  timezone: z.string(),
  action: ScheduleAction,
  select: Select,
  mode: ScheduleMode.optional().describe('of a restart'),
  next: Instant.optional(),
  running: z.boolean(),
  lastRun: ScheduleRun.optional().describe('the last one since the agent started'),
})
export type ShownSchedule = z.infer<typeof ShownSchedule>
