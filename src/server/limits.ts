import type { LIMITS } from '../protocol/limits.ts'

/** {@link LIMITS}, each open to another value. */
export type Limits = { readonly [Name in keyof typeof LIMITS]: number }
