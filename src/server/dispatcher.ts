// From a request to its result, in the order of judgement of the protocol: method, scope, parameters, then (inside the
// method) programs and policy, idempotency, effect. Knows no transport and no frame.

import type * as z from 'zod'
import type { IdempotencyKeys } from '../core/access/idempotency.ts'
import type { Logger } from '../logger.ts'
import type { Context } from '../methods/context.ts'
import { METHODS } from '../methods/index.ts'
import { AgentError, type ErrorCode } from '../protocol/errors.ts'
import type { MethodSpec } from '../protocol/method.ts'

type AnyMethod = MethodSpec<z.ZodObject, z.ZodObject, Context>
type Result = Record<string, unknown>

/**
 * Refusals before any effect: a repeat of the call may well succeed, so that they are not kept for its key. An
 * unreachable supervisord is one only where it was not asked at all.
 */
const REFUSALS: ReadonlySet<ErrorCode> = new Set([
  'FORBIDDEN',
  'POLICY_DENIED',
  'INVALID_PARAMS',
  'PROCESS_NOT_FOUND',
  'TOO_MANY_REQUESTS',
])
const ISSUES_MAX = 3
const ISSUE_CHARS = 300

const TABLE = new Map(Object.entries<unknown>(METHODS) as [string, AnyMethod][])

export class Dispatcher {
  readonly #keys: IdempotencyKeys
  readonly #logger: Logger

  constructor(deps: { keys: IdempotencyKeys; logger: Logger }) {
    this.#keys = deps.keys
    this.#logger = deps.logger
  }

  /** @throws {AgentError} whatever the method or the judgement before it says */
  async dispatch(name: string, raw: Record<string, unknown>, context: Context): Promise<Result> {
    const method = TABLE.get(name)
    if (!method) throw new AgentError('METHOD_NOT_FOUND', `there is no method ${name.slice(0, 64)}`)
    const { principal } = context
    if (method.scope !== 'any' && !principal.scopes.has(method.scope))
      throw new AgentError('FORBIDDEN', `${name} needs the scope ${method.scope}`, {
        facts: { rule: 'scope', scope: method.scope },
      })
    const { idempotencyKey, ...params } = this.#params(method, raw)
    if (!method.mutating) return await this.#run(name, method, params, context)
    if (typeof idempotencyKey !== 'string') {
      if (principal.isRemote)
        throw invalid([
          { path: 'idempotencyKey', message: 'every call that changes something needs one over TCP' },
        ])
      context.policy.assertWritable(principal, name)
      return await this.#run(name, method, params, context)
    }
    context.policy.assertWritable(principal, name)
    return await this.#keys.run(
      { owner: principal.id, key: idempotencyKey, method: name, params, secrets: method.secretResults ?? [] },
      () => this.#run(name, method, params, context),
      isRefusal,
    )
  }

  #params(method: AnyMethod, raw: Record<string, unknown>): Record<string, unknown> {
    const parsed = method.params.safeParse(raw)
    if (parsed.success) return parsed.data
    const issues = parsed.error.issues.slice(0, ISSUES_MAX).map(({ path, message }) => ({
      path: path.join('.').slice(0, ISSUE_CHARS),
      message: message.slice(0, ISSUE_CHARS),
    }))
    throw invalid(issues)
  }

  async #run(
    name: string,
    method: AnyMethod,
    params: Record<string, unknown>,
    context: Context,
  ): Promise<Result> {
    const result = await method.run(params, context)
    const parsed = method.result.safeParse(result)
    if (parsed.success) return parsed.data
    this.#logger.error(
      { method: name, issues: parsed.error.issues.slice(0, ISSUES_MAX) },
      'a result does not fit its schema',
    )
    throw new Error(`${name} made a result outside its schema`)
  }
}

function isRefusal(error: unknown): boolean {
  if (!(error instanceof AgentError)) return false
  return (
    REFUSALS.has(error.code) || (error.code === 'SUPERVISOR_UNREACHABLE' && error.facts['asked'] === false)
  )
}

function invalid(issues: { path: string; message: string }[]): AgentError {
  const text = issues.map(({ path, message }) => `${path || 'params'}: ${message}`).join('; ')
  return new AgentError('INVALID_PARAMS', text, { facts: { issues } })
}
