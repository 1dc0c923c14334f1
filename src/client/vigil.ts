/**
 * Finds a peer that is gone without a word. Silence for half of `deadMs` asks it for a sign of life, for all of it
 * means the end. Pings of the agent count where they can be seen; a browser hides them.
 */
export class Vigil {
  readonly #deadMs: number
  readonly #probe: () => void
  readonly #onDead: () => void
  #timer: ReturnType<typeof setInterval> | undefined
  #aliveAtMs = 0
  #isProbed = false

  constructor(deps: { deadMs: number; probe: () => void; onDead: () => void }) {
    this.#deadMs = deps.deadMs
    this.#probe = deps.probe
    this.#onDead = deps.onDead
  }

  start(): void {
    this.alive()
    this.#timer = setInterval(() => this.#look(), this.#deadMs / 8)
  }

  stop(): void {
    clearInterval(this.#timer)
  }

  alive(): void {
    this.#aliveAtMs = performance.now()
    this.#isProbed = false
  }

  #look(): void {
    const silentMs = performance.now() - this.#aliveAtMs
    if (silentMs >= this.#deadMs) return this.#onDead()
    if (silentMs < this.#deadMs / 2 || this.#isProbed) return
    this.#isProbed = true
    this.#probe()
  }
}
