import * as z from 'zod'
import type { ErrorCode, ErrorFacts } from './errors.ts'
import { madeOnce, onlyOnce } from './made-once.ts'
import { IdempotencyKey } from './names.ts'
import type { PolicySwitch } from './policy.ts'
import type { Scope } from './scopes.ts'

/** How a method shows on the command line. */
export interface CliSpec {
  /** Words after `agent`, for example `supervisor info`. */
  command: string
  /** Parameters given without a flag, in order; an array parameter takes the rest. */
  positional?: readonly string[]
  /** The parameter whose fields are flags of their own; it can also be given whole, as a file. */
  body?: string
}

/** One method of the API: everything that any part of the agent knows of it. */
export interface MethodSpec<P extends z.ZodObject, R extends z.ZodObject, C, S = unknown> {
  summary: string
  /** `any` needs only an authenticated session. */
  scope: Scope | 'any'
  /** True when it changes something: takes an `idempotencyKey`, is refused while `policy.readOnly`. */
  mutating: boolean
  params: P
  result: R
  /** What it may answer in place of a result: first what it says of its own, then what every method of its kind may. */
  errors: readonly ErrorCode[]
  /** Parsed by a test and printed in the docs. */
  example: { params: z.input<P>; result: z.input<R> }
  cli?: CliSpec
  /** By parameter: the code that tells what is wrong within it, in place of INVALID_PARAMS. */
  invalidAs?: Readonly<Record<string, ErrorCode>>
  /** Names of result fields that must never be kept for a replay. */
  secretResults?: readonly string[]
  /** Paths of parameters that no record shows, such as `text` or `definition.environment`. */
  secretParams?: readonly string[]
  /** The state that the call is about, as it is now: for those who ask what became of a call that was cut short. */
  observe?(params: z.output<P>, context: C, subject: S | undefined): ErrorFacts | Promise<ErrorFacts>
  /** True when it is only for those who may see all programs. */
  allPrograms?: boolean
  /** Switches of the host's policy that must be on, for all but admin.sock. */
  switches?: readonly PolicySwitch[]
  /**
   * Finds what the call is about, with no effect, and refuses what lies outside the rights of the caller (FORBIDDEN)
   * or the policy, or is no parameter. Any other failure of it is told only after the call's key was looked up: its
   * outcome may be known.
   */
  judge?(params: z.output<P>, context: C): Promise<S> | S
  /** What is judged only while it runs, so that `policy.explain` cannot foresee it; without a full stop. */
  unforeseen?: string
  /** The effect, on what was judged. */
  run(params: z.output<P>, context: C, subject: S): Promise<z.input<R>> | z.input<R>
}

/** As it is declared. Schemas are made when they are first asked for: most are never, and all of them are 0.7 MB. */
interface Draft<P extends z.ZodObject, R extends z.ZodObject, C, S>
  extends Omit<MethodSpec<P, R, C, S>, 'mutating' | 'params' | 'result'> {
  params: () => P
  result: () => R
}

type Observable<D extends { observe?: unknown }> = D & { observe: NonNullable<D['observe']> }

/** What every method may answer: the judgement before it, and the end of a call, are the same for all. */
const ERRORS_OF_ALL = [
  'INVALID_PARAMS',
  'FORBIDDEN',
  'TOO_MANY_REQUESTS',
  'CANCELLED',
  'SHUTTING_DOWN',
  'INTERNAL',
] as const satisfies readonly ErrorCode[]
/** What every method that changes something may answer besides: a host may be read-only, a key used before. */
const ERRORS_OF_CHANGES = [
  'POLICY_DENIED',
  'IDEMPOTENCY_CONFLICT',
  'OUTCOME_UNKNOWN',
] as const satisfies readonly ErrorCode[]

/** The errors of a method that others of its kind have too. */
export function sharedErrors(mutating: boolean): readonly ErrorCode[] {
  return mutating ? [...ERRORS_OF_CHANGES, ...ERRORS_OF_ALL] : ERRORS_OF_ALL
}

function allErrors(own: readonly ErrorCode[], mutating: boolean): readonly ErrorCode[] {
  const shared = sharedErrors(mutating)
  return [...own.filter((code) => !shared.includes(code)), ...shared]
}

/** A method that only reads. */
export function query<P extends z.ZodObject, R extends z.ZodObject, C, S>(
  draft: Draft<P, R, C, S>,
): MethodSpec<P, R, C, S> {
  const { params, result, ...rest } = draft
  const method = { ...rest, errors: allErrors(draft.errors, false), mutating: false }
  return madeOnce(madeOnce(method, 'params', params), 'result', result)
}

const keyed = onlyOnce(() => ({ idempotencyKey: IdempotencyKey.optional() }))
const marks = onlyOnce(() => ({
  replayed: z.literal(true).optional(),
  warnings: z.array(z.string()).optional().describe('on admin.sock: what the policy denies to all others'),
  truncated: z
    .record(z.string(), z.int())
    .optional()
    .describe(
      'it was done, and its lists were cut to fit a frame: how long each was; rows that failed come first',
    ),
}))
/** What a scope needs of the policy, so that a new method has it by itself. */
const SWITCHES: Partial<Record<Scope | 'any', readonly PolicySwitch[]>> = {
  program: ['allowRemoteProgram'],
  cron: ['allowRemoteCron'],
}

/** A closed object with more fields; its own come first. */
type Extended<O extends z.ZodObject, S extends z.ZodRawShape> = z.ZodObject<
  O['shape'] & Omit<S, keyof O['shape']>,
  z.core.$strict
>

/**
 * A method that changes something: `idempotencyKey` joins its parameters; `replayed`, `warnings` and `truncated` its
 * result. Its `run` sees none of them.
 */
export function mutation<P extends z.ZodObject, R extends z.ZodObject, C, S>(
  draft: Observable<Draft<P, R, C, S>>,
) {
  const { params, result, ...rest } = draft
  const switches = [...(SWITCHES[draft.scope] ?? []), ...(draft.switches ?? [])]
  const method = { ...rest, switches, errors: allErrors(draft.errors, true), mutating: true as const }
  const withParams = madeOnce(method, 'params', () => extended(params(), keyed()))
  return madeOnce(withParams, 'result', () => extended(result(), marks()))
}

function extended<O extends z.ZodObject, S extends z.ZodRawShape>(object: O, more: S): Extended<O, S> {
  const lacking = Object.entries(more).filter(([key]) => !(key in object.shape))
  return object.extend(Object.fromEntries(lacking)) as unknown as Extended<O, S>
}
