import { AgentError } from '../../protocol/errors.ts'
import { maskParams, maskText } from './mask.ts'
import type { Call, Ending } from './record.ts'

/** A call as the audit sees it. */
export interface SeenCall {
  actor: string
  /** The principal's. */
  id: string
  remote: string
  method: string
  /** Null when they did not fit the schema: nobody knows then which of them are secrets. */
  params: Record<string, unknown> | null
  /** Paths of those that are secrets. */
  secrets: readonly string[]
}

export type Done = { result: Record<string, unknown> } | { error: unknown }

/** Parameters that say what a call is about, the best first. */
const SUBJECTS = ['select', 'groups', 'process', 'name', 'token', 'id', 'run', 'user', 'file'] as const
const SUBJECT_MAX = 20
const METHOD_CHARS = 64

export function callOf({ actor, id, remote, method, params, secrets }: SeenCall): Call {
  return {
    actor,
    ...(id === actor ? {} : { actorId: id }),
    remote,
    method: maskText(method).slice(0, METHOD_CHARS),
    subject: params ? subjectOf(params) : [],
    ...(params ? { params: maskParams(params, secrets) } : {}),
  }
}

export function endingOf(done: Done, durationMs: number): Ending {
  const tookMs = Math.round(durationMs)
  if ('result' in done) {
    const { results, replayed } = done.result
    const hasFailed = Array.isArray(results) && results.some((row: { ok?: unknown }) => row.ok === false)
    return {
      outcome: hasFailed ? 'partial' : 'ok',
      ...(replayed === true ? { replayed } : {}),
      durationMs: tookMs,
    }
  }
  const { error } = done
  if (!(error instanceof AgentError)) return { outcome: 'INTERNAL', durationMs: tookMs }
  const { rule, replayed, path } = error.facts
  return {
    outcome: error.code,
    // what the policy says of a command quotes it, and one of a crontab is a secret; the audit is read from abroad
    ...(path === 'command' ? {} : { message: maskText(error.abroad ?? error.message) }),
    ...(typeof rule === 'string' ? { rule } : {}),
    ...(replayed === true ? { replayed } : {}),
    durationMs: tookMs,
  }
}

function subjectOf(params: Record<string, unknown>): string[] {
  const named = SUBJECTS.map((key) => params[key] ?? nested(params, key)).find((value) => value !== undefined)
  const names = Array.isArray(named) ? named : named === undefined ? [] : [named]
  return names
    .slice(0, SUBJECT_MAX)
    .map((name: unknown) => maskText(typeof name === 'string' ? name : JSON.stringify(name)))
}

/** Of a definition or an entry. */
function nested(params: Record<string, unknown>, key: string): unknown {
  const inner = params['definition'] ?? params['entry']
  return typeof inner === 'object' && inner !== null && key in inner
    ? Object.entries(inner).find(([name]) => name === key)?.[1]
    : undefined
}
