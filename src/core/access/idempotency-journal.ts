// The calls with a key, and what became of them, on disk: one record when a call begins, on the disk before its effect,
// and one when its outcome is known. A call that has only the first was cut off by the end of the agent.
import * as z from 'zod'
import { RecordFiles } from '../../lib/record-files.ts'
import type { Logger } from '../../logger.ts'
import { Outcome } from './idempotency-outcome.ts'

const FILE_BYTES = 256 * 1024
const TOTAL_BYTES = 64 * 1024 * 1024
export const KEEP_MS = 7 * 24 * 3_600_000
export const NEVER_EVICT_MS = 24 * 3_600_000

const Begin = z.strictObject({
  n: z.int(),
  at: z.int().describe('milliseconds of the steady clock'),
  owner: z.string(),
  key: z.string(),
  method: z.string(),
  print: z.string().describe('of method and parameters'),
})
const End = z.strictObject({ n: z.int(), of: z.int(), outcome: Outcome })
/** It was refused before its effect: its key may be used anew. */
const Freed = z.strictObject({ n: z.int(), of: z.int(), freed: z.literal(true) })
const Line = z.union([Begin, End, Freed])

type Beginning = Omit<z.infer<typeof Begin>, 'n'>

/** A call of an earlier run. */
export interface KnownCall extends Beginning {
  /** Number of its first record. */
  n: number
  /** Number of the record with its outcome; null when nobody knows it. */
  outcome: number | null
  outcomeBytes: number
}

export class IdempotencyJournal {
  readonly #files: RecordFiles
  readonly #logger: Logger
  #next = 1
  #isClosed = false

  /** Opens what is there. @throws what the file system says */
  constructor({ folder, logger, now }: { folder: string; logger: Logger; now: () => number }) {
    this.#logger = logger
    this.#files = new RecordFiles({
      folder,
      now,
      fileBytes: FILE_BYTES,
      totalBytes: TOTAL_BYTES,
      keepMs: KEEP_MS,
      spareMs: NEVER_EVICT_MS,
    })
  }

  /** Number of the oldest record that is kept. */
  get first(): number {
    return this.#files.first ?? this.#next
  }

  /** The calls of earlier runs, oldest first. */
  async load(): Promise<KnownCall[]> {
    const calls = new Map<number, KnownCall>()
    let damaged = 0
    for await (const text of this.#files.read(0)) {
      const line = parseLine(text)
      if (!line) {
        damaged++
        continue
      }
      this.#next = Math.max(this.#next, line.n + 1)
      if ('key' in line) calls.set(line.n, { ...line, outcome: null, outcomeBytes: 0 })
      else if ('freed' in line) calls.delete(line.of)
      else {
        const call = calls.get(line.of)
        if (call) calls.set(line.of, { ...call, outcome: line.n, outcomeBytes: text.length })
      }
    }
    const { cutBytes } = this.#files
    if (cutBytes > 0 || damaged > 0)
      this.#logger.warn({ cutBytes, damaged }, 'records of calls with a key were damaged')
    return [...calls.values()]
  }

  /** Keeps that a call begins; returns when the disk has it. @throws what the file system says, such as ENOSPC */
  async begin(call: Beginning): Promise<number> {
    const n = this.#append(JSON.stringify(call).slice(1))
    try {
      await this.#files.synced()
    } catch (error) {
      this.free(n)
      throw error
    }
    return n
  }

  /** Keeps an outcome, as JSON of {@link Outcome}. @returns its number; null when it could not be written */
  end(of: number, outcome: string): number | null {
    return this.#try(() => this.#append(`"of":${of},"outcome":${outcome}}`))
  }

  /** Keeps that the call was refused. @returns whether it could be written */
  free(of: number): boolean {
    return this.#try(() => this.#append(`"of":${of},"freed":true}`)) !== null
  }

  /** An outcome by its number; null when its record is gone or damaged. */
  async outcome(n: number): Promise<Outcome | null> {
    for await (const text of this.#files.read(n))
      if (text.startsWith(`{"n":${n},`)) {
        const line = parseLine(text)
        return line && 'outcome' in line ? line.outcome : null
      }
    return null
  }

  retain(): void {
    this.#files.retain()
  }

  close(): void {
    this.#isClosed = true
    this.#files.close()
  }

  /** @param rest of the JSON, behind the number */
  #append(rest: string): number {
    if (this.#isClosed) throw new Error('the journal is closed')
    const n = this.#next
    this.#files.append(n, `{"n":${n},${rest}`)
    this.#next++
    return n
  }

  #try(append: () => number): number | null {
    try {
      return append()
    } catch (error) {
      this.#logger.warn({ err: error }, 'the end of a call with a key could not be recorded')
      return null
    }
  }
}

function parseLine(text: string): z.infer<typeof Line> | null {
  try {
    return Line.parse(JSON.parse(text))
  } catch {
    return null
  }
}
