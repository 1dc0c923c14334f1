// From a request to its result: the judgement, then idempotency, then the effect. Knows no transport and no frame.

import type { IdempotencyKeys } from '../core/access/idempotency.ts'
import type { Logger } from '../logger.ts'
import type { CallSource } from '../methods/context.ts'
import { AgentError, type ErrorCode } from '../protocol/errors.ts'
import { type Call, invalid, type JudgedCall, judgeCall, readCall } from './judgement.ts'

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

export class Dispatcher {
  readonly #keys: IdempotencyKeys
  readonly #logger: Logger

  constructor(deps: { keys: IdempotencyKeys; logger: Logger }) {
    this.#keys = deps.keys
    this.#logger = deps.logger
  }

  /** @throws {AgentError} whatever the method or the judgement before it says */
  async dispatch(name: string, raw: Record<string, unknown>, source: CallSource): Promise<Result> {
    const { principal } = source
    const call = readCall(name, raw, source)
    const { method, params, key } = call
    if (method.mutating && key === undefined && principal.isRemote)
      throw invalid([
        { path: 'idempotencyKey', message: 'every call that changes something needs one over TCP' },
      ])
    const judged = await judgeCall(call, source)
    if (!method.mutating || key === undefined) return await this.#run(call, judged)
    return await this.#keys.run(
      { owner: principal.id, key, method: name, params, secrets: method.secretResults ?? [] },
      () => this.#run(call, judged),
      isRefusal,
    )
  }

  async #run({ name, method }: Call, judged: JudgedCall): Promise<Result> {
    const given = await judged.run()
    const result = method.mutating ? withWarnings(given, judged.warnings) : given
    const parsed = method.result.safeParse(result)
    if (parsed.success) return parsed.data
    this.#logger.error(
      { method: name, issues: parsed.error.issues.slice(0, ISSUES_MAX) },
      'a result does not fit its schema',
    )
    throw new Error(`${name} made a result outside its schema`)
  }
}

/** What the policy would have denied, beside what the method itself warns of. */
function withWarnings(result: Result, warnings: JudgedCall['warnings']): Result {
  if (warnings.length === 0) return result
  const own = Array.isArray(result['warnings']) ? (result['warnings'] as unknown[]) : []
  return { ...result, warnings: [...own, ...warnings.map(({ rule, text }) => `${rule}: ${text}`)] }
}

function isRefusal(error: unknown): boolean {
  if (!(error instanceof AgentError)) return false
  return (
    REFUSALS.has(error.code) || (error.code === 'SUPERVISOR_UNREACHABLE' && error.facts['asked'] === false)
  )
}
