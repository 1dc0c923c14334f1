import { type EventLoopUtilization, performance } from 'node:perf_hooks'
import { getHeapStatistics, setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

/** The share of the time since the last look above which a daemon has other things to do. */
const BUSY = 0.05
/** So much garbage is worth the 15 ms. */
const WORTH_BYTES = 256 * 1024

/**
 * Collects the garbage of an idle daemon. V8 waits until the heap has grown by megabytes, which then takes an hour, and
 * its ordinary collection leaves half-empty pages as they are; under load it knows best, and is left alone.
 */
export class IdleHeap {
  readonly #collect: () => void
  #lastLook: EventLoopUtilization = performance.eventLoopUtilization()
  #leftBytes = 0

  constructor() {
    setFlagsFromString('--expose-gc')
    this.#collect = runInNewContext('gc') as () => void
  }

  /** To be called now and then. Takes 10 to 20 ms where there is something to collect. */
  tend(): void {
    const look = performance.eventLoopUtilization()
    const { utilization } = performance.eventLoopUtilization(look, this.#lastLook)
    this.#lastLook = look
    if (utilization > BUSY || getHeapStatistics().used_heap_size - this.#leftBytes < WORTH_BYTES) return
    setFlagsFromString('--compact-on-every-full-gc')
    this.#collect()
    setFlagsFromString('--no-compact-on-every-full-gc')
    this.#leftBytes = getHeapStatistics().used_heap_size
  }
}
