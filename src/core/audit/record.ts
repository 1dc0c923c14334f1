import { createHash } from 'node:crypto'
import * as z from 'zod'
import { Instant } from '../../protocol/names.ts'

const Head = { n: z.int().min(1), at: Instant, prev: z.string().describe('hash of the record before') }

/** A call, before its effect. */
export const Call = z.strictObject({
  actor: z.string(),
  actorId: z.string().optional().describe('of a token: names are given again, ids are not'),
  remote: z.string().describe('address, or path of the socket'),
  method: z.string(),
  subject: z.array(z.string()),
  params: z.record(z.string(), z.unknown()).optional().describe('absent when they did not fit the schema'),
})
export type Call = z.infer<typeof Call>

/** How a call ended: `ok`, `partial` when some rows of its results failed, or the name of an error. */
export const Ending = z.strictObject({
  outcome: z.string(),
  message: z.string().optional(),
  rule: z.string().optional(),
  replayed: z.literal(true).optional(),
  durationMs: z.int(),
})
export type Ending = z.infer<typeof Ending>

/** One line of the audit. `unwritten`: records before it that the disk did not take. */
export const AuditLine = z.union([
  z.strictObject({ ...Head, kind: z.literal('begin'), ...Call.shape, unwritten: z.int().optional() }),
  z.strictObject({ ...Head, kind: z.literal('end'), of: z.int(), ...Ending.shape }),
  z.strictObject({
    ...Head,
    kind: z.literal('call'),
    ...Call.shape,
    ...Ending.shape,
    unwritten: z.int().optional(),
  }),
  z.strictObject({
    ...Head,
    kind: z.literal('refusals'),
    actor: z.string(),
    method: z.string().optional().describe('absent in older records'),
    count: z.int().describe('refused calls over what is written one by one'),
  }),
  z.strictObject({
    ...Head,
    kind: z.literal('break'),
    reason: z.string().describe('why the records before it cannot be vouched for'),
  }),
  z.strictObject({ ...Head, kind: z.literal('torn'), bytes: z.int().describe('cut off at the start') }),
])
export type AuditLine = z.infer<typeof AuditLine>

type Entry<L> = L extends unknown ? Omit<L, 'n' | 'at' | 'prev'> : never
/** A line before it has its place in the chain. */
export type AuditEntry = Entry<AuditLine>

export function parseLine(text: string): AuditLine | null {
  try {
    return AuditLine.parse(JSON.parse(text))
  } catch {
    return null
  }
}

/** What the next record holds of this one. */
export function hashOf(text: string): string {
  return createHash('sha256').update(text).digest('base64url')
}
