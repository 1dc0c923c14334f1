import * as z from 'zod'

/** Names of programs that we create. What others named may look otherwise and is shown all the same. */
export const ProgramName = z
  .string()
  .regex(/^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$/, 'letters, digits and _ . - only, the first no sign, 64 at most')
  .refine((name) => name !== 'all', 'not "all", which stands for all programs')
  .refine((name) => name !== 'supervisor-agent', 'not "supervisor-agent", the group of the event listener')
  .refine(
    (name) => !/\.surge\d+$/.test(name),
    'not .surgeN at its end, which groups of a scaled program have',
  )
  .meta({ description: 'the name of the program and of its group' })

export const MAX_INT = 2_147_483_647
export const WEEK_SECS = 604_800

/** One line of text that supervisord reads as it stands: no control character, no line separator, no loose surrogate. */
const LINE = /^[^\p{Cc}\p{Cs}\p{Zl}\p{Zp}]*$/u
const WHOLE_LINE = /^(?!\s)[^\p{Cc}\p{Cs}\p{Zl}\p{Zp}]*(?<!\s)$/u

export function line(max: number) {
  return z.string().min(1).max(max).regex(WHOLE_LINE, 'one line, no control characters, no space at its ends')
}

export const Path = line(4000).regex(/^\//, 'a full path')

export const LogFile = line(4000).regex(/^(?:\/|NONE$|AUTO$)/, 'a full path, or NONE, or AUTO')

export const Bytes = z.int().min(0).max(MAX_INT)

const EnvironmentName = z
  .string()
  .max(255)
  .regex(/^[A-Za-z_][A-Za-z0-9_]*$/, 'letters, digits and _ only, no digit first')

const OptionName = z.string().regex(/^[a-z][A-Za-z0-9]{0,63}$/, 'letters and digits, a small letter first')
const OptionValue = z.union([
  z.string().max(4096).regex(LINE, 'one line, no control characters'),
  z.number(),
  z.boolean(),
])

/** A record that refuses the key `__proto__`, which the schema of records would drop in silence. */
function whole<S extends z.ZodType>(schema: S) {
  return z.preprocess((value, context) => {
    if (typeof value === 'object' && value !== null && Object.hasOwn(value, '__proto__'))
      context.addIssue({ code: 'custom', message: 'not a name', path: ['__proto__'] })
    return value
  }, schema)
}

/** Variables by name. */
export const Environment = whole(
  z.record(EnvironmentName, z.string().max(16_384).regex(LINE, 'one line, no control characters')),
)

/** Options of a preset by name. */
export const PresetOptions = whole(
  z.record(OptionName, z.union([OptionValue, z.array(OptionValue).max(100)])),
)
