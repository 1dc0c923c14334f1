// The events on disk. A record is with the kernel before its event is sent, so that a restart of the agent loses and
// repeats nothing. What a crash of the whole host may lose was perhaps sent already: numbers are never used twice, so
// that the epoch ends there. The same holds while the disk takes nothing: events go on, and a restart begins an epoch.
import { randomBytes } from 'node:crypto'
import { closeSync, constants, fdatasyncSync, mkdirSync, openSync, readFileSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import * as z from 'zod'
import { RecordFiles } from '../../lib/record-files.ts'
import type { Logger } from '../../logger.ts'
import { type Stored, storedOf } from './stored-event.ts'

const FILE_BYTES = 8 * 1024 * 1024
const TOTAL_BYTES = 64 * 1024 * 1024
const KEEP_MS = 7 * 24 * 3_600_000
const STATE_BYTES = 256
const RETRY_MS = 5_000

/** Where a source of events stands: it is written in the record of the event that it caused. */
const Source = z.strictObject({
  supervisord: z.int(),
  started: z.int().nullable(),
  serial: z.int(),
  poolSerial: z.int(),
})
export type Source = z.infer<typeof Source>

/** `running`: the agent was killed. `behind`: events were sent that the journal does not have. */
const State = z.strictObject({
  epoch: z.string().min(1).max(64),
  bootId: z.string(),
  state: z.enum(['running', 'stopped', 'behind']),
})
type State = z.infer<typeof State>

const Line = z.looseObject({ seq: z.int(), source: Source.optional() })

export interface JournalOptions {
  /** Made where it is missing. */
  folder: string
  logger: Logger
  /** Of this start of the host. */
  bootId?: string
  limits?: { fileBytes: number; totalBytes: number; keepMs: number }
}

export class EventJournal {
  readonly epoch: string
  /** Number of the last event of earlier runs. */
  readonly seq: number
  /** Where the source of events stood at the end of them. */
  readonly source: Source | null
  readonly #logger: Logger
  readonly #files: RecordFiles
  readonly #stateFd: number
  readonly #bootId: string
  /** Set while the disk takes nothing: the first number that is missing, and when to try again. */
  #behind: { from: number; retryAtMs: number } | null = null

  /** @throws what the file system says */
  constructor({ folder, logger, bootId = bootIdOfHost(), limits }: JournalOptions) {
    this.#logger = logger
    this.#bootId = bootId
    mkdirSync(folder, { recursive: true, mode: 0o700 })
    const { O_CREAT, O_NOFOLLOW, O_RDWR } = constants
    const path = join(folder, 'state.json')
    const before = readState(path)
    this.#files = new RecordFiles({
      folder,
      ...(limits ?? { fileBytes: FILE_BYTES, totalBytes: TOTAL_BYTES, keepMs: KEEP_MS }),
    })
    const end = endOf(this.#files.newest())
    const why = whyNew(before, end, bootId)
    if (why !== null) {
      logger.info({ why }, 'events begin a new epoch')
      this.#files.clear()
    } else if (this.#files.cutBytes > 0)
      logger.warn({ bytes: this.#files.cutBytes }, 'a torn record was cut off the journal of events')
    this.epoch = why === null && before ? before.epoch : randomBytes(6).toString('base64url')
    this.seq = why === null && end ? end.seq : 0
    this.source = why === null && end ? end.source : null
    this.#stateFd = openSync(path, O_CREAT | O_NOFOLLOW | O_RDWR, 0o600)
    this.#setState('running')
  }

  /** Number of the oldest event that can be read; one more than the last one when there is none. */
  get oldestSeq(): number {
    return this.#files.first ?? this.seq + 1
  }

  /** Keeps an event. `held` has the events in memory, for when the disk takes records again. Never throws. */
  append(stored: Stored, source: Source | null, held: (seq: number) => Stored | undefined): void {
    try {
      if (this.#behind) {
        if (performance.now() < this.#behind.retryAtMs) return
        for (let seq = this.#behind.from; seq < stored.seq; seq++) {
          const missed = held(seq)
          if (!missed) throw new Error(`events from ${seq} on are not in memory any more`)
          this.#files.append(seq, missed.record(null))
          this.#behind.from = seq + 1
        }
      }
      this.#files.append(stored.seq, stored.record(source))
      if (!this.#behind) return
      this.#behind = null
      this.#setState('running')
      this.#logger.info('the journal of events is complete again')
    } catch (error) {
      if (!this.#behind) this.#fellBehind(stored.seq, error)
      else this.#behind.retryAtMs = performance.now() + RETRY_MS
    }
  }

  /** Notes where the source stands when it caused no event. */
  note(nextSeq: number, source: Source): void {
    if (this.#behind) return
    try {
      this.#files.append(nextSeq, JSON.stringify({ seq: nextSeq - 1, source }))
    } catch (error) {
      this.#fellBehind(nextSeq, error)
    }
  }

  /** Events from a number on, in order, as far as they are kept; a number that is left out is lost. */
  async *read(from: number): AsyncGenerator<Stored> {
    for await (const text of this.#files.read(from)) {
      const stored = storedOf(text)
      if (stored && stored.seq >= from) yield stored
    }
  }

  /** Lets go of what is too old. */
  retain(): void {
    this.#files.retain(Date.now())
  }

  /** The last record is in: a restart goes on in this epoch also when the host restarts meanwhile. */
  stop(): void {
    try {
      this.#files.flush()
      if (!this.#behind) this.#setState('stopped')
    } catch (error) {
      this.#logger.error({ err: error }, 'the journal of events could not be ended in order')
    }
    this.#files.close()
    closeSync(this.#stateFd)
  }

  #fellBehind(from: number, error: unknown): void {
    this.#behind = { from, retryAtMs: performance.now() + RETRY_MS }
    this.#logger.error(
      { err: error },
      'the journal of events takes no records: a restart would begin a new epoch',
    )
    try {
      this.#setState('behind')
    } catch (failure) {
      this.#logger.error({ err: failure }, 'nor can that be noted')
    }
  }

  /** Written in place, into bytes that the file has already: that works on a full disk too. */
  #setState(state: State['state']): void {
    const text = JSON.stringify({ epoch: this.epoch, bootId: this.#bootId, state } satisfies State)
    writeSync(this.#stateFd, text.padEnd(STATE_BYTES - 1) + '\n', 0)
    fdatasyncSync(this.#stateFd)
  }
}

function readState(path: string): State | null {
  try {
    return State.safeParse(JSON.parse(readFileSync(path, 'utf8'))).data ?? null
  } catch {
    return null
  }
}

/** The end of the journal; null when the numbers of its newest file are not in order, `seq` 0 when it is empty. */
function endOf(texts: readonly string[]): { seq: number; source: Source | null } | null {
  let seq: number | null = null
  let source: Source | null = null
  for (const text of texts) {
    const line = lineOf(text)
    if (!line) return null
    const isNote = !('type' in line) && !('gap' in line)
    if (seq !== null && line.seq !== (isNote ? seq : seq + 1)) return null
    seq = line.seq
    source = line.source ?? source
  }
  return { seq: seq ?? 0, source }
}

function lineOf(text: string): z.infer<typeof Line> | null {
  try {
    return Line.safeParse(JSON.parse(text)).data ?? null
  } catch {
    return null
  }
}

/** Why the numbers cannot go on; null when they can. */
function whyNew(before: State | null, end: ReturnType<typeof endOf>, bootId: string): string | null {
  if (!before) return 'there is no journal'
  if (!end || end.seq === 0) return end ? 'the journal is empty' : 'the journal is damaged'
  if (before.state === 'behind') return 'the disk did not take all events'
  if (before.state === 'running' && before.bootId !== bootId) return 'the host went down without a warning'
  return null
}

function bootIdOfHost(): string {
  return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()
}
