/**
 * Delays that double from `minMs` to `maxMs`, drawn with full jitter.
 * Full jitter (a uniform draw from zero to the ceiling) spreads a fleet best after a common outage.
 */
export class Backoff {
  readonly #minMs: number
  readonly #maxMs: number
  readonly #random: () => number
  #attempt = 0

  constructor(options: { minMs: number; maxMs: number; random?: () => number }) {
    this.#minMs = options.minMs
    this.#maxMs = options.maxMs
    this.#random = options.random ?? Math.random
  }

  nextMs(): number {
    const ceiling = Math.min(this.#maxMs, this.#minMs * 2 ** Math.min(this.#attempt++, 30))
    return Math.round(this.#random() * ceiling)
  }

  reset(): void {
    this.#attempt = 0
  }
}
