import * as z from 'zod'
import { AgentError, ERRORS, type ErrorCode } from '../../protocol/errors.ts'

type Result = Record<string, unknown>

/** How a call ended, as it is kept. */
export const Outcome = z.union([
  z.strictObject({ result: z.record(z.string(), z.unknown()) }),
  z.strictObject({
    error: z.strictObject({
      code: z.string(),
      message: z.string(),
      abroad: z.string().exactOptional(),
      facts: z.record(z.string(), z.unknown()),
    }),
  }),
])
export type Outcome = z.infer<typeof Outcome>

/** JSON of a result, without the fields that are given once. */
export function resultOutcome(result: Result, secrets: readonly string[]): string {
  const kept = Object.entries(result).map(([key, value]) => [key, secrets.includes(key) ? null : value])
  return JSON.stringify({ result: Object.fromEntries(kept) })
}

/** JSON of an error, with what leaves this host in place of its message. */
export function errorOutcome(error: unknown): string {
  if (!(error instanceof AgentError))
    return JSON.stringify({
      error: {
        code: 'INTERNAL',
        message: 'internal error; the agent log has the detail',
        facts: {},
      },
    })
  const { code, message, abroad, facts } = error
  return JSON.stringify({ error: { code, message, abroad, facts } })
}

/** The result again, marked. @throws {AgentError} the error again, marked */
export function fromOutcome(outcome: Outcome): Result {
  if ('result' in outcome) return { ...outcome.result, replayed: true }
  const { code, message, abroad, facts } = outcome.error
  throw new AgentError(isErrorCode(code) ? code : 'INTERNAL', message, {
    facts: { ...facts, replayed: true },
    abroad,
  })
}

/** One of another version may be unknown here. */
function isErrorCode(name: string): name is ErrorCode {
  return Object.hasOwn(ERRORS, name)
}
