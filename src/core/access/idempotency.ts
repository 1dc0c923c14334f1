// A mutating call with a key runs once. The outcome is kept with a fingerprint of the call; a second call with the
// key gets it again, and joins the first while that still runs.
import { createHash } from 'node:crypto'
import { AgentError } from '../../protocol/errors.ts'

type KnownError = Pick<AgentError, 'code' | 'message' | 'facts'>
type Outcome = { result: Record<string, unknown> } | { error: KnownError }

interface KeyRecord {
  fingerprint: string
  atMs: number
  /** JSON of an {@link Outcome}; a promise while the call runs. */
  outcome: string | Promise<string>
  bytes: number
}

/** The keys of one owner, oldest first. */
interface Owned {
  records: Map<string, KeyRecord>
  bytes: number
}

const KEEP_MS = 7 * 24 * 3_600_000
const NEVER_EVICT_MS = 24 * 3_600_000
const KEYS_MAX = 10_000
/** Of outcomes. The call that goes over it is the last one let in. */
const BYTES_MAX = 16 * 1024 * 1024

export interface KeyedCall {
  owner: string
  key: string
  method: string
  params: unknown
  /** Result fields that are given once and not kept. */
  secrets: readonly string[]
}

export class IdempotencyKeys {
  readonly #byOwner = new Map<string, Owned>()
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
    const owned = this.#byOwner.get(call.owner) ?? { records: new Map<string, KeyRecord>(), bytes: 0 }
    this.#byOwner.set(call.owner, owned)
    const { records } = owned
    const fingerprint = createHash('sha256')
      .update(`${call.method}\n${canonical(call.params)}`)
      .digest('base64')
    const known = records.get(call.key)
    if (known) return await replay(known, fingerprint)
    this.#makeRoom(owned)
    const running = task()
    const outcome = running.then(
      (result) => toText({ result: withoutSecrets(result, call.secrets) }),
      (error: unknown) => toText({ error: toKnown(error) }),
    )
    const record: KeyRecord = { fingerprint, atMs: this.#now(), outcome, bytes: 0 }
    records.set(call.key, record)
    try {
      return await running
    } catch (error) {
      if (refused(error)) records.delete(call.key)
      throw error
    } finally {
      record.outcome = await outcome
      if (records.get(call.key) === record) {
        record.bytes = Buffer.byteLength(record.outcome)
        owned.bytes += record.bytes
      }
    }
  }

  /** Drops what is older than seven days. */
  sweep(): void {
    const oldest = this.#now() - KEEP_MS
    for (const [owner, owned] of this.#byOwner) {
      for (const [key, record] of owned.records) {
        if (record.atMs > oldest) break // insertion order is time order
        drop(owned, key, record)
      }
      if (owned.records.size === 0) this.#byOwner.delete(owner)
    }
  }

  #makeRoom(owned: Owned): void {
    while (owned.records.size >= KEYS_MAX || owned.bytes >= BYTES_MAX) {
      const [oldest] = owned.records
      if (!oldest || this.#now() - oldest[1].atMs < NEVER_EVICT_MS)
        throw new AgentError(
          'TOO_MANY_REQUESTS',
          `${owned.records.size} idempotency keys with ${owned.bytes} bytes of outcomes are in use, none older than a day`,
        )
      drop(owned, ...oldest)
    }
  }
}

function drop(owned: Owned, key: string, { bytes }: KeyRecord): void {
  owned.records.delete(key)
  owned.bytes -= bytes
}

async function replay(record: KeyRecord, fingerprint: string): Promise<Record<string, unknown>> {
  if (record.fingerprint !== fingerprint)
    throw new AgentError(
      'IDEMPOTENCY_CONFLICT',
      'this idempotencyKey was used with another method or other parameters',
    )
  const outcome = JSON.parse(await record.outcome) as Outcome
  if ('result' in outcome) return { ...outcome.result, replayed: true }
  const { code, message, facts } = outcome.error
  throw new AgentError(code, message, { facts: { ...facts, replayed: true } })
}

/** Text takes a fraction of the memory of the objects. */
function toText(outcome: Outcome): string {
  return JSON.stringify(outcome)
}

function toKnown(error: unknown): KnownError {
  if (!(error instanceof AgentError))
    return { code: 'INTERNAL', message: 'internal error; the agent log has the detail', facts: {} }
  const { code, message, facts } = error
  return { code, message, facts }
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
