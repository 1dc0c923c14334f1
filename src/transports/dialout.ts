// The connection that the agent opens to its panel, and opens again for as long as it runs. Once both have proved
// themselves it is a session like any other: the agent is the server of it.

import type { Principal } from '../core/access/principal.ts'
import type { PanelAttempt } from '../core/panel/enrolment.ts'
import { Backoff } from '../lib/backoff.ts'
import { isoTime } from '../lib/iso-time.ts'
import { sleep } from '../lib/sleep.ts'
import type { Logger } from '../logger.ts'
import { CLOSE, LIMITS } from '../protocol/limits.ts'
import type { Limits } from '../server/limits.ts'
import type { Link, LinkUser } from '../server/link.ts'
import { type Dialled, dialPanel, type PanelAddress } from './dialout-connect.ts'
import { closeText, HandshakeError, handshake } from './dialout-handshake.ts'
import { SocketLink } from './socket-link.ts'

/** Why the latest connection ended, or could not be made. */
export interface PanelClose {
  at: string
  /** WebSocket close code, where there was one. */
  code?: number
  reason: string
}

export interface PanelLinkState {
  state: 'connecting' | 'connected'
  since: string
  lastClose?: PanelClose
}

export interface DialOutTimes {
  minMs: number
  maxMs: number
  /** A session that lived this long shows that the trouble is over. */
  stableMs: number
  connectMs: number
  /** A panel that is gone without a word is found after `deadMs` and two pings at most. */
  pingMs: number
  deadMs: number
}

const TIMES: DialOutTimes = {
  minMs: 1_000,
  maxMs: 60_000,
  stableMs: 60_000,
  connectMs: 10_000,
  pingMs: 10_000,
  deadMs: 35_000,
}
const END_MS = 1_000
const REASON_CHARS = 200

export class DialOut {
  readonly #address: PanelAddress
  readonly #enrolment: { prepare(): Promise<PanelAttempt> }
  readonly #principal: Principal
  readonly #open: (link: Link, principal: Principal) => LinkUser
  readonly #logger: Logger
  readonly #limits: Limits
  readonly #times: DialOutTimes
  readonly #backoff: Backoff
  readonly #stopping = new AbortController()
  #running: Promise<void> = Promise.resolve()
  #link: SocketLink | null = null
  #isConnected = false
  #since = isoTime()
  #lastClose: PanelClose | undefined

  constructor(deps: {
    address: PanelAddress
    enrolment: { prepare(): Promise<PanelAttempt> }
    principal: Principal
    open: (link: Link, principal: Principal) => LinkUser
    logger: Logger
    limits?: Partial<Limits>
    times?: Partial<DialOutTimes>
  }) {
    this.#address = deps.address
    this.#enrolment = deps.enrolment
    this.#principal = deps.principal
    this.#open = deps.open
    this.#logger = deps.logger.child({ panel: deps.address.url })
    this.#limits = { ...LIMITS, ...deps.limits }
    this.#times = { ...TIMES, ...deps.times }
    this.#backoff = new Backoff(this.#times)
  }

  /** Begins; what goes wrong is told by {@link state} and the log, and tried again. */
  start(): void {
    this.#running = this.#run()
  }

  state(): PanelLinkState {
    return {
      state: this.#isConnected ? 'connected' : 'connecting',
      since: this.#since,
      ...(this.#lastClose ? { lastClose: this.#lastClose } : {}),
    }
  }

  /** Tells the panel that we restart, and cuts it off after a second. */
  async stop(): Promise<void> {
    const link = this.#link
    if (link) end(link, CLOSE.restarting, 'restarting')
    this.#stopping.abort(new Error('the agent is stopping'))
    await this.#running
  }

  async #run(): Promise<void> {
    const { signal } = this.#stopping
    while (!signal.aborted)
      try {
        this.#closed(await this.#connect(signal))
        await sleep(this.#backoff.nextMs(), signal)
      } catch (error) {
        if (signal.aborted) return
        this.#closed(asClose(error))
        await sleep(this.#backoff.nextMs(), signal).catch(() => undefined)
      }
  }

  /** One connection from its beginning to its end. @returns how it ended */
  async #connect(signal: AbortSignal): Promise<PanelClose> {
    const attempt = await this.#enrolment.prepare()
    const dialled = await this.#dial(signal)
    const onStop = (): void => (this.#link ? undefined : dialled.webSocket.terminate())
    signal.addEventListener('abort', onStop, { once: true })
    if (signal.aborted) onStop()
    try {
      let ended: Promise<PanelClose> | undefined
      await handshake(dialled.webSocket, attempt, {
        timeoutMs: this.#limits.handshakeMs,
        begin: () => {
          ended = this.#begin(dialled)
        },
      })
      await attempt.welcomed().catch((error: unknown) => {
        this.#logger.error({ err: error }, 'what the panel took could not be kept as it should')
      })
      if (!ended) throw new Error('a handshake without a session')
      return await ended
    } finally {
      signal.removeEventListener('abort', onStop)
    }
  }

  async #dial(signal: AbortSignal): Promise<Dialled> {
    signal.throwIfAborted()
    // not AbortSignal.any: that would be held by a signal that lives as long as the agent
    const giveUp = new AbortController()
    const onStop = (): void => giveUp.abort(signal.reason)
    const late = (): void => giveUp.abort(new Error('the panel did not answer in time'))
    const timer = setTimeout(late, this.#times.connectMs)
    signal.addEventListener('abort', onStop, { once: true })
    try {
      return await dialPanel(this.#address, this.#limits, giveUp.signal)
    } finally {
      clearTimeout(timer)
      signal.removeEventListener('abort', onStop)
    }
  }

  #begin({ webSocket, socket }: Dialled): Promise<PanelClose> {
    const logger = this.#logger.child({ actor: this.#principal.actor })
    const link = new SocketLink({ remote: this.#address.url, webSocket, socket, isServer: false, logger })
    const startedAtMs = performance.now()
    const ended = new Promise<PanelClose>((resolve) => {
      webSocket.once('close', (code: number, reason: Buffer) => {
        this.#link = null
        this.#turn(false)
        if (performance.now() - startedAtMs >= this.#times.stableMs) this.#backoff.reset()
        resolve(closeOf(link.ending ?? closeText(code, reason), code))
      })
    })
    this.#link = link
    this.#turn(true)
    logger.info('session opened')
    const { pingMs, deadMs } = this.#times
    link.serve(
      (peer) => this.#open(peer, this.#principal),
      { pingMs, deadMs },
      () => undefined,
    )
    return ended
  }

  #closed(close: PanelClose): void {
    const isNews = close.reason !== this.#lastClose?.reason
    this.#lastClose = close
    this.#logger[isNews ? 'warn' : 'debug'](
      { code: close.code, reason: close.reason },
      'no link to the panel',
    )
  }

  #turn(isConnected: boolean): void {
    this.#isConnected = isConnected
    this.#since = isoTime()
  }
}

function asClose(error: unknown): PanelClose {
  const text = error instanceof Error ? error.message : String(error)
  return closeOf(text, error instanceof HandshakeError ? error.code : undefined)
}

function closeOf(reason: string, code: number | undefined): PanelClose {
  return {
    at: isoTime(),
    ...(code === undefined ? {} : { code }),
    reason: reason.replaceAll(/\s+/g, ' ').slice(0, REASON_CHARS),
  }
}

/** Closes in order, and by force when the panel does not answer in time. */
function end(link: Link, code: number, reason: string): void {
  link.close(code, reason)
  setTimeout(() => link.terminate(), END_MS).unref()
}
