// Restarts that are under way, on disk. An agent that ends between the stop and the start of a process leaves it down
// with nobody who would start it: the next run of the agent reads here that it is to be started.
import { readFileSync, renameSync, writeFileSync } from 'node:fs'
import * as z from 'zod'
import { processStart } from '../../lib/process-start.ts'
import type { Logger } from '../../logger.ts'

const Note = z.strictObject({
  process: z.string(),
  actor: z.string(),
  atMs: z.int(),
  /** The run of supervisord: with another one everything was started anew. */
  supervisord: z.int(),
  started: z.string().nullable(),
})
export type RestartNote = z.infer<typeof Note>
const Notes = z.strictObject({ restarts: z.array(Note) })

export class RestartNotes {
  readonly #path: string
  readonly #logger: Logger
  readonly #notes = new Map<string, RestartNote>()
  /** Of an earlier run. */
  readonly #left: RestartNote[]
  #writing: Promise<void> | null = null

  /** Reads what an earlier run left. */
  constructor({ path, logger }: { path: string; logger: Logger }) {
    this.#path = path
    this.#logger = logger
    this.#left = readNotes(path, logger)
    for (const note of this.#left) this.#notes.set(note.process, note)
  }

  /** Those of an earlier run that were made with this supervisord, once; the others are forgotten. */
  takeLeft(supervisord: number): RestartNote[] {
    const { started } = runOf(supervisord)
    const left = this.#left.splice(0)
    const ours = left.filter((note) => note.supervisord === supervisord && note.started === started)
    for (const note of left) if (!ours.includes(note)) this.end(note.process)
    return ours
  }

  /** A restart begins. Those that begin together share a write; one that the disk does not take goes on without. */
  begin(process: string, { actor, supervisord }: { actor: string; supervisord: number }): Promise<void> {
    this.#notes.set(process, { process, actor, atMs: Date.now(), ...runOf(supervisord) })
    return this.#write()
  }

  /** It is over, whatever came of it. */
  end(process: string): void {
    if (this.#notes.delete(process)) void this.#write()
  }

  #write(): Promise<void> {
    this.#writing ??= new Promise((resolve) => {
      setImmediate(() => {
        this.#writing = null
        try {
          const text = JSON.stringify({ restarts: [...this.#notes.values()] } satisfies z.infer<typeof Notes>)
          // the kernel is enough: what ends with the host needs no start by us
          writeFileSync(`${this.#path}.new`, text, { mode: 0o600 })
          renameSync(`${this.#path}.new`, this.#path)
        } catch (error) {
          this.#logger.warn(
            { err: error },
            'restarts under way cannot be noted: one that is cut short stays so',
          )
        }
        resolve()
      })
    })
    return this.#writing
  }
}

function runOf(supervisord: number): Pick<RestartNote, 'supervisord' | 'started'> {
  return { supervisord, started: processStart(supervisord)?.startTicks ?? null }
}

function readNotes(path: string, logger: Logger): RestartNote[] {
  try {
    return Notes.parse(JSON.parse(readFileSync(path, 'utf8'))).restarts
  } catch (error) {
    const isMissing = error instanceof Error && 'code' in error && error.code === 'ENOENT'
    if (!isMissing)
      logger.warn({ err: error, path }, 'what an earlier run noted of its restarts is not readable')
    return []
  }
}
