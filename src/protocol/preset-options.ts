// What the options of all presets have in common, whatever they make: how they are read, and how they are shown.
import * as z from 'zod'

type Read<O extends z.ZodObject> =
  | { options: z.output<O> }
  | { options: null; issues: { path: string; message: string }[] }

/** Reads options as they were given. Where a list is wanted, a single value is a list of one. */
export function readOptions<O extends z.ZodObject>(
  schema: O,
  given: Readonly<Record<string, unknown>> = {},
): Read<O> {
  const filled = Object.entries(given).map(([name, value]) => [
    name,
    isList(schema.shape[name]) && !Array.isArray(value) ? [value] : value,
  ])
  const parsed = schema.safeParse(Object.fromEntries(filled))
  if (parsed.success) return { options: parsed.data }
  const issues = parsed.error.issues.map(({ path, message }) => ({
    path: ['options', ...path.map(String)].join('.'),
    message,
  }))
  return { options: null, issues }
}

/** Options as the wire shows them. */
export function shownOptions(options: z.ZodObject): {
  schema: Record<string, unknown>
  defaults: Record<string, unknown>
} {
  const schema = z.toJSONSchema(options, { io: 'input', target: 'draft-2020-12' })
  const defaults: [string, unknown][] = []
  for (const [name, property] of Object.entries(schema.properties ?? {}))
    if (typeof property === 'object' && 'default' in property) defaults.push([name, property.default])
  return { schema: { ...schema }, defaults: Object.fromEntries(defaults) }
}

function isList(option: z.core.$ZodType | undefined): boolean {
  if (option instanceof z.ZodOptional || option instanceof z.ZodDefault || option instanceof z.ZodPrefault)
    return isList(option.unwrap())
  return option instanceof z.ZodArray
}
