import type { Principal } from '../core/access/principal.ts'
import type { Logger } from '../logger.ts'
import type { CallSource, Services } from '../methods/context.ts'
import { openRpcDocument } from '../methods/openrpc.ts'
import { AgentError } from '../protocol/errors.ts'
import type { Request, RequestId } from '../protocol/frames.ts'
import { CLOSE } from '../protocol/limits.ts'
import type { AnswerGate, AnswerRoom } from './answer-room.ts'
import { CallsInFlight } from './calls-in-flight.ts'
import type { Dispatcher } from './dispatcher.ts'
import { errorFrame } from './error-frame.ts'
import { readFrame } from './frame.ts'
import { heldRights } from './held-rights.ts'
import { helloFrame } from './hello.ts'
import { TABLE } from './judgement.ts'
import type { Limits } from './limits.ts'
import type { Link, LinkUser } from './link.ts'
import { Outlet } from './outlet.ts'
import { progressOf } from './progress.ts'
import { Rate } from './rate.ts'
import { stopping, tooMany } from './refusals.ts'
import { SessionStreams } from './session-streams.ts'

/** What makes room is let in when there is none. */
const RELIEF = new Set(['rpc.cancel', 'event.unsubscribe', 'log.unfollow'])

export interface SessionDeps {
  link: Link
  principal: Principal
  services: Services
  dispatcher: Dispatcher
  limits: Limits
  room: AnswerRoom
  logger: Logger
  onClosed(session: Session): void
}

/** Answers that nobody reads: at so many times the high mark no more calls are taken. */
const UNREAD_MARKS = 4

/** One authenticated connection: its frames in, its answers and streams out. */
export class Session implements LinkUser {
  readonly #deps: SessionDeps
  readonly #outlet: Outlet
  readonly #gate: AnswerGate
  readonly #rate: Rate
  readonly #calls = new CallsInFlight()
  readonly #streams: SessionStreams
  #malformed = 0
  #isEnding = false
  /** The peer sends nothing more. */
  #isInputOver = false
  /** Since when the peer counts as one that does not read. */
  #stalledAtMs: number | null = null

  constructor(deps: SessionDeps) {
    this.#deps = deps
    this.#outlet = new Outlet(deps.link, deps.limits)
    this.#gate = deps.room.gate(deps.link)
    this.#streams = new SessionStreams({ ...deps, outlet: this.#outlet })
    const { requestsPerSecond, requestsBurst } = deps.limits
    this.#rate = new Rate({ perSecond: requestsPerSecond, burst: requestsBurst }, performance.now())
  }

  /** Says hello. */
  start(): void {
    const { services, principal, limits } = this.#deps
    this.#send(helloFrame(services, principal, limits))
  }

  receive(text: string): void {
    const { link, limits } = this.#deps
    const over = this.#rate.take(performance.now())
    const isOver = over > limits.overRateClose
    if (isOver) link.close(CLOSE.overRate, 'far over the rate')
    // its end is decided
    if (isOver || this.#stalledAtMs !== null) return this.#leaveUnanswered(text)
    const { request, id, error } = readFrame(text, limits.depth)
    if (!request) {
      this.#answerError(id, error)
      if (++this.#malformed >= limits.malformedClose) link.close(CLOSE.malformed, 'too many malformed frames')
      return
    }
    const { id: asked } = request
    // JSON-RPC has no answer to a notification, and ours have no effect either
    if (asked === undefined) return
    const refusal = this.#whyNot(request, over)
    if (refusal) return this.#refuse(request, asked, refusal)
    const isKeyed = request.params?.['idempotencyKey'] !== undefined
    const whyForbidden = heldRights(request.method, this.#deps.principal)
    void this.#calls
      .run(asked, { isKeyed, whyForbidden }, (signal, isOpen) =>
        this.#serve(request, asked, { signal, isOpen }),
      )
      .then(() => this.#leaveWhenDone())
  }

  inputEnded(): void {
    this.#isInputOver = true
    this.#leaveWhenDone()
  }

  drained(): void {
    this.#gate.look()
    if (!this.#outlet.drained()) return
    // it reads again, and can be told
    if (this.#stalledAtMs !== null) this.#deps.link.close(CLOSE.stalled, 'stalled reader')
    else this.pump()
  }

  closed(): void {
    this.#isEnding = true
    this.#calls.abandon()
    this.#streams.stop()
    this.#gate.close()
    this.#deps.onClosed(this)
  }

  /** Rights have changed, of this session or another: what has lost its right ends, also when its caller has left. */
  rightsChanged(): void {
    this.#calls.endForbidden()
    // one that has lost all of them is closed as a whole, by its transport
    if (this.#deps.principal.scopes.size > 0) this.#streams.rightsChanged()
  }

  /** Tells every call to end, because the agent stops. @returns when each has its answer */
  async shutDown(): Promise<void> {
    this.#isEnding = true
    this.#calls.abort(stopping())
    await this.ended()
  }

  /** Answers the calls that have not ended: what they have begun goes on, or ends with the agent. */
  giveUp(): void {
    for (const id of this.#calls.giveUp()) this.#answerError(id, stopping())
  }

  /** When no call runs any more. */
  ended(): Promise<void> {
    return this.#calls.ended()
  }

  /** Sends new events to every subscription. */
  pump(): void {
    this.#streams.pump()
  }

  bookmark(): void {
    this.#streams.bookmark()
  }

  /**
   * Goes on where the peer has read enough, and ends the session when it has not read for too long. Such a peer has as
   * long again to read what is on the way to it, and the reason behind that; then it is cut off.
   */
  look(nowMs: number): void {
    const { link, limits, logger, principal } = this.#deps
    // transports tell of an empty buffer only, not of one down at the low mark
    this.drained()
    if (this.#stalledAtMs === null) {
      if (!this.#outlet.isStalled(nowMs)) return
      logger.warn({ actor: principal.actor, remote: link.remote }, 'reader stalled')
      this.#stalledAtMs = nowMs
      this.#calls.abandon()
      this.#streams.stop()
    } else if (nowMs - this.#stalledAtMs > limits.stalledMs) {
      link.close(CLOSE.stalled, 'stalled reader')
      // the close frame waits behind what is not being read
      link.terminate()
    }
  }

  /** Why a request is not even judged. */
  #whyNot({ id, method }: Request, over: number): AgentError | null {
    const { link, limits } = this.#deps
    if (over > 0) return tooMany(`over ${limits.requestsPerSecond} requests a second`)
    if (!RELIEF.has(method)) {
      if (this.#calls.size >= limits.inFlight) return tooMany(`${limits.inFlight} requests are in flight`)
      if (link.bufferedBytes() > limits.highWaterBytes * UNREAD_MARKS)
        return tooMany('the answers to former requests are not being read')
    }
    if (id !== undefined && this.#calls.has(id))
      return new AgentError('INVALID_REQUEST', 'a request with that id is in flight')
    return this.#isEnding ? stopping() : null
  }

  async #serve(
    request: Request,
    id: RequestId,
    { signal, isOpen }: { signal: AbortSignal; isOpen: () => boolean },
  ): Promise<void> {
    const { dispatcher } = this.#deps
    let hasBegun = false
    const answer = async () => {
      hasBegun = true
      const context = this.#context(id, signal)
      const result = await dispatcher.dispatch(request.method, request.params ?? {}, context)
      if (isOpen()) this.#answer(id, result)
    }
    try {
      await this.#whenRoom(request.method, signal, answer)
    } catch (error) {
      if (!hasBegun && error instanceof AgentError) this.#record(request, error)
      if (isOpen()) this.#answerError(id, error)
    }
  }

  /** A call waits before it begins, never after its effect; what makes room waits for none. */
  async #whenRoom(method: string, signal: AbortSignal, answer: () => Promise<void>): Promise<void> {
    const isChange = TABLE.get(method)?.mutating
    if (isChange === undefined || RELIEF.has(method)) await answer()
    else if (isChange) await this.#gate.change(signal, answer)
    else await this.#gate.ask(signal, answer)
  }

  #context(id: RequestId, signal: AbortSignal): CallSource {
    const { services, principal, link } = this.#deps
    return {
      ...services,
      principal,
      remote: link.remote,
      signal,
      streams: this.#streams,
      progress: progressOf(id, (frame) => this.#send(frame)),
      describe: () => openRpcDocument(services.agent.version),
      cancel: (other) => this.#calls.cancel(other),
    }
  }

  #refuse(request: Request, id: RequestId, error: AgentError): void {
    this.#record(request, error)
    this.#answerError(id, error)
  }

  /** A frame of a peer that is being closed: nobody hears of it but the audit. */
  #leaveUnanswered(text: string): void {
    const { request } = readFrame(text, this.#deps.limits.depth)
    if (request?.id !== undefined) this.#record(request, tooMany('the connection is being closed'))
  }

  #record({ method, params }: Request, error: AgentError): void {
    const { dispatcher, principal, link } = this.#deps
    dispatcher.refused(method, params ?? {}, { principal, remote: link.remote }, error)
  }

  #answer(id: RequestId, result: Record<string, unknown>): void {
    const frame = Buffer.from(JSON.stringify({ jsonrpc: '2.0', id, result }))
    const { frameOutBytes } = this.#deps.limits
    if (frame.length <= frameOutBytes) return this.#send(frame)
    // a stream whose name the caller never learns could not be ended
    if (typeof result['subscription'] === 'string') this.#streams.unsubscribe(result['subscription'])
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
    this.#send(errorFrame(id, error, this.#deps.limits.frameOutBytes))
  }

  #send(frame: Buffer): void {
    this.#outlet.send(frame)
  }

  /** One that sends nothing more is there for its answers alone. */
  #leaveWhenDone(): void {
    if (this.#isInputOver && this.#calls.size === 0) this.#deps.link.close(CLOSE.goingAway, 'all is answered')
  }
}
