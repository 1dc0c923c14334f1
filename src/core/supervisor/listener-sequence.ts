import type { Hello } from './listener-frames.ts'

/** The last event that was dealt with, and the run of supervisord that it came from. */
export interface ListenerPosition {
  supervisord: number
  started: number | null
  serial: number
  poolSerial: number
}

/** The `poolserial` that was due and the one that came. */
export interface PoolGap {
  expected: number
  got: number
}

export interface Place {
  kind: 'next' | 'reset' | 'duplicate'
  gap: PoolGap | null
}

interface Numbered {
  serial: number
  poolSerial: number
}

/**
 * Where an event stands among those before it. supervisord gives every event of a run a growing `serial`, kept
 * over its own restart; `poolserial` counts what it made for our listener, starts at 0 with each new group or
 * restart, and skips what fell out of its buffer. An event whose answer was lost comes again with both.
 */
export class PoolSequence {
  lost = 0
  #position: ListenerPosition | null
  #run: { supervisord: number; started: number | null } = { supervisord: 0, started: null }

  constructor(position: ListenerPosition | null) {
    this.#position = position
  }

  get position(): ListenerPosition | null {
    return this.#position
  }

  /** A shim has come; the events that follow are of its supervisord. */
  begin({ supervisord, started }: Pick<Hello, 'supervisord' | 'started'>): void {
    this.#run = { supervisord, started }
  }

  place({ serial, poolSerial }: Numbered): Place {
    const last = this.#position
    if (last === null) return { kind: 'next', gap: null }
    const sameRun = last.supervisord === this.#run.supervisord && last.started === this.#run.started
    if (sameRun && serial <= last.serial) return { kind: 'duplicate', gap: null }
    const isReset = !sameRun || poolSerial <= last.poolSerial
    const expected = isReset ? 0 : last.poolSerial + 1
    return { kind: isReset ? 'reset' : 'next', gap: this.#gap(expected, poolSerial) }
  }

  /** Where the agent stands when it has dealt with that event. */
  after({ serial, poolSerial }: Numbered): ListenerPosition {
    return { ...this.#run, serial, poolSerial }
  }

  done(event: Numbered): void {
    this.#position = this.after(event)
  }

  /** Counts an event that came and could not be dealt with. */
  drop({ poolSerial }: Numbered): PoolGap {
    this.#count(1)
    return { expected: poolSerial, got: poolSerial + 1 }
  }

  /** It stays a number that JSON can carry, whatever numbers the listener's socket was told. */
  #count(lost: number): void {
    this.lost = Math.min(this.lost + lost, Number.MAX_SAFE_INTEGER)
  }

  #gap(expected: number, got: number): PoolGap | null {
    if (got === expected) return null
    this.#count(got - expected)
    return { expected, got }
  }
}
