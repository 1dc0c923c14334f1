import type { Principal } from '../core/access/principal.ts'
import { anyGlob } from '../lib/glob.ts'
import type { Logger } from '../logger.ts'
import type { CallSource, EventFilter, LogStreamRequest, Services, Streams } from '../methods/context.ts'
import { openRpcDocument } from '../methods/openrpc.ts'
import { AgentError, toWireError } from '../protocol/errors.ts'
import type { Request, RequestId } from '../protocol/frames.ts'
import { CLOSE, PROTOCOL_VERSION } from '../protocol/limits.ts'
import type { Dispatcher } from './dispatcher.ts'
import { notification } from './event-frames.ts'
import { EventStream } from './event-stream.ts'
import { readFrame } from './frame.ts'
import type { Limits } from './limits.ts'
import type { Link, LinkUser } from './link.ts'
import { LogStream } from './log-stream.ts'
import { Outlet } from './outlet.ts'
import { Rate } from './rate.ts'

/** What makes room is let in when there is none. */
const RELIEF = new Set(['rpc.cancel', 'event.unsubscribe', 'log.unfollow'])

export interface SessionDeps {
  link: Link
  principal: Principal
  services: Services
  dispatcher: Dispatcher
  limits: Limits
  logger: Logger
  onClosed(session: Session): void
}

interface Call {
  end: AbortController
  isKeyed: boolean
  /** Settles when it has its answer. */
  served: Promise<void>
}

const PROGRESS_EVERY_MS = 100
/** Answers that nobody reads: at so many times the high mark no more calls are taken. */
const UNREAD_MARKS = 4

/** One authenticated connection: its frames in, its answers and streams out. */
export class Session implements LinkUser, Streams {
  readonly #deps: SessionDeps
  readonly #outlet: Outlet
  readonly #rate: Rate
  readonly #calls = new Map<RequestId, Call>()
  readonly #events = new Map<string, EventStream>()
  readonly #logs = new Map<string, LogStream>()
  #made = 0
  #malformed = 0
  #isEnding = false

  constructor(deps: SessionDeps) {
    this.#deps = deps
    this.#outlet = new Outlet(deps.link, deps.limits)
    const { requestsPerSecond, requestsBurst } = deps.limits
    this.#rate = new Rate({ perSecond: requestsPerSecond, burst: requestsBurst }, performance.now())
  }

  /** Says hello. */
  start(): void {
    const { services, principal, limits } = this.#deps
    const { agent, bus, policy } = services
    this.#send(
      notification('hello', {
        protocol: PROTOCOL_VERSION,
        agent: agent.name,
        version: agent.version,
        epoch: bus.epoch,
        seq: bus.seq,
        scopes: [...principal.scopes],
        policyDigest: policy.digest,
        limits,
      }),
    )
  }

  receive(text: string): void {
    const { link, limits } = this.#deps
    const over = this.#rate.take(performance.now())
    if (over > limits.overRateClose) return link.close(CLOSE.overRate, 'far over the rate')
    const { request, id, error } = readFrame(text, limits.depth)
    if (!request) {
      this.#answerError(id, error)
      if (++this.#malformed >= limits.malformedClose) link.close(CLOSE.malformed, 'too many malformed frames')
      return
    }
    // JSON-RPC has no answer to a notification, and ours have no effect either
    if (request.id === undefined) return
    if (over > 0)
      return this.#refuse(
        request,
        request.id,
        new AgentError('TOO_MANY_REQUESTS', `over ${limits.requestsPerSecond} requests a second`),
      )
    const isRelief = RELIEF.has(request.method)
    if (this.#calls.size >= limits.inFlight && !isRelief)
      return this.#refuse(
        request,
        request.id,
        new AgentError('TOO_MANY_REQUESTS', `${limits.inFlight} requests are in flight`),
      )
    if (link.bufferedBytes() > limits.highWaterBytes * UNREAD_MARKS && !isRelief)
      return this.#refuse(
        request,
        request.id,
        new AgentError('TOO_MANY_REQUESTS', 'the answers to former requests are not being read'),
      )
    if (this.#calls.has(request.id))
      return this.#refuse(
        request,
        request.id,
        new AgentError('INVALID_REQUEST', 'a request with that id is in flight'),
      )
    if (this.#isEnding) return this.#refuse(request, request.id, stopping())
    const end = new AbortController()
    const call: Call = {
      end,
      isKeyed: request.params?.['idempotencyKey'] !== undefined,
      served: Promise.resolve(),
    }
    this.#calls.set(request.id, call)
    call.served = this.#serve(request, request.id, call)
  }

  drained(): void {
    if (this.#outlet.drained()) this.pump()
  }

  closed(): void {
    this.#isEnding = true
    // a call with a key goes on: its caller comes back with the key and gets the outcome
    for (const { end, isKeyed } of this.#calls.values())
      if (!isKeyed) end.abort(new AgentError('CANCELLED', 'the connection ended'))
    for (const stream of this.#logs.values()) stream.stop()
    for (const stream of this.#events.values()) stream.stop()
    this.#outlet.release()
    this.#events.clear()
    this.#logs.clear()
    this.#deps.onClosed(this)
  }

  /** Tells every call to end, because the agent stops. @returns when each has its answer */
  async shutDown(): Promise<void> {
    this.#isEnding = true
    for (const { end } of this.#calls.values()) end.abort(stopping())
    await this.ended()
  }

  /** Answers the calls that have not ended: what they have begun goes on, or ends with the agent. */
  giveUp(): void {
    for (const id of this.#calls.keys()) this.#answerError(id, stopping())
    this.#calls.clear()
  }

  /** When no call runs any more. */
  async ended(): Promise<void> {
    await Promise.all([...this.#calls.values()].map(({ served }) => served))
  }

  /** Sends new events to every subscription. */
  pump(): void {
    for (const stream of this.#events.values()) stream.pump()
  }

  bookmark(): void {
    for (const stream of this.#events.values()) stream.bookmark()
  }

  /** Goes on where the peer has read enough, and ends the connection when it has not read for too long. */
  look(nowMs: number): void {
    // transports tell of an empty buffer only, not of one down at the low mark
    this.drained()
    if (!this.#outlet.isStalled(nowMs)) return
    this.#deps.logger.warn(
      { actor: this.#deps.principal.actor, remote: this.#deps.link.remote },
      'reader stalled',
    )
    this.#deps.link.close(CLOSE.stalled, 'stalled reader')
    // the close frame waits behind what is not being read
    this.#deps.link.terminate()
  }

  subscribe(filter: EventFilter): {
    subscription: string
    mode: 'resumed' | 'snapshot'
    epoch: string
    seq: number
  } {
    const { limits, principal, services } = this.#deps
    const { bus } = services
    if (this.#events.size >= limits.eventSubscriptions)
      throw tooMany(`${limits.eventSubscriptions} event subscriptions`)
    const { since } = filter
    const isHeld = since?.epoch === bus.epoch && since.seq <= bus.seq && since.seq + 1 >= bus.oldestKept
    const after = isHeld && since ? since.seq : bus.seq
    const stream = new EventStream({
      id: `e${++this.#made}`,
      bus,
      outlet: this.#outlet,
      principal,
      filter,
      after,
      onError: (error) => this.#deps.logger.error({ err: error }, 'the journal of events cannot be read'),
    })
    this.#events.set(stream.id, stream)
    // the answer leaves in the microtasks of this tick
    setImmediate(() => stream.start())
    return { subscription: stream.id, mode: isHeld ? 'resumed' : 'snapshot', epoch: bus.epoch, seq: after }
  }

  unsubscribe(subscription: string): void {
    this.#events.get(subscription)?.stop()
    this.#events.delete(subscription)
  }

  follow({ entries, channels, lines, cursors }: LogStreamRequest): string {
    const { limits, principal, services, logger } = this.#deps
    if (this.#logs.size >= limits.logStreams) throw tooMany(`${limits.logStreams} log streams`)
    const stream = new LogStream({
      id: `l${++this.#made}`,
      logs: services.logs,
      outlet: this.#outlet,
      logger,
      isAllowed: ({ program }) => principal.scopes.has('logs') && anyGlob(principal.programs)(program),
    })
    const sources = services.logs.sources(entries, channels)
    this.#logs.set(stream.id, stream)
    setImmediate(() => {
      for (const { entry, channel } of sources) {
        const cursor = cursors[`${entry.name}/${channel}`] ?? cursors[entry.name]
        stream.follow(entry, channel, { lines, ...(cursor === undefined ? {} : { cursor }) })
      }
    })
    return stream.id
  }

  unfollow(subscription: string): void {
    this.#logs.get(subscription)?.stop()
    this.#logs.delete(subscription)
  }

  async #serve(request: Request, id: RequestId, call: Call): Promise<void> {
    // one that was given up has its answer
    const isOpen = () => this.#calls.get(id) === call
    try {
      const context = this.#context(id, call.end.signal)
      const result = await this.#deps.dispatcher.dispatch(request.method, request.params ?? {}, context)
      if (isOpen()) this.#answer(id, result)
    } catch (error) {
      if (isOpen()) this.#answerError(id, error)
    } finally {
      if (isOpen()) this.#calls.delete(id)
    }
  }

  #context(id: RequestId, signal: AbortSignal): CallSource {
    const { services, principal, link } = this.#deps
    let toldAtMs = 0
    return {
      ...services,
      principal,
      remote: link.remote,
      signal,
      streams: this,
      progress: (done, total, text) => {
        const nowMs = performance.now()
        if (total < 2 || (done < total && nowMs - toldAtMs < PROGRESS_EVERY_MS)) return
        toldAtMs = nowMs
        this.#send(notification('progress', { id, done, total, text }))
      },
      describe: () => openRpcDocument(services.agent.version),
      cancel: (other) => {
        const call = this.#calls.get(other)
        call?.end.abort(new AgentError('CANCELLED', 'cancelled by the caller'))
        return call !== undefined
      },
    }
  }

  #refuse(request: Request, id: RequestId, error: AgentError): void {
    const { dispatcher, principal, link } = this.#deps
    dispatcher.refused(request.method, request.params ?? {}, { principal, remote: link.remote }, error)
    this.#answerError(id, error)
  }

  #answer(id: RequestId, result: Record<string, unknown>): void {
    const frame = Buffer.from(JSON.stringify({ jsonrpc: '2.0', id, result }))
    const { frameOutBytes } = this.#deps.limits
    if (frame.length <= frameOutBytes) return this.#send(frame)
    // a stream whose name the caller never learns could not be ended
    if (typeof result['subscription'] === 'string') this.unsubscribe(result['subscription'])
    this.#answerError(
      id,
      new AgentError(
        'INVALID_PARAMS',
        `the answer is over ${frameOutBytes} bytes: ask for less, for example by select`,
      ),
    )
  }

  #answerError(id: RequestId | null, error: unknown): void {
    if (!(error instanceof AgentError)) this.#deps.logger.error({ err: error }, 'a call failed unexpectedly')
    this.#send(Buffer.from(JSON.stringify({ jsonrpc: '2.0', id, error: toWireError(error) })))
  }

  #send(frame: Buffer): void {
    this.#outlet.send(frame)
  }
}

function stopping(): AgentError {
  return new AgentError('SHUTTING_DOWN', 'the agent is stopping')
}

function tooMany(what: string): AgentError {
  return new AgentError('TOO_MANY_SUBSCRIPTIONS', `this connection has ${what}, the most it may have`)
}
