import { LIMITS } from '../../protocol/limits.ts'
import { Chain, type LogChunk, type Position } from './chain.ts'
import type { Disk } from './disk.ts'
import type { Generation } from './generation.ts'
import { FileWatch } from './watch.ts'

/** A reader of one log file that waits for more. */
export interface Follower {
  position: Position
  /** True when it is to stop waiting once nothing is left for it; asked at every poll. */
  isDone: () => boolean
}

interface Waiter {
  isReady: () => boolean
  resolve: () => void
}

/** One log file and all who read it: one set of descriptors, one watch, shared chunks, however many followers. */
export class LogFile {
  readonly chain: Chain
  readonly #watch: FileWatch
  readonly #waiters = new Set<Waiter>()
  #followers = 0
  #failure: unknown = null

  constructor(path: string, disk: Disk) {
    this.chain = new Chain(path, disk)
    this.#watch = new FileWatch({ poll: () => this.#look(true), hint: () => this.#look(false) })
  }

  get followers(): number {
    return this.#followers
  }

  /** Starts to watch for a follower, placed at the end of what is there now. */
  attach(isDone: () => boolean): Follower {
    this.#followers++
    this.#watch.start()
    this.look()
    return { position: this.chain.attach(), isDone }
  }

  detach(follower: Follower): void {
    this.chain.detach(follower.position)
    this.#followers--
    if (this.#followers === 0) this.#watch.stop()
  }

  /** Looks at the file and wakes all followers. */
  look(): void {
    this.#look(true)
  }

  /** @throws {AgentError} LOG_UNAVAILABLE when the file at the path may not be read; one not there yet is no failure */
  throwIfRefused(): void {
    if (this.#failure !== null) throw this.#failure
  }

  close(): void {
    this.#watch.stop()
    this.chain.close()
    this.#wake(true)
  }

  /**
   * Waits for the next batch: at least 4 KiB, or what came within 50 ms of its first byte; with `isDue`, what is there.
   * @returns null when the follower is done and nothing is left for it
   * @throws {AgentError} LOG_UNAVAILABLE when the path was replaced by something that may not be read
   */
  async next({ position, isDone }: Follower, isDue = false): Promise<LogChunk | null> {
    let since = isDue ? Number.NEGATIVE_INFINITY : Number.POSITIVE_INFINITY
    let stuck: { generation: Generation | null; bytes: number } | null = null
    for (;;) {
      const bytes = this.#waiting(position)
      const isStuck = stuck?.generation === position.generation && stuck?.bytes === bytes
      if (bytes > 0 && !isStuck) since = Math.min(since, performance.now())
      const isFull =
        !isStuck && (bytes >= LIMITS.logBatchBytes || position.generation?.next?.hasContent() === true)
      if (isFull || performance.now() - since >= LIMITS.logBatchMs || isDone() || this.#failure !== null) {
        const chunk = await this.chain.read(position)
        if (chunk) return chunk
        if (isDone()) return null
        this.throwIfRefused()
        stuck = { generation: position.generation, bytes: this.#waiting(position) }
        since = Number.POSITIVE_INFINITY
      }
      await this.#ready(position, { stuck: stuck?.bytes ?? 0, since })
    }
  }

  #look(isPoll: boolean): void {
    this.#failure = null
    try {
      this.chain.inspect()
    } catch (error) {
      this.#failure = error
    }
    const descriptor = this.chain.current?.descriptor
    if (descriptor) this.#watch.follow(descriptor.fd)
    this.#wake(isPoll)
  }

  #wake(isPoll: boolean): void {
    for (const waiter of this.#waiters) if (isPoll || waiter.isReady()) waiter.resolve()
  }

  /** Bytes after a position, over all generations. */
  #waiting(position: Position): number {
    let bytes = 0
    for (let generation = this.chain.settle(position); generation; generation = generation.next)
      bytes += generation.size
    return Math.max(0, bytes - position.offset)
  }

  /** Waits for the first byte that is new, or, once there are some, for a full batch or its time. */
  #ready(position: Position, { stuck, since }: { stuck: number; since: number }): Promise<void> {
    const isBegun = Number.isFinite(since)
    const isReady = (): boolean => {
      const bytes = this.#waiting(position)
      return (
        this.#failure !== null || (isBegun ? bytes >= LIMITS.logBatchBytes : bytes > 0 && bytes !== stuck)
      )
    }
    if (isReady()) return Promise.resolve()
    return new Promise((resolve) => {
      const leftMs = Math.max(0, since + LIMITS.logBatchMs - performance.now())
      const timer = isBegun ? setTimeout(() => waiter.resolve(), leftMs) : undefined
      const waiter: Waiter = {
        isReady,
        resolve: () => {
          clearTimeout(timer)
          this.#waiters.delete(waiter)
          resolve()
        },
      }
      this.#waiters.add(waiter)
    })
  }
}
