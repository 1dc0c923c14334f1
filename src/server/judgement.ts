// The order of judgement of the protocol up to the effect: method, scope, parameters, then the programs and users of
// the token, then the policy of the host. The dispatcher and `policy.explain` both go this way.

import type * as z from 'zod'
import type { CallSource, Context, Explanation } from '../methods/context.ts'
import { METHODS } from '../methods/index.ts'
import { AgentError, type ErrorCode, type ErrorFacts } from '../protocol/errors.ts'
import type { MethodSpec } from '../protocol/method.ts'
import type { Violation } from '../protocol/policy.ts'

type AnyMethod = MethodSpec<z.ZodObject, z.ZodObject, Context>

/** A call that may be made as far as its form and the caller's scopes go. */
export interface Call {
  name: string
  method: AnyMethod
  params: Record<string, unknown>
  key: string | undefined
}

/** A call that nothing speaks against. */
export interface JudgedCall {
  /** What the policy said on admin.sock, which it does not bind. Grows while the call runs. */
  warnings: Violation[]
  /** What the call is about is not there: told where the effect would be, after the outcome that its key may have. */
  missing: AgentError | null
  /** The state that the call is about. */
  observe(): Promise<ErrorFacts>
  /** The effect. */
  run(): Promise<Record<string, unknown>> | Record<string, unknown>
}

/** What is told before the key of a call is looked up. */
const AT_ONCE: ReadonlySet<string> = new Set(['FORBIDDEN', 'POLICY_DENIED', 'INVALID_PARAMS'])
/** The number of what there is: it may be the first run of this very call that reached it. */
const COUNTED: ReadonlySet<unknown> = new Set(['policy.maxPrograms', 'policy.maxCronEntries'])
const ISSUES_MAX = 3
const ISSUE_CHARS = 300

/** Methods by name. */
export const TABLE = new Map(Object.entries<unknown>(METHODS) as [string, AnyMethod][])

/** @throws {AgentError} METHOD_NOT_FOUND, FORBIDDEN, INVALID_PARAMS, in this order */
export function readCall(
  name: string,
  raw: Record<string, unknown>,
  { principal }: Pick<CallSource, 'principal'>,
): Call {
  const method = TABLE.get(name)
  if (!method) throw new AgentError('METHOD_NOT_FOUND', `there is no method ${name.slice(0, 64)}`)
  if (method.scope !== 'any' && !principal.scopes.has(method.scope))
    throw new AgentError('FORBIDDEN', `${name} needs the scope ${method.scope}`, {
      facts: { rule: 'scope', scope: method.scope },
    })
  const { idempotencyKey, ...params } = paramsOf(method, raw)
  return { name, method, params, key: typeof idempotencyKey === 'string' ? idempotencyKey : undefined }
}

/**
 * Judges a call by the rights of who makes it and by the policy. Nothing is changed.
 * @throws {AgentError} FORBIDDEN, POLICY_DENIED
 */
export async function judgeCall({ name, method, params }: Call, source: CallSource): Promise<JudgedCall> {
  const { policy, principal } = source
  const warnings: Violation[] = []
  const context: Context = {
    ...source,
    enforce: async (judging) => {
      const verdict = await policy.enforce(judging)
      warnings.push(...verdict.violations)
      return verdict
    },
    explain: (other, given) => explainCall(other, given, source),
  }
  if (method.allPrograms && !principal.programs.includes('*'))
    throw new AgentError('FORBIDDEN', `${name} is for those who may see all programs`, {
      facts: { rule: 'token.programs' },
    })
  const find = async () => method.judge?.(params, context)
  let subject: unknown
  let missing: AgentError | null = null
  try {
    subject = await find()
  } catch (error) {
    // a host that allows no such call says that first, whatever it thinks of what the call is about
    if (error instanceof AgentError && error.code === 'POLICY_DENIED' && method.mutating)
      await context.enforce(
        policy.judge(
          { kind: 'call', method: name, mutating: true, switches: method.switches ?? [] },
          principal,
        ),
      )
    if (!(error instanceof AgentError) || (AT_ONCE.has(error.code) && !isCounted(error))) throw error
    missing = error
  }
  const { mutating, switches = [] } = method
  if (mutating)
    await context.enforce(policy.judge({ kind: 'call', method: name, mutating, switches }, principal))
  const run = () => {
    if (missing) throw missing
    return method.run(params, context, subject)
  }
  const observe = async () => {
    // an agent that has just started knows no process yet, and whoever asks comes back at once
    await source.supervisor.firstLook()
    const now = missing ? await find().catch(() => undefined) : subject
    return method.observe?.(params, context, now) ?? {}
  }
  return { warnings, missing, observe, run }
}

/**
 * What would happen to the caller with a call, as far as rights and policy go. The key is not asked for.
 * @throws {AgentError} METHOD_NOT_FOUND, INVALID_PARAMS
 */
async function explainCall(
  name: string,
  raw: Record<string, unknown>,
  source: CallSource,
): Promise<Explanation> {
  try {
    const call = readCall(name, raw, source)
    const { missing, warnings } = await judgeCall(call, source)
    if (missing?.code === 'POLICY_DENIED') throw missing
    const [warning] = warnings
    if (warning) {
      const text = `allowed on admin.sock alone, which stands above the policy: ${warning.text}`
      return { allowed: true, rule: warning.rule, text, violations: warnings }
    }
    const { unforeseen } = call.method
    const so = unforeseen === undefined ? 'allowed' : `allowed as far as can be told: ${unforeseen}`
    const text = missing ? `allowed, but it would fail now: ${toldTo(source, missing)} (${missing.code})` : so
    return { allowed: true, rule: null, text, violations: [] }
  } catch (error) {
    if (!(error instanceof AgentError)) throw error
    const { code, message: text, facts } = error
    if (code !== 'FORBIDDEN' && code !== 'POLICY_DENIED') throw error
    const rule = String(facts['rule'])
    const violations = (facts['violations'] as Violation[] | undefined) ?? [{ code, rule, text }]
    return { allowed: false, rule, text, violations }
  }
}

function toldTo({ principal }: CallSource, { message, abroad }: AgentError): string {
  return principal.isRemote ? (abroad ?? message) : message
}

/** Nothing speaks against it but a number. */
function isCounted({ facts }: AgentError): boolean {
  return COUNTED.has(facts['rule']) && facts['violations'] === undefined
}

function paramsOf(method: AnyMethod, raw: Record<string, unknown>): Record<string, unknown> {
  const parsed = method.params.safeParse(raw)
  if (parsed.success) return parsed.data
  const issues = parsed.error.issues.slice(0, ISSUES_MAX).map(({ path, message }) => ({
    path: path.join('.').slice(0, ISSUE_CHARS),
    message: message.slice(0, ISSUE_CHARS),
  }))
  const body = parsed.error.issues.map(({ path }) => String(path[0] ?? ''))
  const code = method.invalidAs?.[body[0] ?? '']
  if (code && body.every((name) => name === body[0])) throw invalidBody(code, body[0] ?? '', issues)
  throw invalid(issues)
}

/** What is wrong within one parameter, its paths as seen from there. */
function invalidBody(
  code: ErrorCode,
  body: string,
  found: readonly { path: string; message: string }[],
): AgentError {
  const issues = found.map(({ path, message }) => ({ path: path.slice(body.length + 1) || body, message }))
  const text = issues.map(({ path, message }) => `${path}: ${message}`).join('; ')
  return new AgentError(code, text, { facts: { issues } })
}

export function invalid(issues: { path: string; message: string }[]): AgentError {
  const text = issues.map(({ path, message }) => `${path || 'params'}: ${message}`).join('; ')
  return new AgentError('INVALID_PARAMS', text, { facts: { issues } })
}
