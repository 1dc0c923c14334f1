import * as z from 'zod'
import { mutation, query } from '../protocol/method.ts'
import { Glob, Instant, TokenName } from '../protocol/names.ts'
import { Role, Scope } from '../protocol/scopes.ts'
import { ROTATION_GRACE_MAX_MS, ROTATION_GRACE_MS } from '../protocol/token.ts'
import type { Context } from './context.ts'
import { observedToken } from './observed.ts'

/** A token without its secret. */
export const TokenView = z.strictObject({
  id: z.string(),
  name: z.string(),
  role: Role.optional(),
  scopes: z.array(Scope),
  programs: z.array(z.string()),
  users: z.array(z.string()),
  createdAt: Instant,
  createdBy: z.string(),
  creatorId: z.string().optional().describe('of the token that made it'),
  former: z
    .strictObject({ endsAt: Instant, lastUsedAt: Instant.optional() })
    .optional()
    .describe('the text before the last rotation: until when it is good'),
  expiresAt: Instant.optional(),
  revokedAt: Instant.optional(),
  revokedBy: z.string().optional(),
  lastUsedAt: Instant.optional(),
})

const record: z.infer<typeof TokenView> = {
  id: 'a1B2c3D4e5',
  name: 'panel-1',
  role: 'operator',
  scopes: ['read', 'logs', 'control'],
  programs: ['*'],
  users: [],
  createdAt: '2026-11-22T10:00:00.000Z',
  createdBy: 'local:admin',
}

export const tokenMethods = {
  'token.list': query({
    summary: 'List tokens; their secrets are not kept anywhere.',
    scope: 'admin',
    params: () => z.strictObject({}),
    result: () => z.strictObject({ tokens: z.array(TokenView) }),
    errors: [],
    example: { params: {}, result: { tokens: [record] } },
    cli: { command: 'token ls' },
    run: (_params, { tokens }: Context) => ({ tokens: tokens.list() }),
  }),

  'token.create': mutation({
    summary: 'Make a token; its text is shown this once.',
    scope: 'admin',
    params: () =>
      z.strictObject({
        name: TokenName,
        role: Role.optional(),
        scopes: z.array(Scope).min(1).optional().describe('instead of a role'),
        programs: z.array(Glob).min(1).max(100).optional().describe('globs on program names; default all'),
        users: z
          .array(z.string().min(1).max(64))
          .max(100)
          .optional()
          .describe('system users its programs may run as'),
        expiresAt: Instant.optional(),
      }),
    result: () => z.strictObject({ token: z.string().nullable(), record: TokenView }),
    errors: [],
    example: {
      params: { name: 'panel-1', role: 'operator' },
      result: { token: 'agt_…', record },
    },
    secretResults: ['token'],
    cli: { command: 'token create', positional: ['name'] },
    switches: ['allowRemoteTokens'],
    judge: (wish, { tokens, principal }: Context) => tokens.within(principal, wish),
    observe: ({ name }, context: Context) => observedToken(context, name),
    run: (wish, { tokens, principal }: Context) => tokens.createFor(principal, wish),
  }),

  'token.rotate': mutation({
    summary:
      'Give a token a new text, shown this once; the old one stays good for a while, and ends by itself.',
    scope: 'admin',
    params: () =>
      z.strictObject({
        token: z.string().min(1).max(64).describe('its name or id'),
        graceMs: z
          .int()
          .min(0)
          .max(ROTATION_GRACE_MAX_MS)
          .default(ROTATION_GRACE_MS)
          .describe('how long the old text stays good, milliseconds; at least 10 s for who rotates its own'),
      }),
    result: () => z.strictObject({ token: z.string().nullable(), record: TokenView }),
    errors: [],
    example: {
      params: { token: 'panel-1', graceMs: 3_600_000 },
      result: { token: 'agt_…', record: { ...record, former: { endsAt: '2026-11-22T12:00:00.000Z' } } },
    },
    secretResults: ['token'],
    cli: { command: 'token rotate', positional: ['token'] },
    judge: async ({ token }, { tokens, policy, principal, enforce }: Context) => {
      tokens.judgeRotation(principal, token)
      const switches = tokens.isOwn(principal, token) ? [] : (['allowRemoteTokens'] as const)
      await enforce(
        policy.judge({ kind: 'call', method: 'token.rotate', mutating: true, switches }, principal),
      )
    },
    observe: ({ token }, context: Context) => observedToken(context, token),
    run: ({ token, graceMs }, { tokens, principal }: Context) =>
      tokens.rotateFor(principal, token, { graceMs }),
  }),

  'token.revoke': mutation({
    summary: 'Revoke a token at once; its sessions are closed.',
    scope: 'admin',
    params: () =>
      z.strictObject({
        token: z.string().min(1).max(64).describe('its name or id'),
        cascade: z.boolean().default(false).describe('also those that it created, and theirs'),
      }),
    result: () => z.strictObject({ record: TokenView }),
    errors: [],
    example: {
      params: { token: 'panel-1' },
      result: { record: { ...record, revokedAt: '2026-11-22T11:00:00.000Z' } },
    },
    cli: { command: 'token revoke', positional: ['token'] },
    observe: ({ token }, context: Context) => observedToken(context, token),
    run: async ({ token, cascade }, { tokens, principal }: Context) => ({
      record: await tokens.revoke(token, { cascade, by: principal.actor }),
    }),
  }),
}
