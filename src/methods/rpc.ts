import * as z from 'zod'
import { RequestId } from '../protocol/frames.ts'
import { query } from '../protocol/method.ts'
import type { Context } from './context.ts'

export const rpcMethods = {
  'rpc.discover': query({
    summary: 'Give the OpenRPC document of every method.',
    scope: 'any',
    params: () => z.strictObject({}),
    result: () => z.looseObject({ openrpc: z.string(), methods: z.array(z.unknown()) }),
    errors: [],
    example: { params: {}, result: { openrpc: '1.3.2', methods: [] } },
    run: (_params, { describe }: Context) => describe() as { openrpc: string; methods: unknown[] },
  }),

  'rpc.cancel': query({
    summary: 'Cancel a call of this connection that still runs; it answers CANCELLED.',
    scope: 'any',
    params: () => z.strictObject({ id: RequestId }),
    result: () => z.strictObject({ cancelled: z.boolean() }),
    errors: [],
    example: { params: { id: 7 }, result: { cancelled: true } },
    run: ({ id }, { cancel }: Context) => ({ cancelled: cancel(id) }),
  }),
}
