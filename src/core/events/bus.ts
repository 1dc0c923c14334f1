// The agent's events in one order: `seq` grows by one per event and is never reused within an `epoch`. The ring
// holds the newest ones for subscribers that lag or come back; what left the ring is read from the journal, and what
// left that as well is announced to them as a gap.
import { randomBytes } from 'node:crypto'
import { isoTime } from '../../lib/iso-time.ts'
import type { AgentEvent, EventPayload, EventType } from '../../protocol/events.ts'
import type { EventJournal } from './journal.ts'
import type { Source } from './journal-end.ts'
import { type Sendable, type Stored, StoredEvent, StoredGap } from './stored-event.ts'

export interface RingLimits {
  events: number
  bytes: number
}

/** So many of the newest events keep their ready frames, which are not counted in the bytes of the ring. */
const WITH_FRAMES = 256

const RING: RingLimits = { events: 8192, bytes: 8 * 1024 * 1024 }

export class EventBus {
  readonly epoch: string
  readonly #limits: RingLimits
  readonly #now: () => number
  readonly #journal: EventJournal | null
  readonly #listeners = new Set<() => void>()
  #source: Source | null = null
  #ring: (Stored | undefined)[] = []
  /** Index in the ring of the oldest event still held; slots before it are empty, and cut off now and then. */
  #head = 0
  #bytes = 0
  #seq = 0

  /** @param options.journal keeps events beyond this run; without one they are in memory alone */
  constructor(
    options: { epoch?: string; journal?: EventJournal; limits?: RingLimits; now?: () => number } = {},
  ) {
    this.#journal = options.journal ?? null
    this.epoch = options.journal?.epoch ?? options.epoch ?? randomBytes(6).toString('base64url')
    this.#seq = options.journal?.seq ?? 0
    this.#limits = options.limits ?? RING
    this.#now = options.now ?? Date.now
  }

  /** Number of the newest event; 0 when there was none. */
  get seq(): number {
    return this.#seq
  }

  /** Number of the oldest event in memory; `seq + 1` when none is. */
  get oldestSeq(): number {
    return this.#ring[this.#head]?.seq ?? this.#seq + 1
  }

  /** Number of the oldest event that a subscriber can still get. */
  get oldestKept(): number {
    return Math.min(this.oldestSeq, this.#journal?.oldestSeq ?? Infinity)
  }

  /** Whether all events up to now are kept, as far as any are: while the disk takes none they are in memory alone. */
  get isOnDisk(): boolean {
    return this.#journal?.isBehind !== true
  }

  /**
   * Events from a number on that are kept on disk, in order; a number that is left out is lost. Few can read at a time:
   * give it up while there is something else to wait for.
   * @throws the signal's reason when it aborts
   */
  history(from: number, signal: AbortSignal): AsyncGenerator<Sendable> {
    return this.#journal?.read(from, signal) ?? none()
  }

  /** Publishes what the task publishes as caused by a source that stands there, so that it is not told again. */
  causedBy(source: Source, task: () => void): void {
    this.#source = source
    const before = this.#seq
    try {
      task()
    } finally {
      this.#source = null
      if (this.#seq === before) this.#journal?.note(this.#seq + 1, source, this)
    }
  }

  publish<T extends EventType>(type: T, payload: EventPayload<T>, actor?: string): void {
    const event = {
      epoch: this.epoch,
      seq: ++this.#seq,
      at: isoTime(this.#now()),
      type,
      ...(actor === undefined ? {} : { actor }),
      payload,
    } as AgentEvent
    this.#append(new StoredEvent(event))
  }

  /** Takes a number for what happened unseen; subscribers get it as `gap`. */
  publishGap(): void {
    this.#append(new StoredGap(this.epoch, ++this.#seq))
  }

  #append(stored: Stored): void {
    this.#journal?.append(stored, this.#source, this)
    this.#ring.push(stored)
    this.#bytes += stored.sizeBytes
    this.#trim()
    this.at(stored.seq - WITH_FRAMES)?.forgetFrames()
    for (const listener of this.#listeners) listener()
  }

  /** The event of that number; undefined when it left the ring or has not happened. */
  at(seq: number): Stored | undefined {
    return this.#ring[this.#head + seq - this.oldestSeq]
  }

  /** Calls back after every event, in the same tick. @returns the undo */
  onPublish(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  #trim(): void {
    while (this.#ring.length - this.#head > this.#limits.events || this.#bytes > this.#limits.bytes) {
      this.#bytes -= this.#ring[this.#head]?.sizeBytes ?? 0
      this.#ring[this.#head++] = undefined
    }
    if (this.#head > 1024 && this.#head > this.#ring.length / 2) {
      this.#ring = this.#ring.slice(this.#head)
      this.#head = 0
    }
  }
}

async function* none(): AsyncGenerator<Sendable> {
  // nothing is kept
}
