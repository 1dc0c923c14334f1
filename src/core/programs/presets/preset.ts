import type * as z from 'zod'
import type { Definition } from '../../../protocol/definition.ts'

/** How a program takes up new code without losing a job. */
export type Graceful =
  /** Run as the program's user, in its folder, with its environment; its workers then end by themselves and come back. */
  | { by: 'command'; argv: readonly string[] }
  /** Sent to each process; it ends by itself and comes back. */
  | { by: 'signal'; signal: string }

/** A kind of program: options in, a definition out. */
export interface Preset<O extends z.ZodObject = z.ZodObject> {
  /** Its name on the wire. */
  preset: string
  title: string
  options: O
  /** What it makes of its options; whatever the caller defines takes its place. */
  build(options: z.output<O>, asked: Definition): Omit<Partial<Definition>, 'name' | 'preset' | 'options'>
  /** Absent: its stop signal and stop wait are all that it needs. */
  graceful?(options: z.output<O>, asked: Definition): Graceful
  /** What may surprise with these options. */
  warnings?(options: z.output<O>, whole: Definition): string[]
  /** Options that nobody without the scope `program` sees, nor any record. */
  secretOptions?: readonly string[]
}

/** Lets each preset have the types of its own options. */
export function preset<O extends z.ZodObject>(made: Preset<O>): Preset<O> {
  return made
}
