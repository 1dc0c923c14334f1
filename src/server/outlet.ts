import type { Limits } from './limits.ts'
import type { Link } from './link.ts'

type WaterMarks = Pick<Limits, 'highWaterBytes' | 'lowWaterBytes' | 'stalledMs'>

/**
 * The way out of a session. Streams ask it before they send: over the high mark it is closed to them until the peer
 * has read down to the low one, so that a reader that stalls costs one megabyte and not all events.
 */
export class Outlet {
  readonly #link: Link
  readonly #marks: WaterMarks
  readonly #waiting = new Set<() => void>()
  #blockedAtMs: number | null = null
  #taken = -1
  #takenAtMs = 0

  constructor(link: Link, marks: WaterMarks) {
    this.#link = link
    this.#marks = marks
  }

  /** True when streams may send. */
  get isOpen(): boolean {
    if (this.#blockedAtMs !== null) return false
    if (this.#link.bufferedBytes() <= this.#marks.highWaterBytes) return true
    this.#blockedAtMs = performance.now()
    return false
  }

  send(frame: Buffer): void {
    this.#link.send(frame)
  }

  /** Resolves when it opens, for all who wait: whoever goes on looks again, since others may have filled it. */
  opened(): Promise<void> {
    if (this.isOpen) return Promise.resolve()
    return new Promise((resolve) => this.#waiting.add(resolve))
  }

  /** The transport may have sent some; opens when enough is gone. @returns true when it opened just now */
  drained(): boolean {
    if (this.#blockedAtMs === null || this.#link.bufferedBytes() > this.#marks.lowWaterBytes) return false
    this.#blockedAtMs = null
    this.release()
    return true
  }

  /** Lets everybody go who waits, for good or for the end. */
  release(): void {
    for (const resolve of this.#waiting) resolve()
    this.#waiting.clear()
  }

  /**
   * True when the peer has taken nothing for too long, be it of streams or answers; one that is only slow lives.
   * To be asked now and then, with a time of `performance`: it sees what changed since the last time.
   */
  isStalled(nowMs: number): boolean {
    if (this.isOpen || this.#blockedAtMs === null) return false
    const taken = this.#link.takenBytes()
    if (taken !== this.#taken) {
      this.#taken = taken
      this.#takenAtMs = nowMs
    }
    return nowMs - Math.max(this.#blockedAtMs, this.#takenAtMs) > this.#marks.stalledMs
  }
}
