// A mutating call with a key runs once. The outcome is kept with a fingerprint of the call; a second call with the
// key gets it again, and joins the first while that still runs.
import { createHash } from 'node:crypto'
import { AgentError } from '../../protocol/errors.ts'

type Outcome = { result: Record<string, unknown> } | { error: unknown }

interface KeyRecord {
  fingerprint: string
  atMs: number
  outcome: Promise<Outcome>
}

const KEEP_MS = 7 * 24 * 3_600_000
const NEVER_EVICT_MS = 24 * 3_600_000
const KEYS_MAX = 10_000

export interface KeyedCall {
  owner: string
  key: string
  method: string
  params: unknown
  /** Result fields that are given once and not kept. */
  secrets: readonly string[]
}

export class IdempotencyKeys {
  readonly #byOwner = new Map<string, Map<string, KeyRecord>>()
  readonly #now: () => number

  constructor(options: { now?: () => number } = {}) {
    this.#now = options.now ?? Date.now
  }

  /**
   * Runs the call, or gives the outcome that its key already has, with `replayed: true`. A refusal before the effect
   * (`refused` says so) is not kept.
   * @throws {AgentError} IDEMPOTENCY_CONFLICT, TOO_MANY_REQUESTS, and whatever the call throws
   */
  async run(
    call: KeyedCall,
    task: () => Promise<Record<string, unknown>>,
    refused: (error: unknown) => boolean,
  ): Promise<Record<string, unknown>> {
    const records = this.#byOwner.get(call.owner) ?? new Map<string, KeyRecord>()
    this.#byOwner.set(call.owner, records)
    const fingerprint = createHash('sha256')
      .update(`${call.method}\n${canonical(call.params)}`)
      .digest('base64')
    const known = records.get(call.key)
    if (known) return await replay(known, fingerprint)
    this.#makeRoom(records)
    const running = task()
    const outcome: Promise<Outcome> = running.then(
      (result) => ({ result: withoutSecrets(result, call.secrets) }),
      (error: unknown) => ({ error }),
    )
    records.set(call.key, { fingerprint, atMs: this.#now(), outcome })
    try {
      return await running
    } catch (error) {
      if (refused(error)) records.delete(call.key)
      throw error
    }
  }

  /** Drops what is older than seven days. */
  sweep(): void {
    const oldest = this.#now() - KEEP_MS
    for (const [owner, records] of this.#byOwner) {
      for (const [key, { atMs }] of records) {
        if (atMs > oldest) break // insertion order is time order
        records.delete(key)
      }
      if (records.size === 0) this.#byOwner.delete(owner)
    }
  }

  #makeRoom(records: Map<string, KeyRecord>): void {
    if (records.size < KEYS_MAX) return
    const [oldest] = records
    if (!oldest || this.#now() - oldest[1].atMs < NEVER_EVICT_MS)
      throw new AgentError(
        'TOO_MANY_REQUESTS',
        `${KEYS_MAX} idempotency keys are in use, none older than a day`,
      )
    records.delete(oldest[0])
  }
}

async function replay(record: KeyRecord, fingerprint: string): Promise<Record<string, unknown>> {
  if (record.fingerprint !== fingerprint)
    throw new AgentError(
      'IDEMPOTENCY_CONFLICT',
      'this idempotencyKey was used with another method or other parameters',
    )
  const outcome = await record.outcome
  if ('result' in outcome) return { ...outcome.result, replayed: true }
  const { error } = outcome
  const known =
    error instanceof AgentError
      ? error
      : new AgentError('INTERNAL', 'internal error; the agent log has the detail')
  const facts = { ...known.facts, replayed: true }
  throw new AgentError(known.code, known.message, { facts, cause: error })
}

function withoutSecrets(
  result: Record<string, unknown>,
  secrets: readonly string[],
): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(result).map(([key, value]) => [key, secrets.includes(key) ? null : value]),
  )
}

/** JSON with sorted keys, so that the order of fields does not make another call. */
function canonical(value: unknown): string {
  return JSON.stringify(value, (_key, inner: unknown) =>
    inner !== null && typeof inner === 'object' && !Array.isArray(inner)
      ? Object.fromEntries(Object.entries(inner).toSorted(([a], [b]) => (a < b ? -1 : 1)))
      : inner,
  )
}
