import type * as z from 'zod'
import { Hello, Incoming } from '../protocol/frames.ts'
import { PROTOCOL_VERSION } from '../protocol/limits.ts'
import { ConnectionError } from './connection-error.ts'

const [Answer, Failure, Notification] = Incoming.options

export type IncomingFrame =
  | { kind: 'answer'; frame: z.infer<typeof Answer> }
  | { kind: 'failure'; frame: z.infer<typeof Failure> }
  | { kind: 'notification'; frame: z.infer<typeof Notification> }

/** @throws {ConnectionError} when the text is no frame of an agent */
export function readIncoming(text: string): IncomingFrame {
  const value = parseJson(text)
  if (has(value, 'method'))
    return { kind: 'notification', frame: checked(Notification, value, 'notification') }
  if (has(value, 'error')) return { kind: 'failure', frame: checked(Failure, value, 'error') }
  return { kind: 'answer', frame: checked(Answer, value, 'answer') }
}

/** @throws {ConnectionError} when the first frame is not the hello of an agent that speaks our protocol */
export function readHello(method: string, params: Record<string, unknown>): Hello {
  if (method !== 'hello') throw garbage(`the first frame is ${method}, not hello`)
  const { protocol } = params
  if (typeof protocol === 'number' && protocol !== PROTOCOL_VERSION)
    throw new ConnectionError(
      'protocol',
      `the agent speaks protocol ${protocol}, this client ${PROTOCOL_VERSION}: update the older one`,
      { isFinal: true },
    )
  return checked(Hello, params, 'hello')
}

/** @throws {ConnectionError} when the value does not fit */
export function checked<S extends z.ZodType>(schema: S, value: unknown, what: string): z.infer<S> {
  const parsed = schema.safeParse(value)
  if (parsed.success) return parsed.data
  const [issue] = parsed.error.issues
  throw garbage(`${what}: ${issue?.path.join('.') || 'the frame'}: ${issue?.message ?? 'malformed'}`)
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text) as unknown
  } catch {
    throw garbage(`not JSON: ${JSON.stringify(text.slice(0, 40))}`)
  }
}

function has(value: unknown, key: string): boolean {
  return typeof value === 'object' && value !== null && Object.hasOwn(value, key)
}

function garbage(what: string): ConnectionError {
  return new ConnectionError('protocol', `what came is not from a supervisor-agent: ${what}`.slice(0, 300))
}
