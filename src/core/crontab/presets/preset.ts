import type * as z from 'zod'
import type { EntryDefinition } from '../../../protocol/entry.ts'

/** What a preset makes of its options; whatever the caller defines takes its place. */
export type Built = { command: string } & Pick<
  Partial<EntryDefinition>,
  'schedule' | 'noOverlap' | 'timeoutMs' | 'splayMs'
>

/** A kind of entry: options in, an entry out. */
export interface EntryPreset<O extends z.ZodObject = z.ZodObject> {
  /** Its name on the wire. */
  preset: string
  title: string
  /** When it runs where nobody says it. */
  schedule: string
  /** Made when it is needed: most hosts use one or two presets. */
  options: () => O
  /** Options for an example, where their defaults alone say too little. */
  example?: Readonly<Record<string, string | number | boolean | string[]>>
  build(options: z.output<O>): Built
  /** What may surprise with these options. */
  warnings?(options: z.output<O>): string[]
}

/** Lets each preset have the types of its own options, which are made once. */
export function preset<O extends z.ZodObject>(made: EntryPreset<O>): EntryPreset<O> {
  let options: O | undefined
  return { ...made, options: () => (options ??= made.options()) }
}
