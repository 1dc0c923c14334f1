// Presets of a host's own: data alone, from a file. Placeholders are filled within words, and words stay words.
import * as z from 'zod'
import { Definition, STOP_SIGNALS } from '../../../protocol/definition.ts'
import { commandOf } from './command.ts'
import { stopWaitFor, stopWaitWarnings, word } from './options.ts'
import { type Graceful, type Preset, preset } from './preset.ts'

const MAX_WORDS = 100
const PLACE = /\{([a-z][A-Za-z0-9]{0,63})\}/g

const OptionName = z.string().regex(/^[a-z][A-Za-z0-9]{0,63}$/, 'letters and digits, a small letter first')
const Secs = z.int().min(-1_000_000_000).max(1_000_000_000)
const about = { about: z.string().min(1).max(400) }
const required = { required: z.boolean().default(false) }
const UserOption = z.discriminatedUnion('type', [
  z.strictObject({
    type: z.literal('string'),
    ...about,
    ...required,
    default: z.string().optional(),
    choices: z.array(word(255)).min(1).max(100).optional(),
  }),
  z.strictObject({
    type: z.literal('integer'),
    ...about,
    ...required,
    default: Secs.optional(),
    min: Secs.default(0),
    max: Secs.default(1_000_000_000),
  }),
  z.strictObject({ type: z.literal('boolean'), ...about, default: z.boolean().default(false) }),
  z.strictObject({ type: z.literal('list'), ...about, default: z.array(z.string()).max(100).default([]) }),
])
type UserOption = z.output<typeof UserOption>

const Template = z
  .string()
  .min(1)
  .max(4_000)
  .regex(/^[^\p{Cc}\p{Cs}\p{Zl}\p{Zp}]*$/u, 'one line, no control characters')
const Words = z.array(Template).min(1).max(MAX_WORDS)
const UserPreset = z.strictObject({
  preset: z.string().regex(/^[a-z0-9][a-z0-9-]{0,63}$/, 'small letters, digits and - only'),
  title: z.string().min(1).max(200),
  options: z.record(OptionName, UserOption).default({}),
  command: z
    .array(z.union([Template, z.strictObject({ when: OptionName, words: Words })]))
    .min(1)
    .max(MAX_WORDS),
  longestJob: OptionName.optional(),
  graceful: z
    .discriminatedUnion('by', [
      z.strictObject({ by: z.literal('command'), argv: Words, keepsPid: z.boolean().default(false) }),
      z.strictObject({ by: z.literal('signal'), signal: z.enum(STOP_SIGNALS).exclude(['KILL']) }),
    ])
    .optional(),
  definition: Definition.omit({ name: true, preset: true, options: true, command: true }).default({}),
})
type UserPreset = z.output<typeof UserPreset>

/** A preset out of what a file holds, or the reasons why it is none. */
export function userPreset(raw: unknown): { made: Preset } | { problems: string[] } {
  const parsed = UserPreset.safeParse(raw)
  if (!parsed.success)
    return {
      problems: parsed.error.issues.map(({ path, message }) => `${path.join('.') || 'file'}: ${message}`),
    }
  const problems = problemsOf(parsed.data)
  return problems.length > 0 ? { problems } : { made: presetOf(parsed.data) }
}

function presetOf({ options, command, longestJob, graceful, definition, ...names }: UserPreset): Preset {
  const shape = Object.fromEntries(Object.entries(options).map(([name, one]) => [name, schemaOf(one)]))
  const longestIn = (given: Record<string, unknown>) =>
    longestJob === undefined ? undefined : Number(given[longestJob] ?? 0)
  const argvOf = (templates: readonly string[], given: Record<string, unknown>) =>
    templates.flatMap((template) => filled(template, given))
  const example = Object.entries(options).flatMap(([name, one]): [string, string | number][] => {
    if (!('required' in one) || !one.required) return []
    return [[name, one.type === 'integer' ? one.min : (one.choices?.[0] ?? name)]]
  })
  return preset({
    ...names,
    options: () => z.strictObject(shape),
    example: Object.fromEntries(example),
    build: (given: Record<string, unknown>) => {
      const longest = longestIn(given)
      return {
        autorestart: true,
        ...(longest === undefined ? {} : { stopWaitSecs: stopWaitFor(longest) }),
        ...definition,
        command: commandOf(
          command.flatMap((part) => {
            if (typeof part === 'string') return filled(part, given)
            return isGiven(given[part.when]) ? argvOf(part.words, given) : []
          }),
        ),
      }
    },
    graceful: (given: Record<string, unknown>): Graceful | null =>
      graceful?.by === 'command' ? { ...graceful, argv: argvOf(graceful.argv, given) } : (graceful ?? null),
    warnings: (given: Record<string, unknown>, whole) => {
      const longest = longestIn(given)
      return longest === undefined ? [] : stopWaitWarnings(longest, whole, longestJob ?? '')
    },
  })
}

/** The words that a template stands for: none when what it names is not given, several for a list that it is all of. */
function filled(template: string, given: Record<string, unknown>): string[] {
  const [only] = /^\{([A-Za-z0-9]+)\}$/.exec(template)?.slice(1) ?? []
  const list = only === undefined ? undefined : given[only]
  if (Array.isArray(list)) return list.map(String)
  const names = placesIn(template)
  if (names.some((name) => !isGiven(given[name]))) return []
  return [template.replaceAll(PLACE, (_, name: string) => String(given[name]))]
}

function isGiven(value: unknown): boolean {
  return value !== undefined && value !== false && !(Array.isArray(value) && value.length === 0)
}

function placesIn(template: string): string[] {
  return [...template.matchAll(PLACE)].map(([, name = '']) => name)
}

function schemaOf(option: UserOption): z.ZodType {
  switch (option.type) {
    case 'string': {
      const text = option.choices ? z.enum(option.choices) : word(4_000)
      return optional(text, option).describe(option.about)
    }
    case 'integer':
      return optional(z.int().min(option.min).max(option.max), option).describe(option.about)
    case 'boolean':
      return z.boolean().default(option.default).describe(option.about)
    case 'list':
      return z.array(word(4_000)).max(100).default(option.default).describe(option.about)
  }
}

function optional<T extends string | number>(
  schema: z.ZodType<T>,
  option: { required: boolean; default?: T | undefined },
): z.ZodType {
  if (option.default !== undefined) return schema.prefault(option.default)
  return option.required ? schema : schema.optional()
}

/** What a schema cannot see: names that lead nowhere, defaults that their own option refuses. */
function problemsOf({ options, command, longestJob, graceful }: UserPreset): string[] {
  const problems: string[] = []
  for (const [name, option] of Object.entries(options)) {
    if (option.default === undefined) continue
    const [issue] = schemaOf(option).safeParse(option.default).error?.issues ?? []
    if (issue) problems.push(`options.${name}.default: ${issue.message}`)
  }
  const known = (name: string) => (Object.hasOwn(options, name) ? options[name] : undefined)
  const check = (where: string, template: string, mustStand: boolean) => {
    for (const name of placesIn(template)) {
      const option = known(name)
      if (!option) problems.push(`${where}: {${name}} is no option`)
      else if (option.type === 'boolean') problems.push(`${where}: {${name}} is true or false: use when`)
      else if (mustStand && !alwaysStands(option))
        problems.push(`${where}: {${name}} may be missing, and this is what runs`)
    }
  }
  const checkVerb = (where: string, templates: readonly string[]) =>
    templates.forEach((template, at) => check(`${where}.${at}`, template, at === 0))
  command.forEach((part, at) => {
    if (typeof part === 'string') return check(`command.${at}`, part, at === 0)
    if (at === 0) problems.push('command.0: the first word is what runs, whatever the options')
    if (!known(part.when)) problems.push(`command.${at}.when: ${part.when} is no option`)
    for (const template of part.words) check(`command.${at}.words`, template, false)
  })
  if (graceful?.by === 'command') checkVerb('graceful.argv', graceful.argv)
  if (longestJob !== undefined && known(longestJob)?.type !== 'integer')
    problems.push(`longestJob: ${longestJob} is no option of type integer`)
  return problems
}

function alwaysStands(option: UserOption): boolean {
  return option.type !== 'list' && (option.default !== undefined || ('required' in option && option.required))
}
