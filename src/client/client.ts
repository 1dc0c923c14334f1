import * as z from 'zod'
import type { MethodName, ParamsOf, ResultOf } from '../methods/index.ts'
import { AgentError } from '../protocol/errors.ts'
import type { Hello, Progress } from '../protocol/frames.ts'
import { LIMITS } from '../protocol/limits.ts'
import type { Connection, Result } from './connection.ts'
import { ConnectionError } from './connection-error.ts'
import { delay } from './delay.ts'
import { type EventOptions, EventSource, type FeedItem } from './event-feed.ts'
import { Feed } from './feed.ts'
import { Inbox } from './inbox.ts'
import { checked } from './incoming.ts'
import { type ConnectionState, Keeper, type ReconnectOptions, type StateListener } from './keeper.ts'
import { type FollowOptions, type LogChunk, LogSource } from './log-feed.ts'
import { newIdempotencyKey } from './outgoing.ts'
import type { Dial } from './wire.ts'

export interface CallOptions {
  /** Gives up; the agent is told. What was begun goes on. */
  signal?: AbortSignal
  /** Longest wait for the answer, breaks of the connection included. Default: as long as there is a connection. */
  timeoutMs?: number
  onProgress?: (progress: Progress) => void
  /** Whether the method changes something, for callers that know; otherwise the agent is asked once. */
  mutates?: boolean
}

export interface SharedOptions {
  /** `false`: the first break is the end. */
  reconnect?: ReconnectOptions | false
  /** Gives up connecting. A client that is connected goes on: close it. */
  signal?: AbortSignal
  /** Silence after which the connection counts as dead. Default 60 000. */
  deadMs?: number
}

/** Wait for a connection of a call that has no deadline of its own. */
const OFFLINE_MS = 30_000
const STOPPING_MS = 100
const Discovered = z.looseObject({
  methods: z.array(z.looseObject({ name: z.string(), 'x-mutating': z.boolean().optional() })),
})

/**
 * Connects and waits for the agent's hello. A first attempt that fails is not repeated: what it says is often a
 * wrong url or token.
 */
export async function openClient(dial: Dial, options: SharedOptions): Promise<AgentClient> {
  const { signal = new AbortController().signal, deadMs = LIMITS.deadMs, reconnect = {} } = options
  const keeper = new Keeper({ dial, deadMs, reconnect })
  await keeper.start(signal)
  return new AgentClient(keeper)
}

/** An agent. Reconnects by itself until it is closed; calls, events and logs go on where they were. */
export class AgentClient {
  readonly #keeper: Keeper
  #mutating: { version: string; methods: Promise<ReadonlySet<string>> } | null = null

  /** Made by `connect`. */
  constructor(keeper: Keeper) {
    this.#keeper = keeper
  }

  /** What the agent said of itself at the latest connection. */
  get hello(): Hello {
    return this.#keeper.hello
  }

  get state(): ConnectionState {
    return this.#keeper.state
  }

  /**
   * Calls back at each change, with the reason where it is not `connected`. `closed` is the last one: by `close`, or
   * because the token is refused.
   * @returns the undo
   */
  onState(listener: StateListener): () => void {
    return this.#keeper.onState(listener)
  }

  /**
   * Calls a method and waits for its result. When the connection breaks meanwhile the call is sent again over the next
   * one. A call that changes something carries an `idempotencyKey` (yours, or a random one), so that it is run once all
   * the same. Which methods those are is asked of the agent at the first call that needs to know (`rpc.discover`), so
   * that it is right for every version; give `idempotencyKey` or `mutates` to spare that.
   * @throws {AgentError} what the agent answers; TIMEOUT after `timeoutMs`
   * @throws {ConnectionError} when there is no connection for 30 s (with `timeoutMs`: for that long) or never again
   */
  async call<M extends MethodName>(
    method: M,
    params: ParamsOf<M>,
    options: CallOptions = {},
  ): Promise<ResultOf<M>> {
    const { signal, timeoutMs } = options
    const end = new AbortController()
    const onAbort = (): void => end.abort(signal?.reason)
    if (signal?.aborted) onAbort()
    signal?.addEventListener('abort', onAbort, { once: true })
    const late = (): void =>
      end.abort(new AgentError('TIMEOUT', `no answer to ${method} within ${timeoutMs} ms`))
    const timer = timeoutMs === undefined ? undefined : setTimeout(late, timeoutMs)
    try {
      return (await this.#repeat(method, params, options, end.signal)) as ResultOf<M>
    } finally {
      clearTimeout(timer)
      signal?.removeEventListener('abort', onAbort)
    }
  }

  /** What happens on the host, from now or from a position on, without a hole and across every break. */
  events(options: EventOptions = {}): AsyncIterableIterator<FeedItem, undefined> {
    const inbox = new Inbox<FeedItem>()
    const source = new EventSource(options, inbox)
    return new Feed({ keeper: this.#keeper, source, inbox, signal: options.signal })
  }

  /** The logs of processes as they grow, across every break. */
  follow(options: FollowOptions): AsyncIterableIterator<LogChunk, undefined> {
    const inbox = new Inbox<LogChunk>()
    const source = new LogSource(options, inbox)
    return new Feed({ keeper: this.#keeper, source, inbox, signal: options.signal })
  }

  /** Ends everything: calls fail, feeds end. Resolves when nothing is left open. */
  close(): Promise<void> {
    return this.#keeper.close()
  }

  async #repeat(
    method: string,
    given: Record<string, unknown>,
    { onProgress, mutates, timeoutMs }: CallOptions,
    signal: AbortSignal,
  ): Promise<Result> {
    let params = given
    for (;;) {
      const connection = await this.#keeper.connected(
        signal,
        timeoutMs === undefined ? OFFLINE_MS : undefined,
      )
      try {
        if (
          params['idempotencyKey'] === undefined &&
          (mutates ?? (await this.#isMutating(method, connection, signal)))
        )
          params = { ...params, idempotencyKey: newIdempotencyKey() }
        return await connection.request(method, params, { signal, onProgress })
      } catch (error) {
        if (error instanceof ConnectionError) continue
        const isRead = params['idempotencyKey'] === undefined
        if (!isRead || !(error instanceof AgentError) || error.code !== 'SHUTTING_DOWN') throw error
        await delay(STOPPING_MS, signal) // it closes the connection next
      }
    }
  }

  async #isMutating(method: string, connection: Connection, signal: AbortSignal): Promise<boolean> {
    const { version } = this.hello
    if (this.#mutating?.version !== version) {
      const known = { version, methods: mutatingMethods(connection) }
      known.methods.catch(() => {
        if (this.#mutating === known) this.#mutating = null
      })
      this.#mutating = known
    }
    const methods = await this.#mutating.methods
    signal.throwIfAborted()
    return methods.has(method)
  }
}

async function mutatingMethods(connection: Connection): Promise<ReadonlySet<string>> {
  const { methods } = checked(Discovered, await connection.request('rpc.discover', {}), 'rpc.discover')
  return new Set(methods.filter((entry) => entry['x-mutating'] === true).map(({ name }) => name))
}
