import * as z from 'zod'
import { ShownDefinition } from './definition.ts'
import { GivenName, Instant } from './names.ts'
import { Process } from './process.ts'

/** The hash of a program file, its head comment aside. */
export const Revision = z
  .string()
  .regex(/^[0-9a-f]{16}$/, '16 hexadecimal digits')
  .meta({ description: 'hash of the content of its file' })

/** A `[program:x]` section with what runs of it. */
export const Program = z.strictObject({
  name: GivenName,
  source: z.enum(['managed', 'foreign']).describe('whether its file is ours'),
  file: z.string(),
  revision: Revision,
  drift: z.boolean().describe('its file was changed by others since we wrote it'),
  preset: z.string().optional(),
  definition: ShownDefinition,
  processes: z.int().describe('how many are wanted'),
  running: z.int().describe('how many are RUNNING'),
  instances: z.array(Process),
  warnings: z.array(z.string()),
})
export type Program = z.infer<typeof Program>

/** A file that a program had. */
export const ProgramRevision = z.strictObject({
  revision: Revision,
  at: Instant.describe('when it was written'),
  actor: z.string().optional().describe('who wrote it; absent when nobody here did'),
  method: z.string().optional().describe('the call that wrote it'),
  current: z.boolean(),
  definition: ShownDefinition,
})
export type ProgramRevision = z.infer<typeof ProgramRevision>

/** What a plan would do to one group of supervisord. */
export const PlanAction = z.strictObject({
  group: GivenName,
  action: z.enum(['add', 'restart', 'scale', 'remove', 'none']),
  processes: z.array(GivenName).describe('what it starts, restarts or stops'),
})
export type PlanAction = z.infer<typeof PlanAction>

/** One thing that is wrong with a definition. */
export const DefinitionIssue = z.strictObject({
  path: z.string().describe('the field, such as `environment.APP_KEY`'),
  message: z.string(),
})
export type DefinitionIssue = z.infer<typeof DefinitionIssue>
