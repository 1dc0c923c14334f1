// Keeps one connection to an agent: when it breaks, another is opened after a delay drawn with full jitter.

import { Backoff } from '../lib/backoff.ts'
import type { Hello } from '../protocol/frames.ts'
import { Connection } from './connection.ts'
import { ConnectionError } from './connection-error.ts'
import { delay } from './delay.ts'
import type { Dial } from './wire.ts'

export type ConnectionState = 'connected' | 'reconnecting' | 'closed'
export type StateListener = (state: ConnectionState, reason: ConnectionError | null) => void

/** Limits of the delay before each attempt, which is drawn between zero and a ceiling that doubles from `minMs` on. */
export interface ReconnectOptions {
  /** Default 500. */
  minMs?: number
  /** Default 30 000. */
  maxMs?: number
}

interface Waiter {
  resolve(connection: Connection): void
  reject(error: unknown): void
}

/** A connection that lived this long shows that the trouble is over. */
const STABLE_MS = 60_000

export class Keeper {
  readonly #dial: Dial
  readonly #deadMs: number
  readonly #backoff: Backoff | null
  readonly #listeners = new Set<StateListener>()
  readonly #waiters = new Set<Waiter>()
  readonly #closing = new AbortController()
  #connection: Connection | null = null
  #hello: Hello | null = null
  #failure: ConnectionError | null = null
  #lastError: ConnectionError | null = null

  constructor(options: { dial: Dial; deadMs: number; reconnect: ReconnectOptions | false }) {
    const { dial, deadMs, reconnect } = options
    this.#dial = dial
    this.#deadMs = deadMs
    this.#backoff =
      reconnect === false
        ? null
        : new Backoff({ minMs: reconnect.minMs ?? 500, maxMs: reconnect.maxMs ?? 30_000 })
  }

  get state(): ConnectionState {
    if (this.#failure) return 'closed'
    return this.#connection ? 'connected' : 'reconnecting'
  }

  /** What the agent said at the last connection. */
  get hello(): Hello {
    if (!this.#hello) throw new ConnectionError('closed', 'there was no connection yet')
    return this.#hello
  }

  /** True when `close` was called, not when the connection failed. */
  get isClosed(): boolean {
    return this.#closing.signal.aborted
  }

  onState(listener: StateListener): () => void {
    this.#listeners.add(listener)
    return () => void this.#listeners.delete(listener)
  }

  /** Opens the first connection; its failure is the caller's and is not repeated. */
  async start(signal: AbortSignal): Promise<void> {
    await this.#open(signal)
  }

  /**
   * The connection, or the next one.
   * @throws {ConnectionError} when there will be none, or when `waitMs` passed without one; the signal's reason
   */
  connected(signal: AbortSignal, waitMs?: number): Promise<Connection> {
    return new Promise((resolve, reject) => {
      signal.throwIfAborted()
      if (this.#failure) throw this.#failure
      if (this.#connection) return resolve(this.#connection)
      const settled = (): void => {
        clearTimeout(timer)
        signal.removeEventListener('abort', onAbort)
        this.#waiters.delete(waiter)
      }
      const waiter: Waiter = {
        resolve: (connection) => {
          settled()
          resolve(connection)
        },
        reject: (error) => {
          settled()
          reject(error)
        },
      }
      const onAbort = (): void => waiter.reject(signal.reason)
      const timer =
        waitMs === undefined ? undefined : setTimeout(() => waiter.reject(this.#noneWithin(waitMs)), waitMs)
      signal.addEventListener('abort', onAbort, { once: true })
      this.#waiters.add(waiter)
    })
  }

  /** Ends for good; resolves when nothing is left open. */
  async close(): Promise<void> {
    if (!this.#failure)
      this.#finish(new ConnectionError('closed', 'the client was closed', { isFinal: true }))
    this.#closing.abort(this.#failure)
    const connection = this.#connection
    this.#connection = null
    await connection?.close()
  }

  async #open(signal: AbortSignal): Promise<void> {
    const connection = new Connection({ deadMs: this.#deadMs })
    this.#hello = await connection.open(this.#dial, signal)
    const openedAtMs = performance.now()
    this.#connection = connection
    connection.onEnd((error) => {
      if (this.#connection !== connection) return
      this.#connection = null
      if (performance.now() - openedAtMs >= STABLE_MS) this.#backoff?.reset()
      this.#lost(error)
    })
    if (this.#connection !== connection) return // it ended in the tick of its hello
    for (const waiter of this.#waiters) waiter.resolve(connection)
    this.#tell('connected', null)
  }

  #lost(error: ConnectionError): void {
    this.#lastError = error
    if (error.isFinal || !this.#backoff) return this.#finish(error)
    this.#tell('reconnecting', error)
    void this.#reconnect(this.#backoff)
  }

  async #reconnect(backoff: Backoff): Promise<void> {
    const { signal } = this.#closing
    while (!signal.aborted)
      try {
        await delay(Math.max(backoff.nextMs(), this.#lastError?.retryAfterMs ?? 0), signal)
        return await this.#open(signal)
      } catch (error) {
        if (signal.aborted) return
        this.#lastError =
          error instanceof ConnectionError
            ? error
            : new ConnectionError('unreachable', String(error), { cause: error })
        if (this.#lastError.isFinal) return this.#finish(this.#lastError)
        this.#tell('reconnecting', this.#lastError)
      }
  }

  #finish(error: ConnectionError): void {
    this.#failure = error
    for (const waiter of this.#waiters) waiter.reject(error)
    this.#tell('closed', error)
  }

  #noneWithin(waitMs: number): ConnectionError {
    const cause = this.#lastError
    return new ConnectionError(
      'unreachable',
      `no connection within ${waitMs} ms; last: ${cause?.message ?? 'none'}`,
      {
        status: cause?.status,
        closeCode: cause?.closeCode,
        cause,
      },
    )
  }

  #tell(state: ConnectionState, reason: ConnectionError | null): void {
    for (const listener of this.#listeners) listener(state, reason)
  }
}
