import * as z from 'zod'
import { query } from '../protocol/method.ts'
import type { Context } from './context.ts'

export const policyMethods = {
  'policy.explain': query({
    summary: 'Say what would happen to the caller with a call, and which rule decides; does nothing.',
    scope: 'read',
    params: () =>
      z.strictObject({
        method: z.string().min(1).max(64),
        params: z
          .record(z.string(), z.unknown())
          .default({})
          .describe('its parameters, without idempotencyKey'),
      }),
    result: () =>
      z.strictObject({
        allowed: z.boolean(),
        rule: z
          .string()
          .nullable()
          .describe('what is against it, first of all: scope, token.programs, policy.readOnly, …'),
        text: z.string(),
        violations: z
          .array(
            z.strictObject({
              code: z.enum(['FORBIDDEN', 'POLICY_DENIED']),
              rule: z.string(),
              text: z.string(),
              path: z.string().optional().describe('the field of the definition or entry'),
            }),
          )
          .describe(
            'all that is against it; on admin.sock, which the policy does not bind, also of an allowed call',
          ),
      }),
    errors: ['METHOD_NOT_FOUND'],
    example: {
      params: { method: 'process.stop', params: { select: ['worker:*'] } },
      result: {
        allowed: false,
        rule: 'scope',
        text: 'process.stop needs the scope control',
        violations: [{ code: 'FORBIDDEN', rule: 'scope', text: 'process.stop needs the scope control' }],
      },
    },
    cli: { command: 'policy explain', positional: ['method', 'params'] },
    // where it is refused, they did not fit their schema, and nobody knows which of them are secrets
    secretParams: ['params'],
    run: async ({ method, params }, { explain }: Context) => {
      const { violations, ...rest } = await explain(method, params)
      return { ...rest, violations: [...violations] }
    },
  }),
}
