// One connection from its hello to its end: calls by id, streams by subscription. It never comes back; whoever wants
// that opens another. A frame that is not ours ends it.
import { fromWireError } from '../protocol/errors.ts'
import { type Hello, Progress } from '../protocol/frames.ts'
import { ConnectionError } from './connection-error.ts'
import { checked, type IncomingFrame, readHello, readIncoming } from './incoming.ts'
import { requestFrame } from './outgoing.ts'
import { Vigil } from './vigil.ts'
import type { Dial, Wire } from './wire.ts'

type Params = Record<string, unknown>
export type Result = Record<string, unknown>

export interface RequestOptions {
  signal?: AbortSignal | undefined
  onProgress?: ((progress: Progress) => void) | undefined
  /** Called with the result before any later frame is looked at. */
  onAnswer?: (result: Result) => void
}

interface Call extends RequestOptions {
  frame: string
  resolve(result: Result): void
  reject(error: unknown): void
}

/** Who gets the notifications of one subscription. */
export interface StreamUser {
  receive(method: string, params: Params): void
  /** The connection ended. */
  closed(error: ConnectionError): void
}

const HELLO_MS = 10_000
/** Places kept free for rpc.cancel and unsubscriptions. */
const RESERVED = 4

export class Connection {
  readonly #vigil: Vigil
  readonly #calls = new Map<number, Call>()
  readonly #queued = new Map<number, Call>()
  readonly #streams = new Map<string, StreamUser>()
  #greeting: { resolve(hello: Hello): void; reject(error: unknown): void } | null = null
  #wire: Wire | null = null
  #hello: Hello | null = null
  #failure: ConnectionError | null = null
  #ids = 0
  #onEnd: ((error: ConnectionError) => void) | null = null

  constructor(options: { deadMs: number }) {
    this.#vigil = new Vigil({
      deadMs: options.deadMs,
      probe: () => this.#tell('rpc.cancel', { id: 'probe' }),
      onDead: () => this.#end(new ConnectionError('lost', `no sign of life for ${options.deadMs} ms`)),
    })
  }

  /**
   * Dials, and returns what the agent says first.
   * @throws {ConnectionError} also for another version of the protocol; the signal's reason
   */
  async open(dial: Dial, signal: AbortSignal): Promise<Hello> {
    const greeted = new Promise<Hello>((resolve, reject) => {
      this.#greeting = { resolve, reject }
    })
    greeted.catch(() => undefined) // the dial may fail before anybody waits for it
    this.#wire = await dial(
      {
        text: (text) => this.#receive(text),
        alive: () => this.#vigil.alive(),
        closed: (error) => this.#end(error),
      },
      signal,
    )
    const timer = setTimeout(
      () =>
        this.#end(
          new ConnectionError(
            'protocol',
            `no hello within ${HELLO_MS / 1000} s: the agent is stopped or overloaded`,
          ),
        ),
      HELLO_MS,
    )
    const onAbort = (): void => {
      this.#greeting?.reject(signal.reason)
      this.#end(new ConnectionError('closed', 'given up while it opened'))
    }
    signal.addEventListener('abort', onAbort, { once: true })
    try {
      if (signal.aborted) onAbort()
      if (this.#failure) this.#wire.terminate()
      return await greeted
    } finally {
      clearTimeout(timer)
      signal.removeEventListener('abort', onAbort)
    }
  }

  /** Calls back once, when it ends or has ended. */
  onEnd(listener: (error: ConnectionError) => void): void {
    if (this.#failure) listener(this.#failure)
    else this.#onEnd = listener
  }

  /**
   * Sends a request. More than the agent takes at once wait here for their turn.
   * @throws {AgentError} what the agent answers; {ConnectionError} when it ends before the answer; the signal's reason,
   * and then the agent is told
   */
  request(method: string, params: Params, options: RequestOptions = {}): Promise<Result> {
    return new Promise((resolve, reject) => {
      if (this.#failure) throw this.#failure
      const { signal } = options
      signal?.throwIfAborted()
      const id = ++this.#ids
      const frame = requestFrame({ id, method, params }, this.#hello?.limits ?? {})
      const onAbort = (): void => {
        if (this.#calls.delete(id)) this.#tell('rpc.cancel', { id })
        this.#queued.delete(id)
        reject(signal?.reason)
      }
      signal?.addEventListener('abort', onAbort, { once: true })
      const settled = (): void => signal?.removeEventListener('abort', onAbort)
      const call: Call = {
        ...options,
        frame,
        resolve: (result) => {
          settled()
          resolve(result)
        },
        reject: (error) => {
          settled()
          reject(error)
        },
      }
      this.#queued.set(id, call)
      this.#sendQueued()
    })
  }

  /**
   * Subscribes. `onAnswer` and `receive` are called in the order of the frames; after the returned function was
   * called, no more.
   * @throws as {@link request}
   */
  async stream(
    { method, params, undo }: { method: string; params: Params; undo: string },
    user: StreamUser & { onAnswer(result: Result): void },
    signal: AbortSignal,
  ): Promise<() => void> {
    let subscription = ''
    const onAnswer = (result: Result): void => {
      subscription = String(result['subscription'])
      if (signal.aborted) return this.#tell(undo, { subscription })
      this.#streams.set(subscription, user)
      user.onAnswer(result)
    }
    // not cancelled when the signal aborts: the agent may have subscribed already, and that must be undone
    await this.request(method, params, { onAnswer })
    signal.throwIfAborted()
    return () => {
      if (this.#streams.delete(subscription)) this.#tell(undo, { subscription })
    }
  }

  /** Ends in order; resolves when nothing is left open. */
  async close(): Promise<void> {
    const wire = this.#wire
    this.#wire = null
    this.#end(new ConnectionError('closed', 'the client was closed', { isFinal: true }))
    await wire?.close()
  }

  /** A request outside the queue whose answer nobody needs. */
  #tell(method: string, params: Params): void {
    if (!this.#failure) this.#wire?.send(JSON.stringify({ jsonrpc: '2.0', id: ++this.#ids, method, params }))
  }

  #sendQueued(): void {
    const most = Math.max(1, (this.#hello?.limits['inFlight'] ?? Infinity) - RESERVED)
    for (const [id, call] of this.#queued) {
      if (this.#calls.size >= most || !this.#wire) return
      this.#queued.delete(id)
      this.#calls.set(id, call)
      this.#wire.send(call.frame)
    }
  }

  #receive(text: string): void {
    if (this.#failure) return
    this.#vigil.alive()
    try {
      this.#dispatch(readIncoming(text))
    } catch (error) {
      this.#end(
        error instanceof ConnectionError
          ? error
          : new ConnectionError('protocol', `a frame could not be taken: ${String(error)}`, { cause: error }),
      )
    }
  }

  #dispatch({ kind, frame }: IncomingFrame): void {
    if (kind === 'notification') return this.#notified(frame.method, frame.params)
    const { id } = frame
    const call = typeof id === 'number' ? this.#calls.get(id) : undefined
    if (typeof id !== 'number' || !call) return // of a call that was cancelled
    this.#calls.delete(id)
    if (kind === 'answer') {
      call.onAnswer?.(frame.result)
      call.resolve(frame.result)
    } else call.reject(fromWireError(frame.error))
    this.#sendQueued()
  }

  #notified(method: string, params: Params): void {
    if (!this.#hello) {
      this.#hello = readHello(method, params)
      this.#vigil.start()
      this.#greeting?.resolve(this.#hello)
      return
    }
    if (method === 'progress') {
      const progress = checked(Progress, params, method)
      const call = typeof progress.id === 'number' ? this.#calls.get(progress.id) : undefined
      try {
        call?.onProgress?.(progress)
      } catch (error) {
        call?.reject(error) // the caller's own failure is no reason to end everything
      }
      return
    }
    // what nobody asked for is from a newer agent, or of a subscription that just ended
    const { subscription } = params
    if (typeof subscription === 'string') this.#streams.get(subscription)?.receive(method, params)
  }

  #end(error: ConnectionError): void {
    if (this.#failure) return
    this.#failure = error
    this.#vigil.stop()
    this.#wire?.terminate()
    this.#greeting?.reject(error)
    this.#onEnd?.(error)
    for (const call of [...this.#calls.values(), ...this.#queued.values()]) call.reject(error)
    for (const stream of this.#streams.values()) stream.closed(error)
    this.#calls.clear()
    this.#queued.clear()
    this.#streams.clear()
  }
}
