import type { LIMITS } from '../protocol/limits.ts'
import type { Link } from './link.ts'

type WaterMarks = Pick<typeof LIMITS, 'highWaterBytes' | 'lowWaterBytes' | 'stalledMs'>

/**
 * The way out of a session. Streams ask it before they send: over the high mark it is closed to them until the peer
 * has read down to the low one, so that a reader that stalls costs one megabyte and not all events.
 */
export class Outlet {
  readonly #link: Link
  readonly #marks: { [key in keyof WaterMarks]: number }
  readonly #waiting = new Set<() => void>()
  #blockedAtMs: number | null = null

  constructor(link: Link, marks: { [key in keyof WaterMarks]: number }) {
    this.#link = link
    this.#marks = marks
  }

  /** True when streams may send. */
  get isOpen(): boolean {
    if (this.#blockedAtMs !== null) return false
    if (this.#link.bufferedBytes() <= this.#marks.highWaterBytes) return true
    this.#blockedAtMs = Date.now()
    return false
  }

  send(frame: Buffer): void {
    this.#link.send(frame)
  }

  /** Resolves when streams may send again. */
  opened(): Promise<void> {
    if (this.isOpen) return Promise.resolve()
    return new Promise((resolve) => this.#waiting.add(resolve))
  }

  /** The transport sent some; opens when enough is gone. @returns true when it opened just now */
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

  /** True when the peer has not read for too long, be it streams or answers. */
  isStalled(nowMs: number): boolean {
    if (this.isOpen) return false
    return this.#blockedAtMs !== null && nowMs - this.#blockedAtMs > this.#marks.stalledMs
  }
}
