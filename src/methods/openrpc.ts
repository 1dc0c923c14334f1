import * as z from 'zod'
import { ERRORS } from '../protocol/errors.ts'
import { METHODS } from './index.ts'

/** The OpenRPC document, made from the method table. */
export function openRpcDocument(version: string): Record<string, unknown> {
  return {
    openrpc: '1.3.2',
    info: { title: 'supervisor-agent', version },
    methods: Object.entries(METHODS).map(([name, method]) => {
      const params = jsonSchema(method.params)
      const properties = (params['properties'] ?? {}) as Record<string, unknown>
      const required = (params['required'] ?? []) as string[]
      return {
        name,
        summary: method.summary,
        ...(method.unforeseen === undefined
          ? {}
          : { description: `policy.explain cannot foresee all: ${method.unforeseen}.` }),
        paramStructure: 'by-name',
        params: Object.entries(properties).map(([key, schema]) => ({
          name: key,
          required: required.includes(key),
          schema,
        })),
        result: {
          name: 'result',
          schema: z.toJSONSchema(method.result, { io: 'output', unrepresentable: 'any' }),
        },
        errors: method.errors.map((error) => ({ code: ERRORS[error].rpc, message: error })),
        'x-scope': method.scope,
        'x-mutating': method.mutating,
      }
    }),
  }
}

/** JSON schema of a method's parameters, as a caller writes them. */
export function jsonSchema(params: z.ZodType): Record<string, unknown> {
  return z.toJSONSchema(params, { io: 'input', unrepresentable: 'any' }) as Record<string, unknown>
}
