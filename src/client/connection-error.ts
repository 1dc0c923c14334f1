/**
 * `refused`: the agent answered the handshake with an HTTP status. `unreachable`: nobody answered, or not with a
 * certificate that is trusted. `lost`: the connection ended. `protocol`: what came was not our protocol.
 * `closed`: the caller closed the client.
 */
export type ConnectionFailure = 'refused' | 'unreachable' | 'lost' | 'protocol' | 'closed'

interface Facts {
  status?: number | undefined
  closeCode?: number | undefined
  retryAfterMs?: number | undefined
  isFinal?: boolean
  cause?: unknown
}

/** There is no connection. What the agent answers to a call is an `AgentError` instead. */
export class ConnectionError extends Error {
  override readonly name = 'ConnectionError'
  readonly failure: ConnectionFailure
  /** HTTP status of a refused handshake; a browser does not tell it. */
  readonly status: number | undefined
  /** WebSocket close code, see `CLOSE`. */
  readonly closeCode: number | undefined
  readonly retryAfterMs: number | undefined
  /** True when another attempt with the same url and token cannot go better. */
  readonly isFinal: boolean

  constructor(failure: ConnectionFailure, message: string, facts: Facts = {}) {
    super(message, { cause: facts.cause })
    this.failure = failure
    this.status = facts.status
    this.closeCode = facts.closeCode
    this.retryAfterMs = facts.retryAfterMs
    this.isFinal = facts.isFinal ?? false
  }
}
