import type { IncomingMessage } from 'node:http'
import type { AuthFailures } from '../core/access/auth-failures.ts'
import type { ClientAddresses } from '../core/access/client-address.ts'
import type { TokenRecord } from '../core/access/token-file.ts'
import type { TokenStore } from '../core/access/tokens.ts'
import type { Logger } from '../logger.ts'
import { SUBPROTOCOL } from '../protocol/limits.ts'
import { parseToken } from '../protocol/token.ts'
import type { Refusal } from './refusal.ts'

const BEARER = /^Bearer ([^\s]+)$/i
const BEARER_PROTOCOL = 'bearer.'

export interface Admission {
  record: TokenRecord
  address: string
}

/** Judges the token of an HTTP request, and bars addresses that brought too many that do not verify. */
export class Gate {
  readonly #tokens: TokenStore
  readonly #failures: AuthFailures
  readonly #addresses: ClientAddresses
  readonly #logger: Logger

  constructor(deps: {
    tokens: TokenStore
    failures: AuthFailures
    addresses: ClientAddresses
    logger: Logger
  }) {
    this.#tokens = deps.tokens
    this.#failures = deps.failures
    this.#addresses = deps.addresses
    this.#logger = deps.logger
  }

  /** The client's address; empty when it has gone. */
  addressOf(request: IncomingMessage): string {
    return this.#addresses.of(
      request.socket.remoteAddress,
      request.headersDistinct['x-forwarded-for']?.join(','),
    )
  }

  /** 401 without a token in force, 429 from an address that must wait. Only what has the form of a token counts. */
  admit(request: IncomingMessage): Admission | Refusal {
    const address = this.addressOf(request)
    const token = tokenOf(request)
    if (token === null || parseToken(token) === null) return UNAUTHORIZED
    const waitMs = this.#failures.waitMs(address)
    if (waitMs > 0) return { status: 429, headers: { 'Retry-After': String(Math.ceil(waitMs / 1000)) } }
    const record = this.#tokens.verify(token)
    if (record !== null) return { record, address }
    this.#failures.failed(address)
    this.#logger.warn({ address }, 'a token did not verify')
    return UNAUTHORIZED
  }
}

const UNAUTHORIZED: Refusal = { status: 401, headers: { 'WWW-Authenticate': 'Bearer' } }

/** The token of a request, in one place only: the Authorization header or, for browsers, the subprotocols. */
function tokenOf(request: IncomingMessage): string | null {
  const { authorization, 'sec-websocket-protocol': offered } = request.headersDistinct
  const protocols = (offered ?? []).flatMap((line) => line.split(',')).map((protocol) => protocol.trim())
  const bearers = protocols.filter((protocol) => protocol.startsWith(BEARER_PROTOCOL))
  if (authorization === undefined) {
    const [bearer, ...more] = bearers
    if (bearer === undefined || more.length > 0 || !protocols.includes(SUBPROTOCOL)) return null
    return bearer.slice(BEARER_PROTOCOL.length)
  }
  const [credentials = '', ...more] = authorization
  if (more.length > 0 || bearers.length > 0) return null
  return BEARER.exec(credentials)?.[1] ?? null
}
