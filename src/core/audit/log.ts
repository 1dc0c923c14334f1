// Who did what, from where, and what came of it: every call that changes something, before and after its effect, and
// every refused one. Each record holds the hash of the one before; the last hash and the count are in a file beside the
// folder. What root changes in the records shows in a verification; root who also writes the file beside, or stops the
// agent before acting, is not seen: for that keep `audit.verify`'s last number and hash where this root has no power.
import { isoTime } from '../../lib/iso-time.ts'
import { RecordFiles } from '../../lib/record-files.ts'
import { recordFilesOf } from '../../lib/record-lines.ts'
import type { Logger } from '../../logger.ts'
import { NotRecorded } from '../access/not-recorded.ts'
import { callOf, type Done, endingOf, type SeenCall } from './describe.ts'
import { type Head, HeadFile, readHead } from './head.ts'
import type { AuditPaths } from './paths.ts'
import { type AuditEntry, hashOf, parseLine } from './record.ts'
import { RefusalRate } from './refusal-rate.ts'

const FILE_BYTES = 4 * 1024 * 1024
const TOTAL_BYTES = 128 * 1024 * 1024
const KEEP_MS = 400 * 24 * 3_600_000
/** Ends that wait for the disk to take them. */
const OWED_MAX = 1000

interface Limits {
  fileBytes: number
  totalBytes: number
  keepMs: number
}

interface AuditLogOptions {
  paths: AuditPaths
  logger: Logger
  /** Time for the ages of files; see `SteadyClock`. */
  now: () => number
  limits?: Limits
}

export class AuditLog {
  readonly #files: RecordFiles
  readonly #head: HeadFile
  readonly #logger: Logger
  readonly #rate = new RefusalRate()
  #n = 0
  #hash = ''
  #first: number
  #unwritten = 0
  #owed: AuditEntry[] = []
  #isAnchoring = false
  #isStopped = false

  /** Goes on where the last run ended. @throws what the file system says */
  constructor({ paths, logger, now, limits }: AuditLogOptions) {
    this.#logger = logger
    this.#files = new RecordFiles({
      folder: paths.folder,
      now,
      ...(limits ?? { fileBytes: FILE_BYTES, totalBytes: TOTAL_BYTES, keepMs: KEEP_MS }),
      onRetain: (first) => {
        this.#first = first
        this.#head.write(this.#now())
      },
    })
    const { head, problem } = headOrProblem(paths.head)
    this.#first = head?.first ?? this.#files.first ?? 1
    const broken = problem ?? this.#goOn(paths.folder, head)
    this.#head = new HeadFile(paths.head)
    if (broken !== null) {
      logger.error(
        { reason: broken },
        'records of the audit were changed behind its back: agent audit verify',
      )
      this.#write({ kind: 'break', reason: broken })
    }
    if (this.#files.cutBytes > 0) this.#write({ kind: 'torn', bytes: this.#files.cutBytes })
    this.#head.write(this.#now())
  }

  /** Number of the newest record. */
  get last(): number {
    return this.#n
  }

  /**
   * Keeps that a call is about to have an effect. The record is with the kernel when this returns.
   * @param mayRunUnrecorded for those who act all the same when the disk takes nothing
   * @returns its number; null when it is not recorded
   * @throws {AgentError} INTERNAL when it cannot be recorded: it must not run then
   */
  begin(call: SeenCall, mayRunUnrecorded: boolean): number | null {
    const error = this.#write({ kind: 'begin', ...callOf(call), ...this.#gap() })
    if (error === null) return this.#n
    if (!mayRunUnrecorded) throw new NotRecorded('audit', error)
    this.#unwritten++
    return null
  }

  /** Keeps how it ended. */
  end(of: number | null, done: Done, durationMs: number): void {
    if (of === null) return
    const record = { kind: 'end', of, ...endingOf(done, durationMs) } as const
    if (this.#write(record) !== null && this.#owed.length < OWED_MAX) this.#owed.push(record)
  }

  /** Keeps a call that had no effect: one that was refused, or the repeat of another. */
  call(call: SeenCall, done: Done, durationMs: number): void {
    const seen = callOf(call)
    if (!this.#rate.take(seen.actor, seen.method)) return
    const record = { kind: 'call', ...seen, ...endingOf(done, durationMs), ...this.#gap() } as const
    if (this.#write(record) !== null) this.#unwritten++
  }

  /** Writes what waits: refusals that were only counted, ends that the disk did not take. */
  settle(): void {
    if (this.#isStopped) return
    for (const { actor, method, count } of this.#rate.counted())
      if (this.#write({ kind: 'refusals', actor, method, count }) !== null) this.#unwritten += count
    this.#pay()
  }

  /** Lines from the file that holds `from` on, oldest first. */
  read(from: number): AsyncGenerator<string> {
    return this.#files.read(from)
  }

  stop(): void {
    if (this.#isStopped) return
    this.settle()
    this.#isStopped = true
    this.#files.flush()
    this.#head.write(this.#now())
    this.#files.close()
    this.#head.close()
  }

  /** Numbers go on behind the head, whatever is left of the records. @returns what is wrong with them */
  #goOn(folder: string, head: Head | null): string | null {
    const lines = this.#files.newest()
    const text = lines.at(-1)
    if (text !== undefined) {
      this.#n = parseLine(text)?.n ?? (recordFilesOf(folder).at(-1)?.first ?? 1) + lines.length - 1
      this.#hash = hashOf(text)
    }
    if (!head) return text === undefined ? null : 'the head was removed'
    if (head.n > this.#n) {
      const missing = head.n - this.#n
      this.#n = head.n
      this.#hash = head.hash
      return `${missing} records were removed from the end`
    }
    const headed = lines.find((line) => parseLine(line)?.n === head.n)
    return headed !== undefined && hashOf(headed) !== head.hash ? `record ${head.n} was changed` : null
  }

  #now(): Head {
    return { n: this.#n, hash: this.#hash, first: this.#first }
  }

  #gap(): { unwritten?: number } {
    return this.#unwritten === 0 ? {} : { unwritten: this.#unwritten }
  }

  /** @returns what the file system said when it did not take it */
  #write(record: AuditEntry): Error | null {
    if (this.#isStopped) return new Error('the audit is closed')
    const n = this.#n + 1
    const text = JSON.stringify({ n, at: isoTime(), prev: this.#hash, ...record })
    try {
      this.#files.append(n, text)
    } catch (error) {
      this.#logger.error({ err: error }, 'the audit cannot be written')
      return error instanceof Error ? error : new Error(String(error))
    }
    this.#n = n
    this.#hash = hashOf(text)
    if ('unwritten' in record) this.#unwritten = 0
    this.#anchorSoon()
    return null
  }

  #pay(): void {
    const owed = this.#owed
    this.#owed = []
    for (const record of owed)
      if (this.#owed.length > 0 || this.#write(record) !== null) this.#owed.push(record)
  }

  /** The head follows the records once these are on the disk, so that a power cut cannot leave it ahead of them. */
  #anchorSoon(): void {
    if (this.#isAnchoring) return
    this.#isAnchoring = true
    void this.#anchor()
  }

  async #anchor(): Promise<void> {
    for (let written = 0; written < this.#n && !this.#isStopped; ) {
      const head = this.#now()
      try {
        await this.#files.synced()
        if (!this.#isStopped) this.#head.write({ ...head, first: this.#first })
      } catch (error) {
        this.#logger.error({ err: error }, 'the head of the audit cannot be written')
        break
      }
      written = head.n
    }
    this.#isAnchoring = false
  }
}

function headOrProblem(path: string): { head: Head | null; problem: string | null } {
  try {
    return { head: readHead(path), problem: null }
  } catch (error) {
    if (error instanceof Error && 'code' in error) throw error
    return { head: null, problem: 'the head was damaged' }
  }
}
