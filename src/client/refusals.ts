import { CLOSE } from '../protocol/limits.ts'
import { ConnectionError } from './connection-error.ts'

const STATUS: Readonly<Record<number, string>> = {
  400: 'the handshake was malformed on its way',
  401: 'the token is missing, wrong, expired or revoked',
  403: 'this origin is not in allowedOrigins, or something in between forbids it',
  404: 'there is no agent at this path',
  426: 'something in between does not pass WebSocket upgrades',
  429: 'too many wrong tokens came from this address',
  503: 'the agent has too many connections, or is stopping',
}
/** Another attempt brings the same token and the same origin. */
const FINAL = [401, 403]

const CODES: Readonly<Record<number, string>> = {
  [CLOSE.goingAway]: 'the agent goes away',
  [CLOSE.binary]: 'the agent takes text frames only',
  1006: 'it broke without a word',
  [CLOSE.malformed]: 'too many malformed frames',
  1009: 'a frame was too big',
  [CLOSE.restarting]: 'the agent restarts',
  [CLOSE.overload]: 'the agent is overloaded',
  [CLOSE.tokenEnded]: 'the token was revoked or expired',
  [CLOSE.stalled]: 'this side did not read for too long',
  [CLOSE.overRate]: 'far too many requests',
}

/** The agent, or something before it, answered the handshake with this status. */
export function refusedBy(status: number, retryAfter?: string): ConnectionError {
  const seconds = Number(retryAfter)
  return new ConnectionError(
    'refused',
    `the handshake was refused with ${status}: ${STATUS[status] ?? 'no agent answers so'}`,
    {
      status,
      isFinal: FINAL.includes(status),
      retryAfterMs: retryAfter !== undefined && seconds >= 0 ? seconds * 1000 : undefined,
    },
  )
}

/** An open WebSocket was closed. */
export function closedWith(closeCode: number, cause?: unknown): ConnectionError {
  return new ConnectionError(
    'lost',
    `the connection ended with ${closeCode}: ${CODES[closeCode] ?? 'no reason known'}`,
    {
      closeCode,
      isFinal: closeCode === CLOSE.tokenEnded,
      cause,
    },
  )
}
