/** A token bucket, and a count of what went over it within the last second. */
export class Rate {
  readonly #perSecond: number
  readonly #burst: number
  #tokens: number
  #atMs: number
  #over = 0
  #overSinceMs = 0

  constructor(options: { perSecond: number; burst: number }, nowMs: number) {
    this.#perSecond = options.perSecond
    this.#burst = options.burst
    this.#tokens = options.burst
    this.#atMs = nowMs
  }

  /** Counts one request. @returns 0 when it is within the rate, else how many were over it within a second */
  take(nowMs: number): number {
    this.#tokens = Math.min(this.#burst, this.#tokens + ((nowMs - this.#atMs) / 1000) * this.#perSecond)
    this.#atMs = nowMs
    if (this.#tokens >= 1) {
      this.#tokens--
      return 0
    }
    if (nowMs - this.#overSinceMs > 1000) {
      this.#over = 0
      this.#overSinceMs = nowMs
    }
    return ++this.#over
  }
}
