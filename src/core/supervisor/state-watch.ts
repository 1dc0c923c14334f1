import { setMaxListeners } from 'node:events'
import { sleep } from '../../lib/sleep.ts'
import type { Logger } from '../../logger.ts'
import { AgentError } from '../../protocol/errors.ts'
import type { Observer } from './observer.ts'
import type { Entry, ProcessTable } from './process-table.ts'

const POKE_MS = 40
/** A wait of this long is for something slow: supervisord's own turn once a second will do. */
const SOON_MS = 10_000
const SLOW_MS = 500
/** Without events: how often the processes that somebody waits for are asked for. */
const REFRESH_MS = 100
/** With events: how often it is made sure that none was lost. */
const RECONCILE_MS = 5_000

/** Waits for states of processes, and keeps supervisord's loop awake meanwhile so that they come soon. */
export class StateWatch {
  readonly #table: ProcessTable
  readonly #observer: Observer
  readonly #poke: () => void
  readonly #logger: Logger
  readonly #waiting = new Map<string, Set<() => void>>()
  readonly #end = new AbortController()
  #isLooping = false
  #joinedAtMs = 0
  #undo: (() => void) | null = null

  constructor(deps: { table: ProcessTable; observer: Observer; poke: () => void; logger: Logger }) {
    this.#table = deps.table
    this.#observer = deps.observer
    this.#poke = deps.poke
    this.#logger = deps.logger
    setMaxListeners(0, this.#end.signal) // one for each wait
  }

  /**
   * Resolves with the first verdict that `judge` gives of the entry, now or after any change of it. An entry that
   * leaves the table is judged as undefined. Rejects with what the judge throws, or the signal's reason.
   */
  async wait<T>(
    name: string,
    judge: (entry: Entry | undefined) => T | undefined,
    signal: AbortSignal,
  ): Promise<T> {
    signal.throwIfAborted()
    this.#end.signal.throwIfAborted()
    const now = judge(this.#table.get(name))
    if (now !== undefined) return now
    return await new Promise<T>((resolve, reject) => {
      // runs inside whoever changed the table: what the judge throws is for the one that waits
      const look = () => {
        try {
          const verdict = judge(this.#table.get(name))
          if (verdict === undefined) return
          resolve(verdict)
        } catch (error) {
          reject(error)
        }
        leave()
      }
      const abort = () => {
        leave()
        reject(signal.aborted ? signal.reason : this.#end.signal.reason)
      }
      const leave = () => {
        signal.removeEventListener('abort', abort)
        this.#end.signal.removeEventListener('abort', abort)
        this.#leave(name, look)
      }
      signal.addEventListener('abort', abort, { once: true })
      this.#end.signal.addEventListener('abort', abort, { once: true })
      this.#join(name, look)
    })
  }

  /** The agent stops: nobody waits any more, also those that would see a thing through to its end. */
  stop(): void {
    this.#end.abort(new AgentError('SHUTTING_DOWN', 'the agent is stopping'))
  }

  #join(name: string, look: () => void): void {
    this.#joinedAtMs = performance.now()
    const looks = this.#waiting.get(name) ?? new Set()
    looks.add(look)
    this.#waiting.set(name, looks)
    this.#undo ??= this.#table.onChange((changed) => {
      for (const one of this.#waiting.get(changed) ?? []) one()
    })
    if (!this.#isLooping) void this.#run()
  }

  #leave(name: string, look: () => void): void {
    const looks = this.#waiting.get(name)
    looks?.delete(look)
    if (looks?.size === 0) this.#waiting.delete(name)
    if (this.#waiting.size > 0) return
    this.#undo?.()
    this.#undo = null
  }

  async #run(): Promise<void> {
    this.#isLooping = true
    let refreshedAt = performance.now()
    while (this.#waiting.size > 0) {
      const { isEventDriven } = this.#observer
      if (performance.now() - refreshedAt >= (isEventDriven ? RECONCILE_MS : REFRESH_MS)) {
        refreshedAt = performance.now()
        const asking = isEventDriven
          ? this.#observer.reconcile()
          : this.#observer.refresh([...this.#waiting.keys()])
        await asking.catch((error: unknown) => this.#logger.debug({ err: error }, 'no answer'))
      } else this.#poke()
      await sleep(performance.now() - this.#joinedAtMs < SOON_MS ? POKE_MS : SLOW_MS)
    }
    this.#isLooping = false
  }
}
