import * as z from 'zod'

/** What supervisord knows of one key of `[program:x]`. */
export interface ProgramKey {
  /** The key in the file. */
  ini: string
  kind: ProgramKeyKind
  /** supervisord's own default, as it would stand in the file; empty when there is none. */
  byDefault: string
  /** The version of supervisor that brought it. */
  since: string
}

/** How a value is written in the file. */
export type ProgramKeyKind =
  | 'text'
  | 'integer'
  | 'boolean'
  | 'restart'
  | 'exit-codes'
  | 'signal'
  | 'bytes'
  | 'octal'
  | 'log-file'
  | 'environment'

/** The keys of `[program:x]`, found by the schema of the field that stands for them. */
export const PROGRAM_KEYS = z.registry<ProgramKey>()

/** An optional field that stands for a key of the file. */
export function key<S extends z.ZodType>(schema: S, facts: ProgramKey & { about: string }): z.ZodOptional<S> {
  const { about, ...known } = facts
  const field = schema.optional().describe(about)
  PROGRAM_KEYS.add(field, known)
  return field
}
