import { type EventLoopUtilization, performance } from 'node:perf_hooks'
import { getHeapStatistics, setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

/** The share of the time since the last look above which a daemon has other things to do. */
const BUSY = 0.05
/** So much garbage is worth 15 ms. */
const WORTH_BYTES = 256 * 1024
/** From one collection to the next: an idle daemon makes little garbage. */
const REST_MS = 50_000
/** A larger heap would take longer, and is looked after by V8 often enough. */
const LARGE_BYTES = 48 * 1024 * 1024

/**
 * Collects the garbage of an idle daemon. V8 waits until the heap has grown by megabytes, which then takes an hour, and
 * its ordinary collection leaves half-empty pages as they are; under load it knows best, and is left alone.
 */
export class IdleHeap {
  readonly #restMs: number
  #collect = (): void => undefined
  #lastLook: EventLoopUtilization | undefined
  #leftBytes = 0
  #restsUntilMs = 0

  constructor(restMs = REST_MS) {
    this.#restMs = restMs
  }

  start(): void {
    setFlagsFromString('--expose-gc')
    this.#collect = runInNewContext('gc') as () => void
    setFlagsFromString('--no-expose-gc')
  }

  /** To be called every few seconds. Takes 10 to 20 ms with a heap of 10 MB, where there is something to collect. */
  tend(): void {
    const look = performance.eventLoopUtilization()
    const { utilization } = performance.eventLoopUtilization(look, this.#lastLook)
    this.#lastLook = look
    const { used_heap_size: usedBytes } = getHeapStatistics()
    if (utilization > BUSY || performance.now() < this.#restsUntilMs) return
    if (usedBytes > LARGE_BYTES || usedBytes - this.#leftBytes < WORTH_BYTES) return
    setFlagsFromString('--compact-on-every-full-gc')
    this.#collect()
    setFlagsFromString('--no-compact-on-every-full-gc')
    this.#leftBytes = getHeapStatistics().used_heap_size
    this.#restsUntilMs = performance.now() + this.#restMs
  }
}
