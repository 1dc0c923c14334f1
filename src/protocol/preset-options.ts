// What the options of all presets have in common, whatever they make: how they are read, and how they are shown.
import * as z from 'zod'

interface OptionIssue {
  path: string
  /** What is wrong, and of the first one how to see what is right. */
  message: string
}

type Read<O extends z.ZodObject> = { options: z.output<O> } | { options: null; issues: OptionIssue[] }

const MISSING = 'missing'
const KINDS = new Map([
  ['string', 'a text'],
  ['number', 'a number'],
  ['int', 'a whole number'],
  ['boolean', 'true or false'],
  ['array', 'a list'],
])

/**
 * Reads options as they were given. Where a list is wanted, a single value is a list of one.
 * @param wayOut the command that shows all options
 */
export function readOptions<O extends z.ZodObject>(
  schema: O,
  given: Readonly<Record<string, unknown>> = {},
  wayOut = '',
): Read<O> {
  const filled = Object.entries(given).map(([name, value]) => [
    name,
    isList(schema.shape[name]) && !Array.isArray(value) ? [value] : value,
  ])
  const parsed = schema.safeParse(Object.fromEntries(filled), { error: reasonOf })
  if (parsed.success) return { options: parsed.data }
  const found = parsed.error.issues.flatMap((issue) => issuesOf(issue, schema))
  // one reason for each option: an empty text has not the right form either
  const issues = [...new Map(found.toReversed().map((issue) => [issue.path, issue])).values()].toReversed()
  const [first] = issues
  if (first && wayOut !== '') first.message += ` (all options: ${wayOut})`
  return { options: null, issues }
}

function issuesOf(issue: z.core.$ZodIssue, { shape }: z.ZodObject): OptionIssue[] {
  const path = ['options', ...issue.path.map(String)]
  if (issue.code === 'unrecognized_keys') {
    const names = Object.keys(shape).join(', ') || 'none'
    const message = `there is no such option; there are: ${names}`
    return issue.keys.map((key) => ({ path: [...path, key].join('.'), message }))
  }
  const about = shape[String(issue.path[0])]?.description
  const message = issue.message === MISSING && about ? `${MISSING}: ${about}` : issue.message
  return [{ path: path.join('.'), message }]
}

/** In words, where the schema itself has none. */
function reasonOf(issue: z.core.$ZodRawIssue): string | undefined {
  if (issue.code === 'invalid_type') {
    const kind = KINDS.get(issue.expected)
    if (kind === undefined) return undefined
    return issue.input === undefined ? MISSING : `must be ${kind}`
  }
  if (issue.code === 'invalid_value') return `must be one of ${issue.values.map(String).join(', ')}`
  return issue.code === 'too_small' || issue.code === 'too_big' ? boundOf(issue) : undefined
}

function boundOf(issue: z.core.$ZodRawIssue<z.core.$ZodIssueTooSmall | z.core.$ZodIssueTooBig>): string {
  const isLeast = issue.code === 'too_small'
  const bound = isLeast ? issue.minimum : issue.maximum
  if (issue.origin === 'number' || issue.origin === 'int')
    return `must be ${bound} or ${isLeast ? 'more' : 'less'}`
  if (isLeast && bound === 1) return 'must not be empty'
  const what = issue.origin === 'string' ? 'characters' : 'values'
  return `must have ${bound} ${what} or ${isLeast ? 'more' : 'less'}`
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
