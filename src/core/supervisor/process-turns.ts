// Whose turn it is with a process: calls for one process follow each other, and a restart that its caller has given up
// makes way for whoever comes after it.
import { KeyedMutex } from '../../lib/keyed-mutex.ts'
import { AgentError } from '../../protocol/errors.ts'

export class ProcessTurns {
  readonly #mutex = new KeyedMutex()
  /** Calls that wait for their turn, by process. */
  readonly #queued = new Map<string, number>()
  /** What goes on with nobody waiting for it, by process. */
  readonly #left = new Map<string, AbortController>()

  /** Runs a task when its turn comes, unless the signal aborts before. */
  async run(name: string, signal: AbortSignal, task: () => Promise<boolean>): Promise<boolean> {
    signal.throwIfAborted() // who has given up takes nobody's place
    this.#left.get(name)?.abort(replaced())
    const leaveQueue = this.#queue(name)
    signal.addEventListener('abort', leaveQueue, { once: true })
    return await this.#mutex.run(name, async () => {
      leaveQueue()
      signal.removeEventListener('abort', leaveQueue)
      signal.throwIfAborted()
      return await task()
    })
  }

  /**
   * Runs a task that is to be finished once begun, also with nobody waiting for it any more. Its own signal aborts
   * when a later call takes its place after the caller's signal did.
   */
  whole(
    name: string,
    signal: AbortSignal,
    task: (superseded: AbortSignal) => Promise<boolean>,
  ): Promise<boolean> {
    return this.run(name, signal, async () => {
      const superseded = new AbortController()
      const leave = () => {
        if (this.#queued.has(name)) superseded.abort(replaced())
        else this.#left.set(name, superseded)
      }
      signal.addEventListener('abort', leave, { once: true })
      try {
        return await task(superseded.signal)
      } finally {
        signal.removeEventListener('abort', leave)
        if (this.#left.get(name) === superseded) this.#left.delete(name)
      }
    })
  }

  /** @returns how to leave the queue; only the first call counts */
  #queue(name: string): () => void {
    this.#queued.set(name, (this.#queued.get(name) ?? 0) + 1)
    let isQueued = true
    return () => {
      if (!isQueued) return
      isQueued = false
      const others = (this.#queued.get(name) ?? 1) - 1
      if (others > 0) this.#queued.set(name, others)
      else this.#queued.delete(name)
    }
  }
}

function replaced(): AgentError {
  return new AgentError('CANCELLED', 'a later call took its place')
}
