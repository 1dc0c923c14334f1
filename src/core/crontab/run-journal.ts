// The runs on disk. A result is here before it leaves the spool, so that a kill of the agent loses none; its name tells
// when it comes a second time. A mark says that all before it was told: what is behind the last mark may have been cut
// off between its record and its event.
import * as z from 'zod'
import { RecordFiles } from '../../lib/record-files.ts'
import type { Logger } from '../../logger.ts'
import { EntryId, Run, RunId } from '../../protocol/entry.ts'

const FILE_BYTES = 1024 * 1024
const TOTAL_BYTES = 64 * 1024 * 1024
/** It is made smaller by what calls, which knows what is wanted; this is for when nobody does. */
const MOST_BYTES = 4 * TOTAL_BYTES
/** Appends between two looks at the size. */
const LOOK_EVERY = 64

const who = { n: z.int(), run: RunId, id: EntryId, user: z.string(), startedAtMs: z.int() }

/** Written again, long after it was told. */
const isOld = { told: z.literal(true).optional() }
/** It was seen running. */
const Started = z.strictObject({
  ...who,
  ...isOld,
  ...Run.pick({ byHand: true }).shape,
  started: z.literal(true),
})
const Finished = z.strictObject({
  ...who,
  ...Run.pick({ exitStatus: true, signal: true, detail: true, byHand: true }).shape,
  endedAtMs: z.int().optional(),
  verdict: Run.shape.verdict.exclude(['running']),
  output: z.string().optional(),
  ...isOld,
})
/** Where the events stood when all of the runs before it was told. */
const Mark = z.strictObject({ n: z.int(), mark: z.strictObject({ epoch: z.string(), seq: z.int() }) })
const Line = z.union([Finished, Started, Mark])

export type FinishedRun = Omit<z.infer<typeof Finished>, 'n' | 'output' | 'told'>
export type StartedRun = Omit<z.infer<typeof Started>, 'n' | 'started' | 'told'>
export type Mark = z.infer<typeof Mark>['mark']
export type JournalLine = z.infer<typeof Line>

export interface RunJournalOptions {
  folder: string
  keepMs: number
  /** Time for the ages of records; see `SteadyClock`. */
  now: () => number
  /** Told before old records go: the number of the first one that stays. */
  onRetain: (first: number) => void
  logger: Logger
  limits?: { fileBytes: number; totalBytes: number }
}

export class RunJournal {
  readonly #files: RecordFiles
  readonly #logger: Logger
  readonly #totalBytes: number
  #next = 1
  #unlooked = 0
  #isClosed = false

  /** Opens what is there. @throws what the file system says */
  constructor({ folder, keepMs, now, onRetain, logger, limits }: RunJournalOptions) {
    this.#logger = logger
    this.#totalBytes = limits?.totalBytes ?? TOTAL_BYTES
    this.#files = new RecordFiles({
      folder,
      fileBytes: limits?.fileBytes ?? FILE_BYTES,
      totalBytes: MOST_BYTES,
      keepMs,
      now,
      onRetain,
      numberOf,
    })
  }

  /** Everything of earlier runs of the agent, in the order of writing. */
  async *load(): AsyncGenerator<JournalLine> {
    let damaged = 0
    for await (const text of this.#files.read(0)) {
      const line = parseLine(text)
      if (line) {
        this.#next = Math.max(this.#next, line.n + 1)
        yield line
      } else damaged++
    }
    const { cutBytes } = this.#files
    if (cutBytes > 0 || damaged > 0)
      this.#logger.warn({ cutBytes, damaged }, 'records of runs of cron jobs were damaged')
  }

  /** The record is with the kernel when this returns. @returns its number @throws what the file system says */
  started(run: StartedRun): number {
    return this.#append({ ...run, started: true })
  }

  finished(run: FinishedRun, output: string | undefined): number {
    return this.#append(output === undefined ? run : { ...run, output })
  }

  /** All that is here was told. */
  mark(mark: Mark): void {
    this.#append({ mark })
  }

  /** Waits until the disk has all of it. */
  synced(): Promise<void> {
    return this.#files.synced()
  }

  /** The output of the runs whose records have these numbers, as far as it is kept. */
  async outputs(numbers: readonly number[]): Promise<Map<number, string>> {
    const found = new Map<number, string>()
    const wanted = new Set(numbers)
    if (wanted.size === 0) return found
    const last = Math.max(...numbers)
    for await (const text of this.#files.read(Math.min(...numbers))) {
      const n = numberOf(text) ?? 0
      if (wanted.has(n)) {
        const line = parseLine(text)
        if (line && 'output' in line && line.output !== undefined) found.set(n, line.output)
      }
      if (n >= last) break
    }
    return found
  }

  /**
   * Lets go of what is too old, and while all of it is too large of the oldest file: what is wanted of that is written
   * again, and told with its new number.
   */
  retain(
    wanted: (line: JournalLine) => 'all' | 'without-output' | 'none',
    moved: (line: JournalLine) => void,
  ): void {
    this.#unlooked = 0
    this.#files.retain()
    // what is written again goes to the end: once round is all
    const end = this.#next
    while (this.#files.totalBytes > this.#totalBytes) {
      const oldest = this.#files.oldest()
      if (!oldest || (this.#files.first ?? end) >= end) return
      for (const text of oldest) {
        const line = parseLine(text)
        const part = line ? wanted(line) : 'none'
        if (!line || part === 'none') continue
        const { n: _, ...rest } = line
        if (part === 'without-output' && 'output' in rest) delete rest.output
        moved({ ...line, n: this.#append({ ...rest, told: true }) })
      }
      this.#files.dropOldest()
    }
  }

  /** Whether it is time to look whether it has grown too large. */
  get isDue(): boolean {
    return this.#unlooked >= LOOK_EVERY
  }

  close(): void {
    this.#isClosed = true
    this.#files.close()
  }

  #append(record: Record<string, unknown>): number {
    if (this.#isClosed) throw new Error('the journal of runs is closed')
    const n = this.#next
    this.#files.append(n, JSON.stringify({ n, ...record }))
    this.#next++
    this.#unlooked++
    return n
  }
}

function numberOf(text: string): number | null {
  const number = /^\{"n":(\d+)/.exec(text)?.[1]
  return number === undefined ? null : Number(number)
}

function parseLine(text: string): JournalLine | null {
  try {
    return Line.parse(JSON.parse(text))
  } catch {
    return null
  }
}
