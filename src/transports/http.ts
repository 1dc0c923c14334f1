import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import type { Socket } from 'node:net'
import { seldom } from '../lib/seldom.ts'
import type { Logger } from '../logger.ts'
import { LIMITS } from '../protocol/limits.ts'
import type { Limits } from '../server/limits.ts'
import type { Gate } from './gate.ts'
import { isLoopback } from './loopback.ts'
import { answer, answerJson, isRefusal, type Refusal, refuse, targetOf } from './refusal.ts'

const METRICS_TYPE = 'text/plain; version=0.0.4; charset=utf-8'
const MAX_HEADER_BYTES = 8 * 1024
const STOP_MS = 1000
const ACCEPT_MS = 60_000
/** Headers that say that somebody in between speaks for the client. */
const FORWARDING = ['forwarded', 'x-forwarded-for', 'x-real-ip', 'via']

export type Health = 'ok' | 'starting' | 'stopping'

export interface ListenOptions {
  host: string
  /** 0: any free port. */
  port: number
  /** PEM texts. With `clientCa` only clients with a certificate of that authority get as far as HTTP. */
  tls?: { cert: string; key: string; clientCa?: string } | undefined
}

/** @throws {Error} when tokens would cross a network in the clear */
export function assertSafeListen({ host, tls }: Pick<ListenOptions, 'host' | 'tls'>): void {
  if (tls === undefined && !isLoopback(host))
    throw new Error(
      `listen.host ${host || '(empty)'} is not loopback: without TLS a token could be read on the way. ` +
        'Set listen.tls.cert and listen.tls.key, or listen on 127.0.0.1.',
    )
}

/** The TCP listener: answers `/healthz` and `/metrics`; upgrades of `/ws` belong to the WebSocket transport. */
export class HttpTransport {
  /** For the `upgrade` event. */
  readonly server: Server
  readonly #listen: ListenOptions
  readonly #gate: Gate
  readonly #health: () => Health
  readonly #metrics: () => string | Promise<string>
  readonly #metricsOpenOnLoopback: boolean
  readonly #logger: Logger
  readonly #sockets = new Set<Socket>()

  /** `metrics` renders Prometheus text. */
  constructor(deps: {
    listen: ListenOptions
    gate: Gate
    health: () => Health
    metrics: () => string | Promise<string>
    metricsOpenOnLoopback: boolean
    logger: Logger
    limits?: Partial<Limits>
  }) {
    this.server = hardenedServer(deps.listen.tls, { ...LIMITS, ...deps.limits })
    this.#listen = deps.listen
    this.#gate = deps.gate
    this.#health = deps.health
    this.#metrics = deps.metrics
    this.#metricsOpenOnLoopback = deps.metricsOpenOnLoopback
    this.#logger = deps.logger
  }

  /** @throws {Error} when the address is taken, or not safe without TLS */
  async start(): Promise<void> {
    assertSafeListen(this.#listen)
    this.server.on('request', (request, response) => void this.#serve(request, response))
    this.server.on('connection', (socket: Socket) => {
      this.#sockets.add(socket)
      socket.once('close', () => this.#sockets.delete(socket))
    })
    this.server.on('tlsClientError', (error) => this.#logger.debug({ reason: error.message }, 'TLS refused'))
    this.server.on('drop', (drop) =>
      this.#logger.warn({ address: drop?.remoteAddress }, 'too many connections'),
    )
    const { host, port } = this.#listen
    this.server.listen(port, host)
    await once(this.server, 'listening').catch((error: Error) => {
      throw new Error(`listen.host ${host}, listen.port ${port}: ${error.message}`, { cause: error })
    })
    const failed = (error: Error) => this.#logger.error({ err: error }, 'cannot accept')
    this.server.on('error', seldom(ACCEPT_MS, failed)) // comes again at once, as long as somebody waits
  }

  /** Where it listens; null before start and after stop. */
  address(): { host: string; port: number } | null {
    const address = this.server.address()
    return typeof address === 'object' && address ? { host: address.address, port: address.port } : null
  }

  /** Takes no more connections and ends those that are left after a second. */
  async stop(): Promise<void> {
    if (!this.server.listening) return
    const closed = once(this.server, 'close')
    this.server.close()
    const timer = setTimeout(() => this.#sockets.forEach((socket) => socket.destroy()), STOP_MS)
    await closed
    clearTimeout(timer)
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    try {
      const refusal = await this.#route(request, response)
      if (refusal !== null) refuse(response, refusal)
    } catch (error) {
      // the path alone: a query may hold a token
      this.#logger.error({ err: error, path: targetOf(request).path }, 'an HTTP request failed')
      if (response.headersSent) response.destroy()
      else refuse(response, { status: 500 })
    }
  }

  async #route(request: IncomingMessage, response: ServerResponse): Promise<Refusal | null> {
    const { path, hasQuery } = targetOf(request)
    if (!['/healthz', '/metrics', '/ws'].includes(path)) return { status: 404 }
    if (request.method !== 'GET') return { status: 405, headers: { Allow: 'GET' } }
    if (path === '/ws') return hasQuery ? { status: 401 } : { status: 426, headers: { Upgrade: 'websocket' } }
    if (path === '/metrics') return this.#serveMetrics(request, response)
    const status = this.#health()
    answerJson(response, status === 'ok' ? 200 : 503, { status })
    return null
  }

  async #serveMetrics(request: IncomingMessage, response: ServerResponse): Promise<Refusal | null> {
    if (!this.#isOpenTo(request)) {
      const admission = this.#gate.admit(request)
      if (isRefusal(admission)) return admission
      const { scopes, programs } = admission.record
      if (!scopes.includes('read') || !programs.includes('*')) return { status: 403 }
    }
    answer(response, 200, METRICS_TYPE, await this.#metrics())
    return null
  }

  /** From this host and nobody behind it: neither a proxy, nor a browser that was led here by another name. */
  #isOpenTo({ headers, socket }: IncomingMessage): boolean {
    if (!this.#metricsOpenOnLoopback || FORWARDING.some((name) => headers[name] !== undefined)) return false
    const host = headers.host?.replace(/:\d+$/, '') ?? ''
    return isLoopback(socket.remoteAddress ?? '') && isLoopback(host)
  }
}

/** Slow and oversized requests end early: by default Node would keep them for 90 seconds. */
function hardenedServer(tls: ListenOptions['tls'], limits: Limits): Server {
  const options = {
    headersTimeout: limits.handshakeMs,
    requestTimeout: 2 * limits.handshakeMs,
    connectionsCheckingInterval: Math.min(1000, limits.handshakeMs / 5),
    keepAliveTimeout: limits.handshakeMs,
    maxHeaderSize: MAX_HEADER_BYTES,
  }
  const server = tls
    ? createTlsServer({
        ...options,
        minVersion: 'TLSv1.3',
        handshakeTimeout: limits.handshakeMs,
        cert: tls.cert,
        key: tls.key,
        ...(tls.clientCa !== undefined && { ca: tls.clientCa, requestCert: true, rejectUnauthorized: true }),
      })
    : createServer(options)
  server.maxConnections = 2 * limits.connections // room for answers to those that are one too many
  return server
}
