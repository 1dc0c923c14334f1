// From a request to its result: the judgement, then idempotency, then the effect. Knows no transport and no frame.

import type { IdempotencyKeys } from '../core/access/idempotency.ts'
import type { AuditLog } from '../core/audit/log.ts'
import type { Logger } from '../logger.ts'
import type { CallSource } from '../methods/context.ts'
import { AgentError, type ErrorCode } from '../protocol/errors.ts'
import { type Caller, CallRecord } from './call-record.ts'
import { cutLists } from './cut-lists.ts'
import { type Call, invalid, type JudgedCall, judgeCall, readCall } from './judgement.ts'
import type { Limits } from './limits.ts'

type Result = Record<string, unknown>

/** Refusals before any effect: a repeat of the call may well succeed, so that they are not kept for its key. */
const REFUSALS: ReadonlySet<ErrorCode> = new Set([
  'FORBIDDEN',
  'POLICY_DENIED',
  'INVALID_PARAMS',
  'PROCESS_NOT_FOUND',
  'PROGRAM_NOT_FOUND',
  'PROGRAM_INVALID',
  'REVISION_CONFLICT',
  'CONFIG_BROKEN',
  'TOO_MANY_REQUESTS',
])
const ISSUES_MAX = 3
const WARNINGS_MAX = 20

interface Warning {
  rule: string
  text: string
}

/** What an administrator may do although the disk takes no record of it. */
const NO_KEY: Warning = {
  rule: 'idempotency',
  text: 'the disk takes no record: after a restart of the agent the same call would run again',
}
const NO_AUDIT: Warning = {
  rule: 'audit',
  text: 'the disk takes no record: this call is missing in the audit',
}

export class Dispatcher {
  readonly #keys: IdempotencyKeys
  readonly #audit: AuditLog
  readonly #limits: Pick<Limits, 'frameOutBytes'>
  readonly #logger: Logger

  constructor(deps: {
    keys: IdempotencyKeys
    audit: AuditLog
    limits: Pick<Limits, 'frameOutBytes'>
    logger: Logger
  }) {
    this.#keys = deps.keys
    this.#audit = deps.audit
    this.#limits = deps.limits
    this.#logger = deps.logger
  }

  /** @throws {AgentError} whatever the method or the judgement before it says */
  async dispatch(name: string, raw: Record<string, unknown>, source: CallSource): Promise<Result> {
    const record = new CallRecord(this.#audit, source, name, raw)
    try {
      const result = await this.#judged(name, raw, source, record)
      record.over({ result })
      return result
    } catch (error) {
      record.over({ error })
      if (!(error instanceof AgentError) || error.abroad === undefined) throw error
      this.#logger.error(
        { err: error, method: name },
        'a call failed for a reason that is told on this host alone',
      )
      throw source.principal.isRemote
        ? new AgentError(error.code, error.abroad, { facts: error.facts })
        : error
    }
  }

  /** A call was refused before it came here. */
  refused(name: string, raw: Record<string, unknown>, caller: Caller, error: AgentError): void {
    new CallRecord(this.#audit, caller, name, raw).over({ error })
  }

  async #judged(
    name: string,
    raw: Record<string, unknown>,
    source: CallSource,
    record: CallRecord,
  ): Promise<Result> {
    const { principal } = source
    const call = readCall(name, raw, source)
    const { method, params, key } = call
    if (method.mutating && key === undefined && principal.isRemote)
      throw invalid([
        { path: 'idempotencyKey', message: 'every call that changes something needs one over TCP' },
      ])
    const judged = await judgeCall(call, source)
    if (!method.mutating) return await this.#run(call, judged)
    const run = (hasKey: boolean) => {
      assertAllowed(source.signal)
      return record.around((isRecorded) =>
        this.#run(call, judged, [...(hasKey ? [] : [NO_KEY]), ...(isRecorded ? [] : [NO_AUDIT])]),
      )
    }
    if (key === undefined) return await run(true)
    return await this.#keys.run(
      {
        owner: principal.id,
        key,
        method: name,
        params,
        secrets: method.secretResults ?? [],
        mayRunUnrecorded: principal.isAbovePolicy,
        signal: source.signal,
        observe: () => judged.observe(),
      },
      run,
      // by then it has begun
      (error) => error !== source.signal.reason && (error === judged.missing || isRefusal(error)),
    )
  }

  async #run(
    { name, method }: Call,
    judged: JudgedCall,
    unrecorded: readonly Warning[] = [],
  ): Promise<Result> {
    const given = await judged.run()
    const tells = method.mutating || 'warnings' in method.result.shape
    const result = tells ? withWarnings(given, [...judged.warnings, ...unrecorded]) : given
    const parsed = method.result.safeParse(result)
    // cut here, so that a repeat gets what the first answer was
    if (parsed.success)
      return method.mutating ? cutLists(parsed.data, this.#limits.frameOutBytes) : parsed.data
    this.#logger.error(
      { method: name, issues: parsed.error.issues.slice(0, ISSUES_MAX) },
      'a result does not fit its schema',
    )
    throw new Error(`${name} made a result outside its schema`)
  }
}

/** What the policy would have denied, beside what the method itself warns of. */
function withWarnings(result: Result, warnings: readonly Warning[]): Result {
  if (warnings.length === 0) return result
  const own = Array.isArray(result['warnings']) ? (result['warnings'] as unknown[]) : []
  const told = [...new Set(warnings.map(({ rule, text }) => `${rule}: ${text}`))]
  const more = told.length - WARNINGS_MAX
  const shown = more > 0 ? [...told.slice(0, WARNINGS_MAX), `and ${more} more like these`] : told
  return { ...result, warnings: [...own, ...shown] }
}

/** A right that ended while its call was judged. @throws {AgentError} FORBIDDEN, with `facts.begun` false */
function assertAllowed({ aborted, reason }: AbortSignal): void {
  if (!aborted || !(reason instanceof AgentError) || reason.code !== 'FORBIDDEN') return
  throw new AgentError(reason.code, reason.message, { facts: { ...reason.facts, begun: false } })
}

/** Of other errors, those that say so themselves. */
function isRefusal(error: unknown): boolean {
  return error instanceof AgentError && (REFUSALS.has(error.code) || error.facts['begun'] === false)
}
