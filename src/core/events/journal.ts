// The events on disk. A record is with the kernel before its event is sent, so that a restart of the agent loses and
// repeats nothing. What a crash of the whole host may lose was perhaps sent already: numbers are never used twice, so
// that the epoch ends there. While the disk takes nothing events go on; what it has missed is written when it takes
// records again, from memory or, where that does not reach, as one gap.
import { randomBytes } from 'node:crypto'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { bootIdOfHost } from '../../lib/boot-id.ts'
import { RecordFiles } from '../../lib/record-files.ts'
import { Slots } from '../../lib/slots.ts'
import type { Logger } from '../../logger.ts'
import { endOf, type Source, whyNew } from './journal-end.ts'
import { readState, StateFile } from './journal-state.ts'
import { numberOf, pastOf, type Sendable, type Stored, StoredGap } from './stored-event.ts'

const FILE_BYTES = 8 * 1024 * 1024
const TOTAL_BYTES = 64 * 1024 * 1024
const KEEP_MS = 7 * 24 * 3_600_000
const RETRY_MS = 2_000
/** While the disk takes nothing: numbers that are noted as used at a time, before they are. */
const RESERVE = 1_000
/** Readings at the same time, over all subscribers: each has a file open. */
const READINGS = 4

export interface JournalOptions {
  /** Made where it is missing. */
  folder: string
  logger: Logger
  /** Time for the ages of files; see `SteadyClock`. */
  now: () => number
  /** Of this start of the host. */
  bootId?: string
  limits?: { fileBytes: number; totalBytes: number; keepMs: number }
}

/** The events in memory. */
interface Ring {
  readonly oldestSeq: number
  at(seq: number): Stored | undefined
}

/** What the disk does not have. */
interface Backlog {
  from: number
  to: number
  /** Where the source stood last. */
  source: Source | null
  /** Null before there are events of this run. */
  ring: Ring | null
  /** Numbers up to this one are noted as used, when the state file took that. */
  reserved: number
  isNoted: boolean
  retryAtMs: number
  timer: NodeJS.Timeout
}

export class EventJournal {
  readonly epoch: string
  /** Number of the last event of earlier runs. */
  readonly seq: number
  /** Where the source of events stood at the end of them. */
  readonly source: Source | null
  readonly #logger: Logger
  readonly #files: RecordFiles
  readonly #state: StateFile
  readonly #readings = new Slots(READINGS)
  #behind: Backlog | null = null
  #isStopped = false

  /** @throws what the file system says */
  constructor({ folder, logger, now, bootId = bootIdOfHost(), limits }: JournalOptions) {
    this.#logger = logger
    mkdirSync(folder, { recursive: true, mode: 0o700 })
    const path = join(folder, 'state.json')
    const before = readState(path)
    const { fileBytes, totalBytes, keepMs } = limits ?? {
      fileBytes: FILE_BYTES,
      totalBytes: TOTAL_BYTES,
      keepMs: KEEP_MS,
    }
    this.#files = new RecordFiles({ folder, now, numberOf, fileBytes, totalBytes, keepMs })
    const end = endOf(this.#files.newest())
    const why = whyNew(before, end, bootId)
    if (why !== null) {
      logger.info({ why }, 'events begin a new epoch')
      this.#files.clear()
    } else if (this.#files.cutBytes > 0)
      logger.warn({ bytes: this.#files.cutBytes }, 'a torn record was cut off the journal of events')
    const { seq, source } = (why === null && end) || { seq: 0, source: null }
    const given = why === null ? before?.given : undefined
    this.epoch = why === null && before ? before.epoch : randomBytes(6).toString('base64url')
    this.seq = Math.max(seq, given ?? 0)
    this.source = source
    this.#state = new StateFile(path, { epoch: this.epoch, bootId })
    this.#state.write('running', given)
    if (given === undefined) return
    this.#behind = this.#backlog({ from: seq + 1, to: this.seq, source: null, ring: null })
    this.#catchUp()
  }

  /** Number of the oldest event that can be read; one more than the last one when there is none. */
  get oldestSeq(): number {
    return this.#files.first ?? this.seq + 1
  }

  /** True while the disk lacks events, because it took none. */
  get isBehind(): boolean {
    return this.#behind !== null
  }

  /** Keeps an event. `ring` has those before it, for when the disk takes records again. Never throws. */
  append(stored: Stored, source: Source | null, ring: Ring): void {
    if (this.#isStopped) return
    const { seq } = stored
    const behind = this.#behind
    if (behind) {
      behind.ring = ring
      if (performance.now() < behind.retryAtMs || !this.#catchUp()) {
        behind.to = seq
        behind.source = source ?? behind.source
        if (seq > behind.reserved) this.#reserve(behind)
        return
      }
    }
    try {
      this.#files.append(seq, stored.record(source))
    } catch (error) {
      this.#fallBehind({ from: seq, to: seq, source, ring }, error)
    }
  }

  /** Notes where the source stands when it caused no event. */
  note(nextSeq: number, source: Source, ring: Ring): void {
    if (this.#isStopped) return
    if (this.#behind) {
      this.#behind.source = source
      return
    }
    try {
      this.#files.append(nextSeq, noteOf(nextSeq - 1, source))
    } catch (error) {
      this.#fallBehind({ from: nextSeq, to: nextSeq - 1, source, ring }, error)
    }
  }

  /**
   * Events from a number on, in order, as far as they are kept; a number that is left out is lost. Others may have to
   * wait until it is done or given up: whoever reads does not wait for its peer meanwhile.
   * @throws the signal's reason when it aborts
   */
  async *read(from: number, signal: AbortSignal): AsyncGenerator<Sendable> {
    const { epoch } = this
    const giveBack = await this.#readings.take(signal)
    try {
      for await (const text of this.#files.read(from, signal)) {
        const past = pastOf({ epoch, text }, from)
        if (past) yield past
      }
    } finally {
      giveBack()
    }
  }

  /** Lets go of what is too old. */
  retain(): void {
    this.#files.retain()
  }

  /** The last record is in: a restart goes on in this epoch also when the host restarts meanwhile. */
  stop(): void {
    if (this.#isStopped) return
    this.#isStopped = true
    if (this.#behind) this.#catchUp()
    clearInterval(this.#behind?.timer)
    try {
      this.#files.flush()
      this.#state.write('stopped', this.#behind?.to)
    } catch (error) {
      this.#logger.error({ err: error }, 'the journal of events could not be ended in order')
    }
    this.#files.close()
    this.#state.close()
  }

  #fallBehind(missing: Pick<Backlog, 'from' | 'to' | 'source' | 'ring'>, error: unknown): void {
    this.#logger.error({ err: error }, 'the journal of events takes no records: they are in memory alone')
    this.#behind = this.#backlog(missing)
    this.#reserve(this.#behind)
  }

  #backlog(missing: Pick<Backlog, 'from' | 'to' | 'source' | 'ring'>): Backlog {
    const timer = setInterval(() => this.#catchUp(), RETRY_MS).unref()
    const retryAtMs = performance.now() + RETRY_MS
    return { ...missing, reserved: missing.to, isNoted: true, retryAtMs, timer }
  }

  /** After a kill nobody knows how many numbers were used: those up to here count as used then. */
  #reserve(behind: Backlog): void {
    behind.reserved = behind.to + RESERVE
    try {
      this.#state.write('running', behind.reserved)
      behind.isNoted = true
    } catch (error) {
      if (behind.isNoted) this.#logger.error({ err: error }, 'nor can it be noted how many are missing')
      behind.isNoted = false
    }
  }

  /** Writes what the disk has missed. @returns whether it has all now */
  #catchUp(): boolean {
    const behind = this.#behind
    if (!behind) return true
    const { ring, source, to } = behind
    try {
      while (behind.from <= to) {
        const { from } = behind
        const held = ring?.at(from)
        const last = held ? from : Math.min(to, (ring?.oldestSeq ?? Infinity) - 1)
        this.#files.append(from, (held ?? new StoredGap(this.epoch, from, last)).record(null))
        behind.from = last + 1
      }
      if (source) this.#files.append(to + 1, noteOf(to, source))
      this.#state.write('running', undefined)
    } catch (error) {
      this.#logger.debug({ err: error }, 'the journal of events still takes no records')
      behind.retryAtMs = performance.now() + RETRY_MS
      if (!behind.isNoted) this.#reserve(behind)
      return false
    }
    clearInterval(behind.timer)
    this.#behind = null
    this.#logger.info('the journal of events takes records again')
    return true
  }
}

function noteOf(seq: number, source: Source): string {
  return JSON.stringify({ seq, source })
}
