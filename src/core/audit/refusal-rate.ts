const BURST = 60
const PER_SECOND = 1

interface Bucket {
  left: number
  atMs: number
  counted: number
}

/**
 * How many calls without effect are written one by one: somebody who asks for what they may not, again and again, must
 * not push the records of others out. What is over it is counted.
 */
export class RefusalRate {
  readonly #buckets = new Map<string, Bucket>()
  readonly #now: () => number

  constructor(options: { now?: () => number } = {}) {
    this.#now = options.now ?? (() => performance.now())
  }

  /** @returns false when it is only counted */
  take(actor: string): boolean {
    const nowMs = this.#now()
    const before = this.#buckets.get(actor) ?? { left: BURST, atMs: nowMs, counted: 0 }
    const left = Math.min(BURST, before.left + ((nowMs - before.atMs) / 1000) * PER_SECOND)
    const isTaken = left >= 1
    this.#buckets.set(actor, {
      left: isTaken ? left - 1 : left,
      atMs: nowMs,
      counted: before.counted + Number(!isTaken),
    })
    return isTaken
  }

  /** What was counted since the last time, by actor. */
  counted(): [actor: string, count: number][] {
    const counts: [string, number][] = []
    for (const [actor, bucket] of this.#buckets)
      if (bucket.counted > 0) {
        counts.push([actor, bucket.counted])
        bucket.counted = 0
      } else if (this.#now() - bucket.atMs > (BURST / PER_SECOND) * 1000) this.#buckets.delete(actor)
    return counts
  }
}
