import type { Done } from '../core/audit/describe.ts'
import type { AuditLog } from '../core/audit/log.ts'
import type { CallSource } from '../methods/context.ts'
import { AgentError, type ErrorCode } from '../protocol/errors.ts'
import { TABLE } from './judgement.ts'

type Result = Record<string, unknown>

/** Where a call is from. */
export type Caller = Pick<CallSource, 'principal' | 'remote'>

/** Errors by which also a call that only reads counts as refused. */
const REFUSED: ReadonlySet<ErrorCode> = new Set([
  'FORBIDDEN',
  'POLICY_DENIED',
  'METHOD_NOT_FOUND',
  'INVALID_PARAMS',
  'TOO_MANY_REQUESTS',
])

/** What the audit gets of one call: two records around an effect, one for an exit without it, none for a mere read. */
export class CallRecord {
  readonly #audit: AuditLog
  readonly #caller: Caller
  readonly #name: string
  readonly #raw: Record<string, unknown>
  readonly #startedMs = performance.now()
  #isTold = false

  constructor(audit: AuditLog, caller: Caller, name: string, raw: Record<string, unknown>) {
    this.#audit = audit
    this.#caller = caller
    this.#name = name
    this.#raw = raw
  }

  /**
   * Runs the effect of a call that changes something. On admin.sock it runs all the same when the disk takes no record.
   * @param task gets whether it is recorded
   * @throws {AgentError} INTERNAL when it cannot be recorded, and what the task throws
   */
  async around(task: (isRecorded: boolean) => Promise<Result>): Promise<Result> {
    const of = this.#audit.begin(this.#seen(), this.#caller.principal.isAbovePolicy)
    this.#isTold = true
    try {
      const result = await task(of !== null)
      this.#audit.end(of, { result }, this.#tookMs())
      return result
    } catch (error) {
      this.#audit.end(of, { error }, this.#tookMs())
      throw error
    }
  }

  /** The call is over, and had no effect unless {@link around} has told so. */
  over(done: Done): void {
    if (this.#isTold || !(TABLE.get(this.#name)?.mutating || isRefused(done))) return
    this.#audit.call(this.#seen(), done, this.#tookMs())
  }

  #tookMs(): number {
    return performance.now() - this.#startedMs
  }

  #seen() {
    const { principal, remote } = this.#caller
    const method = TABLE.get(this.#name)
    const parsed = method?.params.safeParse(this.#raw)
    return {
      actor: principal.actor,
      id: principal.id,
      remote,
      method: this.#name,
      params: parsed?.success ? parsed.data : null,
      secrets: method?.secretParams ?? [],
    }
  }
}

function isRefused(done: Done): boolean {
  return 'error' in done && done.error instanceof AgentError && REFUSED.has(done.error.code)
}
