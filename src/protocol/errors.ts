import { withoutTokens } from './token.ts'

/** One row of the error catalogue. */
interface ErrorSpec {
  /** JSON-RPC error code on the wire. */
  rpc: number
  /** Exit status of the command line. */
  exit: number
  /** True when the same call may succeed later with nothing changed. */
  retry: boolean
  summary: string
}

/** Every error that leaves the agent. The code on the wire is `rpc`; `data.name` is the key. */
export const ERRORS = {
  PARSE_ERROR: { rpc: -32700, exit: 1, retry: false, summary: 'The frame is not JSON.' },
  INVALID_REQUEST: {
    rpc: -32600,
    exit: 1,
    retry: false,
    summary: 'The frame is not a JSON-RPC 2.0 request.',
  },
  METHOD_NOT_FOUND: { rpc: -32601, exit: 2, retry: false, summary: 'There is no method of that name.' },
  INVALID_PARAMS: {
    rpc: -32602,
    exit: 2,
    retry: false,
    summary: 'The parameters do not fit the schema; `data.issues` names up to three of them.',
  },
  INTERNAL: { rpc: -32603, exit: 1, retry: true, summary: 'A defect of the agent; its log has the detail.' },
  FORBIDDEN: { rpc: 1001, exit: 4, retry: false, summary: 'The token or socket lacks the right.' },
  POLICY_DENIED: {
    rpc: 1002,
    exit: 11,
    retry: false,
    summary: "The host's own policy forbids it; `data.rule` names the rule.",
  },
  IDEMPOTENCY_CONFLICT: {
    rpc: 1003,
    exit: 1,
    retry: false,
    summary: 'The idempotency key was used before with another method or other parameters.',
  },
  TIMEOUT: {
    rpc: 1004,
    exit: 1,
    retry: true,
    summary: 'The deadline of the call passed; what was begun goes on.',
  },
  CANCELLED: { rpc: 1005, exit: 1, retry: true, summary: 'The caller cancelled; what was begun goes on.' },
  TOO_MANY_REQUESTS: { rpc: 1006, exit: 1, retry: true, summary: 'Over the rate or the requests in flight.' },
  OUTCOME_UNKNOWN: {
    rpc: 1007,
    exit: 13,
    retry: false,
    summary: 'The agent stopped in the middle of that call; look at the state before asking again.',
  },
  TOO_MANY_SUBSCRIPTIONS: {
    rpc: 1008,
    exit: 1,
    retry: false,
    summary: 'The connection is at its limit of streams.',
  },
  SHUTTING_DOWN: {
    rpc: 1009,
    exit: 1,
    retry: true,
    summary: 'The agent is stopping; ask again when it is back.',
  },
  PROCESS_NOT_FOUND: {
    rpc: 1010,
    exit: 1,
    retry: false,
    summary: 'supervisord knows no process of that name.',
  },
  START_FAILED: { rpc: 1011, exit: 1, retry: true, summary: 'The process did not reach RUNNING.' },
  STOP_FAILED: { rpc: 1012, exit: 1, retry: true, summary: 'The process did not stop.' },
  SUPERVISOR_FAULT: {
    rpc: 1013,
    exit: 1,
    retry: false,
    summary: 'supervisord refused; `data.fault` is its word.',
  },
  SUPERVISOR_UNREACHABLE: { rpc: 1014, exit: 4, retry: true, summary: 'supervisord does not answer.' },
  LOG_UNAVAILABLE: { rpc: 1015, exit: 1, retry: false, summary: 'There is no such log file to read.' },
  PROGRAM_NOT_FOUND: { rpc: 1020, exit: 1, retry: false, summary: 'There is no program of that name.' },
  PROGRAM_INVALID: {
    rpc: 1021,
    exit: 1,
    retry: false,
    summary: 'The program cannot be as it is described; `data.issues` names the fields.',
  },
  REVISION_CONFLICT: {
    rpc: 1022,
    exit: 1,
    retry: false,
    summary: 'The file is not the one that `ifRevision` names; look at it before writing.',
  },
  ROLLED_BACK: {
    rpc: 1023,
    exit: 12,
    retry: false,
    summary: 'The program did not come up, and what was before is back; `data.logTail` says why.',
  },
  CONFIG_BROKEN: {
    rpc: 1024,
    exit: 1,
    retry: false,
    summary:
      'supervisord refuses a file that is not of this call; nothing can be changed until it is mended.',
  },
  ENTRY_NOT_FOUND: {
    rpc: 1030,
    exit: 1,
    retry: false,
    summary: 'There is no crontab entry of that id, no line of that key, or no run of that name.',
  },
  ENTRY_INVALID: {
    rpc: 1031,
    exit: 1,
    retry: false,
    summary: 'The entry cannot be as it is described; `data.issues` names the fields.',
  },
  CRONTAB_DAMAGED: {
    rpc: 1032,
    exit: 1,
    retry: false,
    summary: 'What of a crontab is ours cannot be told; `crontab.repair` puts it right.',
  },
  CRON_UNAVAILABLE: {
    rpc: 1033,
    exit: 1,
    retry: false,
    summary: 'Nothing can be installed for that user; `data.reason` says why.',
  },
} as const satisfies Record<string, ErrorSpec>

export type ErrorCode = keyof typeof ERRORS

/** Facts for a program (names, limits, rules); never a secret, never a stack. */
export type ErrorFacts = Readonly<Record<string, unknown>>

/** An expected failure. Anything else that is thrown is a defect and goes out as `INTERNAL`. */
export class AgentError extends Error {
  override readonly name = 'AgentError'
  readonly code: ErrorCode
  readonly facts: ErrorFacts
  /** What callers on other hosts are told in place of a message with details that do not leave this one. */
  readonly abroad: string | undefined

  constructor(
    code: ErrorCode,
    message: string,
    options: { facts?: ErrorFacts; abroad?: string | undefined; cause?: unknown } = {},
  ) {
    super(message, { cause: options.cause })
    this.code = code
    this.facts = options.facts ?? {}
    this.abroad = options.abroad
  }
}

/**
 * The JSON-RPC error object of a failure; what is not an {@link AgentError} says `INTERNAL` and nothing more. Where a
 * caller gave a token in place of a name, the error does not repeat it.
 */
export function toWireError(error: unknown): WireError {
  if (!(error instanceof AgentError))
    return {
      code: ERRORS.INTERNAL.rpc,
      message: 'internal error; the agent log has the detail',
      data: { name: 'INTERNAL', retry: true },
    }
  const { rpc, retry } = ERRORS[error.code]
  const wire: WireError = {
    code: rpc,
    message: withoutTokens(error.message),
    data: { ...error.facts, name: error.code, retry },
  }
  const facts = JSON.stringify(wire.data)
  const safe = withoutTokens(facts)
  return safe === facts ? wire : { ...wire, data: JSON.parse(safe) as WireError['data'] }
}

export interface WireError {
  code: number
  message: string
  data: { name: string; retry: boolean; [fact: string]: unknown }
}

/** The inverse of {@link toWireError}, for clients. A name unknown to this version becomes INTERNAL. */
export function fromWireError(error: WireError): AgentError {
  const { name, retry: _retry, ...facts } = error.data
  const code = Object.hasOwn(ERRORS, name) ? (name as ErrorCode) : 'INTERNAL'
  return new AgentError(code, error.message, { facts })
}
