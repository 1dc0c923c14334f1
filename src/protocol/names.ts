import * as z from 'zod'

/** No control character, no separator that a terminal or an XML parser would act on. */
const FOREIGN_NAME = /^[^\s\p{Cc}\p{Cs}<>&]{1,255}$/u

/**
 * A process as supervisorctl prints it: `group:process`, bare when both are equal. The pattern also admits
 * names that other people gave; what cannot be sent to supervisord safely is not a name.
 */
export const ProcessName = z
  .string()
  .regex(
    FOREIGN_NAME,
    'a process name has no white space, no control character, none of < > & and at most 255',
  )
  .refine((name) => !name.includes(']]>'), 'a process name has no ]]>')
  .meta({ description: '`group:process`, bare when equal' })

/** A process or group as supervisord has it: also a name that is not one to be sent. It is shown, not controlled. */
export const GivenName = z.string().min(1).meta({ description: '`group:process`, bare when equal' })

/** One entry of a selection: `group:process`, a bare name, `group:*`, a glob, or `all`. */
export const Selector = ProcessName.meta({
  description: '`group:process`, bare name, `group:*`, glob, or `all`',
})
export const Select = z.array(Selector).min(1).max(1000)

export const GroupName = ProcessName.meta({ description: 'a group of processes' })

export const TokenName = z
  .string()
  .regex(/^[A-Za-z0-9][A-Za-z0-9_.@-]{0,63}$/, 'letters, digits and _ . @ - only, 64 at most')

/** A pattern in which `*` stands for any run of characters (`:` too) and `?` for one. */
export const Glob = z.string().min(1).max(255).regex(FOREIGN_NAME)

/** ISO 8601 in UTC. */
export const Instant = z.iso.datetime().meta({ description: 'ISO 8601, UTC' })

export const IdempotencyKey = z
  .string()
  .regex(/^[A-Za-z0-9_.:-]{8,64}$/, '8 to 64 of A-Z a-z 0-9 _ . : -')
  .describe('the call with this key runs once; needed over TCP')
