// Reads the audit as it is on disk, beside a running agent or without one, and changes nothing.
import { statSync } from 'node:fs'
import { linesOf, type RecordFile, recordFilesOf } from '../../lib/record-lines.ts'
import { type Head, readHead } from './head.ts'
import type { AuditPaths } from './paths.ts'
import { hashOf, parseLine } from './record.ts'

export interface AuditVerdict {
  ok: boolean
  /** Records that were read. */
  records: number
  first: number | null
  last: number | null
  /** Hash of the last one: what to keep elsewhere. */
  hash: string
  /** Writes that the end of the agent or of the host tore, and that were cut off. */
  torn: number
  /** Records that the disk did not take. */
  unwritten: number
  brokenAt?: number
  reason?: string
}

/** A record that is not what it was. */
class Broken extends Error {
  readonly at: number

  constructor(at: number, reason: string) {
    super(reason)
    this.at = at
  }
}

/** Finds an edited, removed, reordered or truncated record. @throws what the file system says */
export async function verifyAudit(paths: AuditPaths): Promise<AuditVerdict> {
  // the head first: records that come meanwhile lie behind it
  const head = headOf(paths)
  const walk = new Walk(head)
  try {
    const files = filesOf(paths.folder)
    for (const [index, file] of files.entries()) await walk.file(file, index === files.length - 1)
    // the oldest may have gone meanwhile, which the head says before
    walk.end(headOf(paths))
    return { ok: true, ...walk.summary() }
  } catch (error) {
    if (!(error instanceof Broken)) throw error
    return { ok: false, ...walk.summary(), brokenAt: error.at, reason: error.message }
  }
}

class Walk {
  #records = 0
  #first: number | null = null
  #last = 0
  #hash: string | null = null
  #torn = 0
  #unwritten = 0
  readonly #head: Head | null
  /** Hash of the record that the head names. */
  #headed: string | null = null

  constructor(head: Head | null) {
    this.#head = head
  }

  summary(): Omit<AuditVerdict, 'ok'> {
    return {
      records: this.#records,
      first: this.#first,
      last: this.#first === null ? null : this.#last,
      hash: this.#hash ?? '',
      torn: this.#torn,
      unwritten: this.#unwritten,
    }
  }

  async file({ path, first }: RecordFile, isLast: boolean): Promise<void> {
    if (this.#first === null) this.#last = first - 1
    else if (first !== this.#last + 1)
      throw new Broken(this.#last + 1, `the next file begins with record ${first}`)
    const size = sizeOf(path)
    let bytes = 0
    for await (const text of linesOf(path)) {
      bytes += Buffer.byteLength(text) + 1
      this.#line(text)
    }
    if (size <= bytes) return
    if (!isLast) throw new Broken(this.#last + 1, 'a file ends in the middle of a record')
    this.#torn++
  }

  end(later: Head | null): void {
    const head = this.#head
    if (!head || !later) {
      if (this.#first === null) return
      throw new Broken(
        this.#last,
        'audit.head, with the number and the hash of the last record, is missing or damaged',
      )
    }
    if (head.n > this.#last)
      throw new Broken(this.#last + 1, `records up to ${head.n} were written, and are missing`)
    const oldest = Math.max(head.first, later.first)
    if (this.#first !== null && this.#first > oldest)
      throw new Broken(oldest, `records from ${oldest} on are kept, and are missing`)
    if (this.#headed !== null && this.#headed !== head.hash)
      throw new Broken(head.n, 'it is not what was written last')
  }

  #line(text: string): void {
    const at = this.#last + 1
    const line = parseLine(text)
    if (!line) throw new Broken(at, 'it is no record')
    if (line.n !== at) throw new Broken(at, `record ${line.n} is in its place`)
    if (this.#hash !== null && line.prev !== this.#hash)
      throw new Broken(at - 1, `it is not what record ${at} was written behind`)
    if (line.kind === 'break') throw new Broken(at, `found at a start of the agent: ${line.reason}`)
    this.#records++
    this.#first ??= at
    this.#last = at
    this.#hash = hashOf(text)
    if (at === this.#head?.n) this.#headed = this.#hash
    if (line.kind === 'torn') this.#torn++
    if ('unwritten' in line) this.#unwritten += line.unwritten ?? 0
  }
}

function headOf({ head }: AuditPaths): Head | null {
  try {
    return readHead(head)
  } catch (error) {
    if (error instanceof Error && 'code' in error) throw error
    return null
  }
}

function filesOf(folder: string): RecordFile[] {
  try {
    return recordFilesOf(folder)
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return []
    throw error
  }
}

function sizeOf(path: string): number {
  try {
    return statSync(path).size
  } catch {
    return 0 // its time was over, and it went meanwhile
  }
}
