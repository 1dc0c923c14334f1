// What a start must know of the journal beyond its records: one line, written over in place, into bytes that the file
// has already. That works on a full disk too.
import { closeSync, constants, fdatasyncSync, openSync, readFileSync, writeSync } from 'node:fs'
import * as z from 'zod'

const WIDTH = 256

const State = z.strictObject({
  epoch: z.string().min(1).max(64),
  bootId: z.string(),
  /** `running`: the agent was killed. */
  state: z.enum(['running', 'stopped']),
  /** Numbers up to this one may be in use, although the journal does not have them. */
  given: z.int().optional(),
})
export type JournalState = z.infer<typeof State>

/** Null when there is none that can be used. */
export function readState(path: string): JournalState | null {
  try {
    return State.safeParse(JSON.parse(readFileSync(path, 'utf8'))).data ?? null
  } catch {
    return null
  }
}

export class StateFile {
  readonly #fd: number
  readonly #run: Pick<JournalState, 'epoch' | 'bootId'>

  /** @throws what the file system says */
  constructor(path: string, run: Pick<JournalState, 'epoch' | 'bootId'>) {
    const { O_CREAT, O_NOFOLLOW, O_RDWR } = constants
    this.#fd = openSync(path, O_CREAT | O_NOFOLLOW | O_RDWR, 0o600)
    this.#run = run
  }

  /** Returns when the disk has it. @throws what the file system says */
  write(state: JournalState['state'], given: number | undefined): void {
    const text = JSON.stringify({
      ...this.#run,
      state,
      ...(given === undefined ? {} : { given }),
    } satisfies JournalState)
    writeSync(this.#fd, `${text.padEnd(WIDTH - 1)}\n`, 0)
    fdatasyncSync(this.#fd)
  }

  close(): void {
    closeSync(this.#fd)
  }
}
