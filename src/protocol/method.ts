import * as z from 'zod'
import type { ErrorCode } from './errors.ts'
import { IdempotencyKey } from './names.ts'
import type { Scope } from './scopes.ts'

/** How a method shows on the command line. */
export interface CliSpec {
  /** Words after `agent`, for example `supervisor info`. */
  command: string
  /** Parameters given without a flag, in order; an array parameter takes the rest. */
  positional?: readonly string[]
}

/** One method of the API: everything that any part of the agent knows of it. */
export interface MethodSpec<P extends z.ZodObject, R extends z.ZodObject, C> {
  summary: string
  /** `any` needs only an authenticated session. */
  scope: Scope | 'any'
  /** True when it changes something: takes an `idempotencyKey`, is refused while `policy.readOnly`. */
  mutating: boolean
  params: P
  result: R
  errors: readonly ErrorCode[]
  /** Parsed by a test and printed in the docs. */
  example: { params: z.input<P>; result: z.input<R> }
  cli?: CliSpec
  /** Names of result fields that must never be kept for a replay. */
  secretResults?: readonly string[]
  run(params: z.output<P>, context: C): Promise<z.input<R>> | z.input<R>
}

type Draft<P extends z.ZodObject, R extends z.ZodObject, C> = Omit<MethodSpec<P, R, C>, 'mutating'>

/** A method that only reads. */
export function query<P extends z.ZodObject, R extends z.ZodObject, C>(
  draft: Draft<P, R, C>,
): MethodSpec<P, R, C> {
  return { ...draft, mutating: false }
}

const KEYED = { idempotencyKey: IdempotencyKey.optional() }
const REPLAYED = { replayed: z.literal(true).optional() }

/** A closed object with more fields. */
type Extended<O extends z.ZodObject, S extends z.ZodRawShape> = z.ZodObject<O['shape'] & S, z.core.$strict>

/**
 * A method that changes something: `idempotencyKey` joins its parameters and `replayed` its result. Its `run` sees
 * neither.
 */
export function mutation<P extends z.ZodObject, R extends z.ZodObject, C>(draft: Draft<P, R, C>) {
  const params = draft.params.extend(KEYED) as unknown as Extended<P, typeof KEYED>
  const result = draft.result.extend(REPLAYED) as unknown as Extended<R, typeof REPLAYED>
  return { ...draft, params, result, mutating: true as const }
}
