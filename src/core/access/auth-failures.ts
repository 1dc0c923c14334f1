import { networkOf } from './client-address.ts'

const WINDOW_MS = 60_000
const ALLOWED = 5
const MAX_NETWORKS = 10_000

/**
 * Counts tokens that did not verify, by address (IPv6: by /64). After five within a minute the address must wait,
 * whatever it brings, unless a session from it lives: somebody behind the same proxy must not lock that one out.
 * Holds 10 000 networks at most, the oldest failures go first.
 */
export class AuthFailures {
  readonly #now: () => number
  /** Times of the latest failures, oldest first; the map is in order of the latest failure. */
  readonly #failures = new Map<string, number[]>()
  readonly #sessions = new Map<string, number>()

  /** `now` is in milliseconds and must never go back. */
  constructor(deps: { now?: () => number } = {}) {
    this.#now = deps.now ?? (() => performance.now())
  }

  /** How long this address must wait before its next token is looked at; 0 when not at all. */
  waitMs(address: string): number {
    const network = networkOf(address)
    if (this.#sessions.has(network)) return 0
    const times = this.#failures.get(network) ?? []
    const [first] = times.slice(-ALLOWED)
    if (first === undefined || times.length < ALLOWED) return 0
    return Math.max(0, first + WINDOW_MS - this.#now())
  }

  failed(address: string): void {
    const network = networkOf(address)
    const times = [...(this.#failures.get(network) ?? []), this.#now()].slice(-ALLOWED)
    this.#failures.delete(network)
    if (this.#failures.size >= MAX_NETWORKS) this.#makeRoom()
    this.#failures.set(network, times)
  }

  sessionOpened(address: string): void {
    const network = networkOf(address)
    this.#sessions.set(network, (this.#sessions.get(network) ?? 0) + 1)
  }

  sessionClosed(address: string): void {
    const network = networkOf(address)
    const left = (this.#sessions.get(network) ?? 0) - 1
    if (left > 0) this.#sessions.set(network, left)
    else this.#sessions.delete(network)
  }

  /** Networks with failures in memory. */
  get size(): number {
    return this.#failures.size
  }

  #makeRoom(): void {
    const since = this.#now() - WINDOW_MS
    for (const [network, times] of this.#failures) {
      if (this.#failures.size < MAX_NETWORKS && (times.at(-1) ?? 0) > since) return
      this.#failures.delete(network)
    }
  }
}
