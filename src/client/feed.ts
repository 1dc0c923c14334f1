// An endless stream over connections that come and go. A source knows where it is and how to ask for what follows;
// the feed asks again after every break. A consumer that lags costs a bounded queue: over the mark the feed
// unsubscribes, and goes on from there once the queue is empty. The agent keeps the rest.
import { Backoff } from '../lib/backoff.ts'
import { AgentError, ERRORS, type ErrorCode, fromWireError } from '../protocol/errors.ts'
import { Unsubscribed } from '../protocol/frames.ts'
import type { Connection, Result } from './connection.ts'
import { ConnectionError } from './connection-error.ts'
import { delay } from './delay.ts'
import type { Inbox } from './inbox.ts'
import { checked } from './incoming.ts'
import type { Keeper } from './keeper.ts'

type Params = Record<string, unknown>

/** What a feed is made of: one kind of subscription. */
export interface Source {
  /** The subscription to ask for now. */
  subscription(): { method: string; params: Params; undo: string }
  /** It runs; called before any of its notifications. */
  started(result: Result, connection: Connection): void
  receive(method: string, params: Params): void
}

/** Whether to ask again by itself. At the first time the caller shall see what is wrong with the host. */
function isPassing(code: ErrorCode, isFirst: boolean): boolean {
  return code === 'SHUTTING_DOWN' || code === 'TOO_MANY_REQUESTS' || (!isFirst && ERRORS[code].retry)
}

/** Items that may wait for the consumer. */
const QUEUE_MAX = 1000

/** An async iterable that ends quietly with its signal, with `return` or with the client, and throws when it must stop. */
export class Feed<T> implements AsyncIterableIterator<T, undefined> {
  readonly #keeper: Keeper
  readonly #source: Source
  readonly #inbox: Inbox<T>
  readonly #signal: AbortSignal | undefined
  readonly #end = new AbortController()
  #isRunning = false

  constructor(deps: { keeper: Keeper; source: Source; inbox: Inbox<T>; signal?: AbortSignal | undefined }) {
    this.#keeper = deps.keeper
    this.#source = deps.source
    this.#inbox = deps.inbox
    this.#signal = deps.signal
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  next(): Promise<IteratorResult<T, undefined>> {
    if (!this.#isRunning) void this.#run()
    return this.#inbox.next()
  }

  return(): Promise<IteratorResult<T, undefined>> {
    this.#isRunning = true
    this.#stop()
    return Promise.resolve({ done: true, value: undefined })
  }

  async #run(): Promise<void> {
    this.#isRunning = true
    const onAbort = (): void => this.#stop()
    if (this.#signal?.aborted) onAbort()
    this.#signal?.addEventListener('abort', onAbort, { once: true })
    try {
      await this.#repeat(this.#end.signal)
    } catch (error) {
      if (this.#end.signal.aborted || this.#keeper.isClosed) this.#inbox.end(false)
      else this.#inbox.fail(error)
    } finally {
      this.#signal?.removeEventListener('abort', onAbort)
    }
  }

  #stop(): void {
    this.#end.abort()
    this.#inbox.end(true)
  }

  async #repeat(signal: AbortSignal): Promise<void> {
    const backoff = new Backoff({ minMs: 500, maxMs: 10_000 })
    for (let isFirst = true; ; ) {
      const connection = await this.#keeper.connected(signal)
      try {
        await this.#stream(connection, signal)
        isFirst = false
        backoff.reset()
        await this.#inbox.emptied()
      } catch (error) {
        if (error instanceof ConnectionError) continue // no more connection, if so, is told by the keeper
        if (!(error instanceof AgentError) || !isPassing(error.code, isFirst)) throw error
        await delay(backoff.nextMs(), signal)
      }
    }
  }

  /** Runs one subscription until its connection ends, the queue is full, or the signal aborts. */
  async #stream(connection: Connection, signal: AbortSignal): Promise<void> {
    let over = (): void => undefined
    const ended = new Promise<void>((resolve) => {
      over = resolve
    })
    let isFull = false
    let refusal: AgentError | null = null
    signal.addEventListener('abort', over, { once: true })
    try {
      const undo = await connection.stream(
        this.#source.subscription(),
        {
          onAnswer: (result) => this.#source.started(result, connection),
          receive: (method, params) => {
            if (isFull || refusal) return // left out here, asked for again later
            if (method === 'unsubscribed') {
              refusal = fromWireError(checked(Unsubscribed, params, method).error)
              return over()
            }
            this.#source.receive(method, params)
            isFull = this.#inbox.size >= QUEUE_MAX
            if (isFull) over()
          },
          closed: over,
        },
        signal,
      )
      await ended
      undo()
      if (refusal) throw refusal
    } finally {
      signal.removeEventListener('abort', over)
    }
  }
}
