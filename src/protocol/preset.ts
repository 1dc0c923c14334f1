import * as z from 'zod'
import { EntryDefinition } from './entry.ts'

/** How a program takes up new code without losing a job. */
export const GracefulVerb = z.discriminatedUnion('by', [
  z.strictObject({
    by: z.literal('command'),
    argv: z.array(z.string()).describe('run as its user, in its folder, with its environment'),
    keepsPid: z.literal(true).optional().describe('its process stays and replaces its own workers'),
  }),
  z.strictObject({ by: z.literal('signal'), signal: z.string().describe('sent to each of its processes') }),
])

/** A kind of program: options in, a definition out. */
export const ProgramPreset = z.strictObject({
  preset: z.string().describe('its name'),
  title: z.string(),
  schema: z.record(z.string(), z.unknown()).describe('JSON schema of its options'),
  defaults: z.record(z.string(), z.unknown()).describe('the options that have a default'),
  graceful: GracefulVerb.nullable().describe('null: its stop signal and stop wait are all that it needs'),
  warnings: z.array(z.string()).describe('what may surprise with the defaults'),
  stanza: z.string().optional().describe('an example of what it makes, where `show` asks for it'),
})
export type ProgramPreset = z.infer<typeof ProgramPreset>

/** A kind of crontab entry: options in, an entry out. What it says beside its options is what stands where nobody says it. */
export const CrontabPreset = z.strictObject({
  preset: z.string().describe('its name'),
  title: z.string(),
  schedule: z.string(),
  ...EntryDefinition.pick({ noOverlap: true, timeoutMs: true, splayMs: true }).shape,
  schema: z.record(z.string(), z.unknown()).describe('JSON schema of its options'),
  defaults: z.record(z.string(), z.unknown()).describe('the options that have a default'),
  warnings: z.array(z.string()).describe('what may surprise with the defaults'),
  command: z.string().optional().describe('an example of what it makes, where `show` asks for it'),
})
export type CrontabPreset = z.infer<typeof CrontabPreset>
