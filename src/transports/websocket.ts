import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import { type WebSocket, WebSocketServer } from 'ws'
import type { AuthFailures } from '../core/access/auth-failures.ts'
import type { Principal } from '../core/access/principal.ts'
import type { TokenStore } from '../core/access/tokens.ts'
import type { Logger } from '../logger.ts'
import { CLOSE, LIMITS, SUBPROTOCOL } from '../protocol/limits.ts'
import type { Limits } from '../server/limits.ts'
import type { Link, LinkUser } from '../server/link.ts'
import type { Admission, Gate } from './gate.ts'
import type { HttpTransport } from './http.ts'
import { isRefusal, type Refusal, refuseUpgrade } from './refusal.ts'
import { SocketLink } from './socket-link.ts'
import { whyNotUpgrade } from './upgrade-form.ts'
import { webSocketLimits } from './websocket-limits.ts'

const END_MS = 1000

interface Session extends Admission {
  link: SocketLink
  closed: Promise<void>
}

/**
 * Serves `/ws`. Every upgrade is judged before it happens; a session ends as soon as its token does.
 * The rights of a session are read anew from its principal, which follows the token's record.
 */
export class WebSocketTransport {
  readonly #http: HttpTransport
  readonly #gate: Gate
  readonly #tokens: TokenStore
  readonly #failures: AuthFailures
  readonly #allowedOrigins: ReadonlySet<string>
  readonly #limits: Limits
  readonly #open: (link: Link, principal: Principal) => LinkUser
  readonly #logger: Logger
  readonly #webSockets: WebSocketServer
  readonly #sessions = new Set<Session>()
  #unsubscribe: (() => void) | undefined
  #isStopping = false

  /** `open` starts a session and may send at once; `allowedOrigins` are compared as they are. */
  constructor(deps: {
    http: HttpTransport
    gate: Gate
    tokens: TokenStore
    failures: AuthFailures
    allowedOrigins: readonly string[]
    open: (link: Link, principal: Principal) => LinkUser
    logger: Logger
    limits?: Partial<Limits>
  }) {
    this.#http = deps.http
    this.#gate = deps.gate
    this.#tokens = deps.tokens
    this.#failures = deps.failures
    this.#allowedOrigins = new Set(deps.allowedOrigins)
    this.#limits = { ...LIMITS, ...deps.limits }
    this.#open = deps.open
    this.#logger = deps.logger
    this.#webSockets = webSocketServer(this.#limits)
  }

  start(): void {
    this.#http.server.on('upgrade', (request, socket, head) => this.#upgrade(request, socket, head))
    this.#unsubscribe = this.#tokens.onChange(() => this.#endRevoked())
  }

  /** Sessions that live. */
  get sessions(): number {
    return this.#sessions.size
  }

  /** The agent is about to stop: who comes from now on gets 503. */
  refuse(): void {
    this.#isStopping = true
  }

  /** Tells every session that we restart, and cuts off those still there after a second. */
  async stop(): Promise<void> {
    this.refuse()
    this.#unsubscribe?.()
    const ending = [...this.#sessions]
    for (const { link } of ending) end(link, CLOSE.restarting, 'restarting')
    await Promise.all(ending.map(({ closed }) => closed))
  }

  #upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    const judged = this.#judge(request)
    if (isRefusal(judged)) {
      this.#logger.debug({ address: this.#gate.addressOf(request), status: judged.status }, 'upgrade refused')
      return refuseUpgrade(socket, judged)
    }
    this.#webSockets.handleUpgrade(request, socket, head, (webSocket) =>
      this.#begin(request, webSocket, judged),
    )
  }

  #judge(request: IncomingMessage): Admission | Refusal {
    const wrong = whyNotUpgrade(request, this.#allowedOrigins)
    if (wrong !== null) return wrong
    const admission = this.#gate.admit(request)
    if (isRefusal(admission)) return admission
    const ofToken = [...this.#sessions].filter(({ record }) => record.id === admission.record.id).length
    const isFull =
      this.#sessions.size >= this.#limits.connections || ofToken >= this.#limits.connectionsPerToken
    return isFull || this.#isStopping ? { status: 503, headers: { 'Retry-After': '5' } } : admission
  }

  #begin(request: IncomingMessage, webSocket: WebSocket, { record, address }: Admission): void {
    const logger = this.#logger.child({ address, actor: `token:${record.name}` })
    const link = new SocketLink({
      remote: address,
      webSocket,
      socket: request.socket,
      isServer: true,
      logger,
    })
    const closed = new Promise<void>((resolve) => {
      webSocket.once('close', (code) => {
        this.#sessions.delete(session)
        this.#failures.sessionClosed(address)
        logger.info({ code }, 'session closed')
        resolve()
      })
    })
    const session = { record, address, link, closed }
    this.#sessions.add(session)
    this.#failures.sessionOpened(address)
    const touch = (): void => this.#tokens.touch(record)
    logger.info('session opened')
    link.serve((peer) => this.#open(peer, this.#tokens.toPrincipal(record)), this.#limits, touch)
  }

  #endRevoked(): void {
    for (const { record, link } of this.#sessions)
      if (!this.#tokens.admits(record)) end(link, CLOSE.tokenEnded, 'token revoked or expired')
  }
}

/** Closes in order, and by force when the peer does not answer in time. */
function end(link: Link, code: number, reason: string): void {
  link.close(code, reason)
  setTimeout(() => link.terminate(), END_MS).unref()
}

function webSocketServer(limits: Limits): WebSocketServer {
  const options = {
    noServer: true,
    clientTracking: false,
    ...webSocketLimits(limits),
    handleProtocols: (offered: Set<string>) => offered.has(SUBPROTOCOL) && SUBPROTOCOL,
  }
  return new WebSocketServer(options)
}
