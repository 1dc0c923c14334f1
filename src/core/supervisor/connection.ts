// Knows whether supervisord can be asked. One cheap call every few seconds finds a hung or dead one; a hint (its
// children list vanished, the listener left) asks at once; while it is away the question is asked twice a second.
import * as z from 'zod'
import { isoTime } from '../../lib/iso-time.ts'
import type { Logger } from '../../logger.ts'
import { AgentError } from '../../protocol/errors.ts'
import type { SupervisorState } from '../../protocol/events.ts'
import type { EventBus } from '../events/bus.ts'
import { parsed } from './process-info.ts'
import type { SupervisorRpc } from './rpc.ts'

const BEAT_MS = 5_000
const ANSWER_MS = 5_000
const RETRY_MS = 500
/** A supervisord that stops its processes does so in turns of its loop, one a second unless somebody wakes it. */
const HURRY_MS = 50

/** Reasons that mean: nobody is behind the socket. One that hangs may go on. */
const GONE = new Set(['missing', 'refused', 'broken-off', 'stale-connection'])

/** What a running supervisord says of itself. */
export interface SupervisorIdentity {
  version: string
  identification: string
  pid: number
}

export interface SupervisorStatus {
  state: SupervisorState
  reason: string | null
  since: string
  identity: SupervisorIdentity | null
}

export interface ConnectionDeps {
  rpc: SupervisorRpc
  bus: EventBus
  logger: Logger
  /** Called each time it can be asked (again), before `running` is published. */
  onUp(identity: SupervisorIdentity): Promise<void>
  onDown(): void
  /** It ended, or another one took its place: nothing that was begun in it goes on. */
  onGone(): void
}

export class SupervisorConnection {
  readonly #deps: ConnectionDeps
  #status: SupervisorStatus = {
    state: 'unreachable',
    reason: null,
    since: isoTime(),
    identity: null,
  }
  #isSettled = false
  #settle = () => {}
  /** Ends when the first question was answered, or is known to have no answer. */
  readonly settled = new Promise<void>((resolve) => {
    this.#settle = resolve
  })
  #isStopped = false
  #timer: NodeJS.Timeout | null = null
  #asking: Promise<void> | null = null
  /** Of the supervisord that calls were made to. */
  #lastPid: number | null = null
  #expected: 'restarting' | 'shutdown' | null = null
  /** Whose call it is that takes supervisord through its states, and where that ends. */
  #cause: { actor: string; until: SupervisorState } | null = null

  constructor(deps: ConnectionDeps) {
    this.#deps = deps
  }

  get status(): SupervisorStatus {
    return this.#status
  }

  get isUp(): boolean {
    return this.#status.state === 'running'
  }

  /** True once the first question was answered, or known to have no answer. */
  get isSettled(): boolean {
    return this.#isSettled
  }

  /** Returns after the first question, whatever its answer. */
  async start(): Promise<void> {
    await this.check()
  }

  async stop(): Promise<void> {
    this.#isStopped = true
    if (this.#timer) clearTimeout(this.#timer)
    await this.#asking
  }

  /** Our own call will take supervisord away: what follows is named so. */
  expect(what: 'restarting' | 'shutdown', actor: string): void {
    this.#expected = what
    this.#cause = { actor, until: what === 'restarting' ? 'running' : 'unreachable' }
    const wasUp = this.isUp
    this.#become(what, 'on request', this.#status.identity)
    if (wasUp) this.#deps.onDown()
    void this.check()
  }

  /** Who restarts supervisord: its processes come by that. Null when nobody does, and once it runs again. */
  get restarter(): string | null {
    return this.#cause?.until === 'running' ? this.#cause.actor : null
  }

  /** Asks now. */
  check(): Promise<void> {
    if (this.#isStopped) return Promise.resolve()
    this.#asking ??= this.#ask().finally(() => {
      this.#asking = null
      this.#isSettled = true
      this.#settle()
      if (this.#timer) clearTimeout(this.#timer)
      if (!this.#isStopped) this.#timer = setTimeout(() => void this.check(), this.#pauseMs())
    })
    return this.#asking
  }

  /** SUPERVISOR_UNREACHABLE with the reason; null when it can be asked. */
  get trouble(): AgentError | null {
    if (this.isUp) return null
    const { state, reason } = this.#status
    const message = `supervisord is ${state}: ${reason ?? 'it was not asked yet'}`
    return new AgentError('SUPERVISOR_UNREACHABLE', message, { facts: { state } })
  }

  /**
   * For the beginning of a call, before anything is done.
   * @throws {AgentError} SUPERVISOR_UNREACHABLE when it cannot be asked now; `facts.begun` is false
   */
  assertUp(): void {
    const { trouble } = this
    if (!trouble) return
    const { code, message, facts } = trouble
    throw new AgentError(code, message, { facts: { ...facts, begun: false } })
  }

  #pauseMs(): number {
    const { state } = this.#status
    if (this.#expected || state === 'shutdown' || state === 'restarting') return HURRY_MS
    return this.isUp ? BEAT_MS : RETRY_MS
  }

  async #ask(): Promise<void> {
    const { rpc } = this.#deps
    const deadlineMs = ANSWER_MS
    try {
      const before = this.#status.identity
      const pid = parsed(z.int(), await rpc.call('supervisor.getPID', [], { deadlineMs }))
      if (this.isUp && before?.pid === pid) return
      const version = parsed(
        z.string(),
        await rpc.call('supervisor.getSupervisorVersion', [], { deadlineMs }),
      )
      const identification = parsed(
        z.string(),
        await rpc.call('supervisor.getIdentification', [], { deadlineMs }),
      )
      const identity = { pid, version, identification }
      if (this.#lastPid !== null && this.#lastPid !== pid) this.#deps.onGone()
      this.#lastPid = pid
      await this.#deps.onUp(identity)
      this.#expected = null
      this.#become('running', null, identity)
    } catch (error) {
      this.#down(error)
    }
  }

  #down(error: unknown): void {
    if (!(error instanceof AgentError)) this.#deps.logger.error({ err: error }, 'asking supervisord failed')
    const reason = error instanceof Error ? error.message : String(error)
    const isStopping = error instanceof AgentError && error.facts['fault'] === 'SHUTDOWN_STATE'
    const wasUp = this.isUp
    if (isStopping)
      this.#become(
        this.#expected ?? 'shutdown',
        'it stops its processes, to end or to restart',
        this.#status.identity,
      )
    else {
      this.#expected = null
      this.#become('unreachable', reason, null)
    }
    if (wasUp) this.#deps.onDown()
    if (error instanceof AgentError && GONE.has(String(error.facts['reason']))) {
      this.#lastPid = null
      this.#deps.onGone()
    }
  }

  #become(state: SupervisorState, reason: string | null, identity: SupervisorIdentity | null): void {
    const before = this.#status
    if (before.state === state && before.identity?.pid === identity?.pid && this.#isSettled) {
      this.#status = { ...before, reason }
      return
    }
    this.#status = { state, reason, since: isoTime(), identity }
    this.#deps.logger.info({ state, reason, pid: identity?.pid }, 'supervisord')
    this.#deps.bus.publish(
      'supervisor.state',
      reason === null ? { state } : { state, reason },
      this.#cause?.actor,
    )
    if (this.#cause?.until === state) this.#cause = null
  }
}
