// XML-RPC for supervisord. Requests and ordinary answers go through the `xmlrpc` package's own serializer and
// deserializer, fed by hand: its client has no deadline, hides the HTTP status and lets a broken answer throw out of
// a stream callback, where nothing can catch it. Every string passes an allow-list first, because the serializer
// escapes only the first `]]>` of a CDATA section: a longer text can close its element and name another method.
// The one big answer (all processes) has a scanner of its own: the package takes 16 ms per 100 processes.
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

const [LESS, GREATER, SLASH, SPACE] = [0x3c, 0x3e, 0x2f, 0x20]
/** The elements that mean something, by length and last letter, which no two of them share. */
const TAGS = new Map(
  ['int', 'i4', 'double', 'boolean', 'string', 'name', 'value', 'array', 'struct', 'fault'].map((name) => [
    tagKey(name.length, name.charCodeAt(name.length - 1)),
    name,
  ]),
)
const ENTITIES: Record<string, string> = { '&amp;': '&', '&lt;': '<', '&gt;': '>' }

/**
 * Decodes an answer of supervisord made of arrays, structs, strings, ints and booleans. Works on the bytes: a text cut
 * out of one big string would keep all of it in memory, and an object per tag would be megabytes of garbage.
 * @throws {AgentError} SUPERVISOR_FAULT, SUPERVISOR_UNREACHABLE as {@link decodeAnswer}
 */
export function scanAnswer(xml: Buffer): unknown {
  let values: unknown[] = []
  const outer: unknown[][] = []
  let textFrom = 0
  let isFault = false
  let isBare = false
  for (let at = xml.indexOf(LESS); at >= 0; at = xml.indexOf(LESS, at + 1)) {
    const isEnd = xml[at + 1] === SLASH
    const end = xml.indexOf(GREATER, at)
    const name = tagAt(xml, isEnd ? at + 2 : at + 1, end)
    if (!isEnd) {
      if (name === 'array' || name === 'struct') {
        outer.push(values)
        values = []
      }
      isBare = name === 'value'
      isFault ||= name === 'fault'
      textFrom = end + 1
      continue
    }
    switch (name) {
      case 'int':
      case 'i4':
      case 'double':
        values.push(Number(xml.toString('latin1', textFrom, at)))
        isBare = false
        break
      case 'boolean':
        values.push(xml.toString('latin1', textFrom, at) === '1')
        isBare = false
        break
      case 'string':
      case 'name':
        values.push(unescape(xml.toString('utf8', textFrom, at)))
        isBare = false
        break
      case 'value':
        if (isBare) values.push(unescape(xml.toString('utf8', textFrom, at)))
        isBare = false
        break
      case 'array':
      case 'struct': {
        const inner = values
        values = outer.pop() ?? []
        values.push(name === 'array' ? inner : structOf(inner))
        isBare = false
        break
      }
      default: // data, member, param, params, fault, methodResponse: nothing of their own
        break
    }
  }
  const [value] = values
  if (outer.length > 0 || values.length !== 1) throw notXmlRpc(new Error('the answer ended early'))
  if (!isFault) return value
  const { faultCode, faultString } = value as { faultCode?: unknown; faultString?: unknown }
  throw faultError(Number(faultCode), String(faultString))
}

function tagKey(length: number, last: number): number {
  return length * 256 + last
}

/** The name of the tag between these places when it is one that means something, else ''. */
function tagAt(xml: Buffer, from: number, end: number): string {
  let to = end
  while (to > from && (xml[to - 1] === SLASH || xml[to - 1] === SPACE)) to--
  const name = TAGS.get(tagKey(to - from, xml[to - 1] ?? 0)) ?? ''
  for (let i = 0; i < name.length; i++) if (xml[from + i] !== name.charCodeAt(i)) return ''
  return name
}

function structOf(items: readonly unknown[]): Record<string, unknown> {
  const struct: Record<string, unknown> = Object.create(null)
  for (let i = 0; i + 1 < items.length; i += 2) struct[String(items[i])] = items[i + 1]
  return struct
}

function unescape(text: string): string {
  return text.includes('&') ? text.replace(/&(?:amp|lt|gt);/g, (entity) => ENTITIES[entity] ?? entity) : text
}
