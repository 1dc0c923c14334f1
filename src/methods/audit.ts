import * as z from 'zod'
import { query } from '../protocol/method.ts'
import { Instant } from '../protocol/names.ts'
import type { Context } from './context.ts'

const AuditRecord = z.strictObject({
  n: z.int().describe('its number'),
  at: Instant,
  actor: z.string(),
  actorId: z.string().optional().describe('of a token: names are given again, ids are not'),
  remote: z.string().optional().describe('address, or path of the socket'),
  method: z.string().optional(),
  subject: z.array(z.string()).optional().describe('what it is about'),
  params: z
    .record(z.string(), z.unknown())
    .optional()
    .describe('secrets masked; absent when they did not fit the schema'),
  outcome: z
    .string()
    .describe(
      '`ok`, `partial` (rows of its results failed), the name of an error, `unfinished` (it runs, or the agent ended in the middle), or `refused` (a count)',
    ),
  message: z.string().optional(),
  rule: z.string().optional().describe('what it was refused by'),
  replayed: z.literal(true).optional().describe('a repeat, without effect'),
  durationMs: z.int().optional(),
  count: z
    .int()
    .optional()
    .describe('refused calls of that actor and method that are not written one by one'),
})

export const auditMethods = {
  'audit.list': query({
    summary: 'List calls that changed something or were refused, oldest first.',
    scope: 'admin',
    params: () =>
      z.strictObject({
        since: Instant.optional().describe('the first ones from then on; else the newest ones'),
        limit: z.int().min(1).max(1000).default(100),
      }),
    result: () =>
      z.strictObject({
        records: z.array(AuditRecord),
        more: z.boolean().describe('there are more than these'),
      }),
    errors: [],
    example: {
      params: { limit: 1 },
      result: {
        records: [
          {
            n: 41,
            at: '2026-11-22T10:00:00.000Z',
            actor: 'token:panel-1',
            remote: '192.0.2.7',
            method: 'process.restart',
            subject: ['worker:*'],
            params: { select: ['worker:*'], mode: 'rolling' },
            outcome: 'ok',
            durationMs: 1830,
          },
        ],
        more: true,
      },
    },
    cli: { command: 'audit ls' },
    allPrograms: true,
    run: (wanted, { audit }: Context) => audit.list(wanted),
  }),

  'audit.verify': query({
    summary: 'Find an edited, removed, reordered or truncated record of the audit.',
    scope: 'admin',
    params: () => z.strictObject({}),
    result: () =>
      z.strictObject({
        ok: z.boolean(),
        records: z.int().describe('read; a call has two'),
        first: z.int().nullable(),
        last: z.int().nullable(),
        hash: z.string().describe('of the last one: what to keep elsewhere, with its number'),
        torn: z.int().describe('writes that an abrupt end tore'),
        unwritten: z.int().describe('records that the disk did not take'),
        brokenAt: z.int().optional().describe('number of the first record that is not what it was'),
        reason: z.string().optional(),
      }),
    errors: [],
    example: {
      params: {},
      result: { ok: true, records: 82, first: 1, last: 82, hash: 'q83v…', torn: 0, unwritten: 0 },
    },
    cli: { command: 'audit verify' },
    allPrograms: true,
    run: (_params, { audit }: Context) => audit.verify(),
  }),
}
