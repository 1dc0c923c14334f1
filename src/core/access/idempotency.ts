// A mutating call with a key runs once, also over restarts. That it begins is on the disk before its effect, its outcome
// after it, with a fingerprint of the call. A second call with the key gets the outcome again, joins the first while that
// still runs, and is told OUTCOME_UNKNOWN, with the state as it is now, when the agent ended in the middle of the first.
import { orAbort } from '../../lib/or-abort.ts'
import type { Logger } from '../../logger.ts'
import { AgentError, type ErrorFacts } from '../../protocol/errors.ts'
import { IdempotencyJournal, KEEP_MS, NEVER_EVICT_MS } from './idempotency-journal.ts'
import { errorOutcome, fromOutcome, Outcome, resultOutcome } from './idempotency-outcome.ts'
import { fingerprintOf } from './idempotency-print.ts'
import { NotRecorded } from './not-recorded.ts'

type Result = Record<string, unknown>

interface KeyRecord {
  print: string
  atMs: number
  /** Number of its first record on disk; null when the disk did not take it. */
  n: number | null
  /**
   * While it runs a promise; then where it is on disk, or JSON of an {@link Outcome} that the disk did not take. Null
   * when nobody knows it.
   */
  outcome: Promise<string | null> | number | string | null
  bytes: number
}

/** The keys of one owner, oldest first. */
interface Owned {
  records: Map<string, KeyRecord>
  bytes: number
}

const KEYS_MAX = 10_000
/** Of outcomes on disk. The call that goes over it is the last one let in. */
const BYTES_MAX = 64 * 1024 * 1024

export interface KeyedCall {
  owner: string
  key: string
  method: string
  params: unknown
  /** Result fields that are given once and not kept. */
  secrets: readonly string[]
  /** True for those who may act although the disk takes no record: a restart then forgets the key. */
  mayRunUnrecorded: boolean
  /** Ends the wait of this caller for a run that is another's. */
  signal: AbortSignal
  /** The state that the call is about, as it is now. */
  observe: () => Promise<ErrorFacts>
}

export class IdempotencyKeys {
  readonly #byOwner = new Map<string, Owned>()
  readonly #journal: IdempotencyJournal
  readonly #logger: Logger
  readonly #now: () => number
  /** Ended calls of which the disk knows the beginning alone. */
  readonly #owed = new Set<KeyRecord>()
  #first = 0
  #isEnding = false

  /**
   * @param deps.now of a `SteadyClock`: a clock that is set ahead must not make a call run twice
   * @throws what the file system says of the folder
   */
  constructor(deps: { folder: string; logger: Logger; now: () => number }) {
    this.#logger = deps.logger
    this.#journal = new IdempotencyJournal(deps)
    this.#now = () => Math.floor(deps.now())
  }

  /** Reads what earlier runs have left. */
  async start(): Promise<void> {
    const oldest = this.#now() - KEEP_MS
    for (const { n, at, owner, key, print, outcome, outcomeBytes: bytes } of await this.#journal.load()) {
      if (at <= oldest) continue
      const owned = this.#of(owner)
      const before = owned.records.get(key) // it was refused, and the disk did not take that
      if (before) this.#drop(owned, key, before)
      owned.records.set(key, { print, atMs: at, n, outcome, bytes })
      owned.bytes += bytes
    }
    this.#first = this.#journal.first
  }

  /** The agent stops: how a call fails from now on says nothing of its effect, and is not kept. */
  ending(): void {
    this.#isEnding = true
  }

  stop(): void {
    this.#pay()
    this.#journal.close()
  }

  /**
   * Runs the call, or gives the outcome that its key already has, with `replayed: true`. A refusal before the effect
   * (`isRefusal` says so) is not kept; the outcome of a call that the end of the agent cut short is not known.
   * @throws {AgentError} IDEMPOTENCY_CONFLICT, OUTCOME_UNKNOWN, TOO_MANY_REQUESTS, INTERNAL when the disk takes no
   *   record (nothing was done), and whatever the call throws
   */
  async run(
    call: KeyedCall,
    task: (isRecorded: boolean) => Promise<Result>,
    isRefusal: (error: unknown) => boolean,
  ): Promise<Result> {
    const owned = this.#of(call.owner)
    const print = fingerprintOf(call.method, call.params)
    const known = owned.records.get(call.key)
    if (known) return await this.#replay(known, print, call)
    this.#makeRoom(owned)
    let tell: (outcome: string | null) => void = () => undefined
    const outcome = new Promise<string | null>((resolve) => {
      tell = resolve
    })
    const record: KeyRecord = { print, atMs: this.#now(), n: null, outcome, bytes: 0 }
    owned.records.set(call.key, record)
    try {
      record.n = await this.#begin(call, record)
      const result = await task(record.n !== null)
      const text = resultOutcome(result, call.secrets)
      this.#keep(owned, call.key, record, text)
      tell(text)
      return result
    } catch (error) {
      const text = errorOutcome(error)
      if (isRefusal(error) || error instanceof NotRecorded) this.#free(owned, call.key, record)
      else if (this.#isEnding || isShutdown(error)) record.outcome = null
      else this.#keep(owned, call.key, record, text)
      tell(text)
      throw error
    }
  }

  /** Drops what is older than seven days, and writes what the disk did not take before. */
  sweep(): void {
    const oldest = this.#now() - KEEP_MS
    for (const [owner, owned] of this.#byOwner) {
      for (const [key, record] of owned.records) {
        if (record.atMs > oldest) break // insertion order is time order
        this.#drop(owned, key, record)
      }
      if (owned.records.size === 0) this.#byOwner.delete(owner)
    }
    this.#pay()
    this.#journal.retain()
    this.#forgetGone()
  }

  #of(owner: string): Owned {
    const owned = this.#byOwner.get(owner) ?? { records: new Map<string, KeyRecord>(), bytes: 0 }
    this.#byOwner.set(owner, owned)
    return owned
  }

  async #begin(
    { owner, key, method, mayRunUnrecorded }: KeyedCall,
    record: KeyRecord,
  ): Promise<number | null> {
    try {
      const n = await this.#journal.begin({ at: record.atMs, owner, key, method, print: record.print })
      this.#pay()
      this.#forgetGone()
      return n
    } catch (error) {
      this.#logger.error({ err: error, method }, 'a call with a key cannot be recorded')
      if (mayRunUnrecorded) return null
      throw new NotRecorded('idempotency', error)
    }
  }

  #keep(owned: Owned, key: string, record: KeyRecord, text: string): void {
    record.outcome = (record.n === null ? null : this.#journal.end(record.n, text)) ?? text
    if (record.n !== null && typeof record.outcome === 'string') this.#owed.add(record)
    if (owned.records.get(key) !== record) return
    record.bytes = Buffer.byteLength(text)
    owned.bytes += record.bytes
  }

  #free(owned: Owned, key: string, record: KeyRecord): void {
    if (owned.records.get(key) === record) owned.records.delete(key)
    record.outcome = null
    if (record.n !== null && !this.#journal.free(record.n)) this.#owed.add(record)
  }

  /** Writes the ends that are missing on disk. */
  #pay(): void {
    for (const record of this.#owed) {
      const { n, outcome } = record
      if (n === null) continue
      if (typeof outcome === 'string') {
        const at = this.#journal.end(n, outcome)
        if (at === null) return
        record.outcome = at
      } else if (!this.#journal.free(n)) return
      this.#owed.delete(record)
    }
  }

  /** Files went, and the records in them: those are all older than a day. */
  #forgetGone(): void {
    const { first } = this.#journal
    if (first === this.#first) return
    this.#first = first
    for (const owned of this.#byOwner.values())
      for (const [key, record] of owned.records) {
        if (record.n !== null && record.n >= first) break
        if (record.n !== null) this.#drop(owned, key, record)
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
      this.#drop(owned, ...oldest)
    }
  }

  #drop(owned: Owned, key: string, record: KeyRecord): void {
    owned.records.delete(key)
    owned.bytes -= record.bytes
    this.#owed.delete(record)
  }

  async #replay(record: KeyRecord, print: string, { observe, signal }: KeyedCall): Promise<Result> {
    if (record.print !== print)
      throw new AgentError(
        'IDEMPOTENCY_CONFLICT',
        'this idempotencyKey was used with another method or other parameters',
      )
    const outcome = await orAbort(this.#outcomeOf(record), signal)
    if (outcome === null)
      throw new AgentError(
        'OUTCOME_UNKNOWN',
        'the agent ended in the middle of this call: look at the state, then ask with another key',
        { facts: await observe() },
      )
    return fromOutcome(outcome)
  }

  async #outcomeOf(record: KeyRecord): Promise<Outcome | null> {
    const outcome = await record.outcome
    if (typeof outcome === 'number') return await this.#journal.outcome(outcome)
    return outcome === null ? null : Outcome.parse(JSON.parse(outcome))
  }
}

function isShutdown(error: unknown): boolean {
  return error instanceof AgentError && error.code === 'SHUTTING_DOWN'
}
