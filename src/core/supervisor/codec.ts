// XML-RPC for supervisord. Requests and ordinary answers go through the `xmlrpc` package's own serializer and
// deserializer, fed by hand: its client has no deadline, hides the HTTP status and lets a broken answer throw out of
// a stream callback, where nothing can catch it. Every string passes an allow-list first, because the serializer
// escapes only the first `]]>` of a CDATA section: a longer text can close its element and name another method.
// The one big answer (all processes) has a scanner of its own (answer-scanner.ts).
import Deserializer from 'xmlrpc/lib/deserializer.js'
import Serializer from 'xmlrpc/lib/serializer.js'
import { AgentError } from '../../protocol/errors.ts'
import { faultName } from './faults.ts'

export type RpcParam = string | number | boolean | Buffer | readonly RpcStruct[]
interface RpcStruct {
  methodName: string
  params: readonly (string | number | boolean)[]
}

const SAFE = /^[^\s\p{Cc}\p{Cs}<>&]{0,255}$/u

/** Whether a string cannot change the meaning of a request. */
export function isSafe(value: string): boolean {
  return SAFE.test(value) && !value.includes(']]>')
}

/** @throws {AgentError} INVALID_PARAMS when a string could change the meaning of the request. */
export function assertSafe(value: string): void {
  if (isSafe(value)) return
  throw new AgentError(
    'INVALID_PARAMS',
    'text for supervisord must have no white space, no control character, none of < > & and at most 255 characters',
  )
}

function assertSafeParams(params: readonly RpcParam[]): void {
  for (const param of params) {
    if (typeof param === 'string') assertSafe(param)
    else if (Array.isArray(param))
      for (const { methodName, params: inner } of param as readonly RpcStruct[]) {
        assertSafe(methodName)
        assertSafeParams(inner)
      }
  }
}

/**
 * The XML of a call. Free text must come as a Buffer, which travels as base64.
 * @throws {AgentError} INVALID_PARAMS for a string outside the allow-list
 */
export function encodeCall(method: string, params: readonly RpcParam[]): string {
  assertSafe(method)
  assertSafeParams(params)
  return Serializer.serializeMethodCall(method, params)
}

/** What supervisord refused. */
export function faultError(code: number, text: string): AgentError {
  const fault = faultName(code)
  return new AgentError('SUPERVISOR_FAULT', `supervisord refused: ${text}`, { facts: { fault } })
}

/** An answer, taken piece by piece as it comes. */
export interface Answer {
  take(piece: Buffer): void
  /** What it says, once all of it is there. @throws {AgentError} SUPERVISOR_FAULT, SUPERVISOR_UNREACHABLE */
  value(): unknown
}

/** An answer for the package, which wants it whole. */
export class WholeAnswer implements Answer {
  readonly #pieces: Buffer[] = []

  take(piece: Buffer): void {
    this.#pieces.push(piece)
  }

  value(): unknown {
    return decodeAnswer(Buffer.concat(this.#pieces))
  }
}

/**
 * The value of an answer.
 * @throws {AgentError} SUPERVISOR_FAULT for a fault, SUPERVISOR_UNREACHABLE for anything that is not XML-RPC
 */
export function decodeAnswer(body: Buffer): unknown {
  let outcome: { error?: unknown; value?: unknown } = { error: new Error('the answer ended early') }
  let isSettled = false
  const source = {
    setEncoding: () => undefined,
    on: () => undefined,
    pipe(parser: { write(chunk: Buffer): void; end(): void }) {
      parser.write(body)
      parser.end()
    },
  }
  try {
    new Deserializer('utf8').deserializeMethodResponse(source, (error, value) => {
      if (isSettled) return
      isSettled = true
      outcome = error ? { error } : { value }
    })
  } catch (error) {
    outcome = { error }
  }
  if (outcome.error === undefined) return outcome.value
  const { faultCode, faultString } = outcome.error as { faultCode?: unknown; faultString?: unknown }
  if (typeof faultCode === 'number') throw faultError(faultCode, String(faultString))
  throw notXmlRpc(outcome.error)
}

export function notXmlRpc(cause: unknown): AgentError {
  return new AgentError('SUPERVISOR_UNREACHABLE', 'what answers on the socket does not speak XML-RPC', {
    facts: { reason: 'garbage' },
    cause,
  })
}
