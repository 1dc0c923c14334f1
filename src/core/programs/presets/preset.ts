import type * as z from 'zod'
import type { Definition } from '../../../protocol/definition.ts'

/** How a program takes up new code without losing a job. */
export type Graceful =
  /**
   * Run as the program's user, in its folder, with its environment; its workers then end by themselves and come back.
   * `keepsPid`: what supervisord started stays, and replaces its own workers.
   */
  | { by: 'command'; argv: readonly string[]; keepsPid?: boolean }
  /** Sent to each process; it ends by itself and comes back. */
  | { by: 'signal'; signal: string }

/** A kind of program: options in, a definition out. */
export interface Preset<O extends z.ZodObject = z.ZodObject> {
  /** Its name on the wire. */
  preset: string
  title: string
  /** Made when it is needed: most hosts use one or two presets. */
  options: () => O
  /** Options for an example, where their defaults alone say too little. */
  example?: Readonly<Record<string, string | number | boolean | (string | number | boolean)[]>>
  /** What it makes of its options; whatever the caller defines takes its place. */
  build(options: z.output<O>, asked: Definition): Omit<Partial<Definition>, 'name' | 'preset' | 'options'>
  /** Absent: its stop signal and stop wait are all that it needs. */
  graceful?(options: z.output<O>, asked: Definition): Graceful | null
  /** What may surprise with these options. */
  warnings?(options: z.output<O>, whole: Definition): string[]
  /** Options that nobody without the scope `program` sees, nor any record. */
  secretOptions?: readonly string[]
}

/** Lets each preset have the types of its own options, which are made once. */
export function preset<O extends z.ZodObject>(made: Preset<O>): Preset<O> {
  let options: O | undefined
  return { ...made, options: () => (options ??= made.options()) }
}
