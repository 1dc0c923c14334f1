import * as z from 'zod'
import { Scope } from './scopes.ts'

/** A JSON-RPC id of ours: a string of up to 64 characters or a safe integer. */
export const RequestId = z.union([z.string().max(64), z.int()])
export type RequestId = z.infer<typeof RequestId>

/** As it came: a schema of records would drop the key `__proto__`, which is unknown like any other. */
const Params = z.custom<Record<string, unknown>>(
  (value) => typeof value === 'object' && value !== null && !Array.isArray(value),
  'expected an object',
)

export const Request = z.strictObject({
  jsonrpc: z.literal('2.0'),
  id: RequestId.optional(),
  method: z.string().max(128),
  params: Params.optional(),
})
export type Request = z.infer<typeof Request>

export const Hello = z.looseObject({
  protocol: z.int(),
  agent: z.string(),
  version: z.string(),
  epoch: z.string(),
  seq: z.int(),
  scopes: z.array(Scope),
  policyDigest: z.string(),
  limits: z.record(z.string(), z.number()),
})
export type Hello = z.infer<typeof Hello>

const WireErrorSchema = z.looseObject({
  code: z.int(),
  message: z.string(),
  data: z.looseObject({ name: z.string(), retry: z.boolean() }),
})

/** What an agent sends, seen from a client. */
export const Incoming = z.union([
  z.looseObject({
    jsonrpc: z.literal('2.0'),
    id: RequestId.nullable(),
    result: z.record(z.string(), z.unknown()),
  }),
  z.looseObject({ jsonrpc: z.literal('2.0'), id: RequestId.nullable(), error: WireErrorSchema }),
  z.looseObject({ jsonrpc: z.literal('2.0'), method: z.string(), params: z.record(z.string(), z.unknown()) }),
])

/** Notifications from the agent, beside `event`. */
export const LogNotification = z.looseObject({
  subscription: z.string(),
  process: z.string(),
  channel: z.enum(['stdout', 'stderr']),
  cursor: z.string(),
  text: z.string(),
  dropped: z.int().optional(),
  ended: z.string().optional(),
})
export type LogNotification = z.infer<typeof LogNotification>
export const Gap = z.looseObject({ epoch: z.string(), from: z.int(), to: z.int() })
export const Bookmark = z.looseObject({ epoch: z.string(), seq: z.int() })
/** The agent has ended a subscription, and says why. */
export const Unsubscribed = z.looseObject({ subscription: z.string(), error: WireErrorSchema })
export const Progress = z.looseObject({ id: RequestId, done: z.int(), total: z.int(), text: z.string() })
export type Progress = z.infer<typeof Progress>
