import type { AuditLog } from './log.ts'
import type { AuditPaths } from './paths.ts'
import { type AuditLine, type Call, type Ending, parseLine } from './record.ts'
import { type AuditVerdict, verifyAudit } from './verify.ts'

/** A call with what came of it; `unfinished` when it runs, or when the agent ended in the middle. */
export type AuditRecord = { n: number; at: string } & Partial<Call> &
  Partial<Ending> & { actor: string; outcome: string; count?: number }

/** Lines before the newest ones among which their beginnings are looked for. */
const SLACK = 500
const BYTES_MAX = 700 * 1024

/** The audit as methods see it. */
export class AuditService {
  readonly #log: AuditLog
  readonly #paths: AuditPaths
  #verifying: Promise<AuditVerdict> | null = null

  constructor(deps: { log: AuditLog; paths: AuditPaths }) {
    this.#log = deps.log
    this.#paths = deps.paths
  }

  /**
   * Calls, oldest first: the newest ones, or with `since` the first ones from then on.
   * @returns `more` when there are more of them than fit
   */
  async list({ since, limit }: { since?: string | undefined; limit: number }): Promise<{
    records: AuditRecord[]
    more: boolean
  }> {
    const sinceMs = since === undefined ? null : Date.parse(since)
    const from = sinceMs === null ? Math.max(1, this.#log.last - 2 * limit - SLACK) : 1
    const records = new Map<number, AuditRecord>()
    let more = false
    for await (const text of this.#log.read(from)) {
      const line = parseLine(text)
      if (line?.kind === 'end') {
        const begun = records.get(line.of)
        if (begun) records.set(line.of, withEnding(begun, line))
      }
      const record = line && recordOf(line)
      if (!record || (sinceMs !== null && Date.parse(record.at) < sinceMs)) continue
      if (records.size < limit || sinceMs === null) records.set(record.n, record)
      else more = true
      if (records.size <= limit) continue
      const [oldest] = records.keys()
      records.delete(oldest ?? 0)
      more = true
    }
    return fitting([...records.values()], sinceMs === null, more || from > 1)
  }

  /** Reads all of it; who asks meanwhile gets the same answer. */
  async verify(): Promise<AuditVerdict> {
    this.#verifying ??= verifyAudit(this.#paths).finally(() => {
      this.#verifying = null
    })
    return await this.#verifying
  }
}

function recordOf(line: AuditLine): AuditRecord | null {
  const { n, at } = line
  switch (line.kind) {
    case 'begin': {
      const { prev: _prev, kind: _kind, unwritten: _unwritten, ...rest } = line
      return { ...rest, outcome: 'unfinished' }
    }
    case 'call': {
      const { prev: _prev, kind: _kind, unwritten: _unwritten, ...rest } = line
      return rest
    }
    case 'refusals':
      return {
        n,
        at,
        actor: line.actor,
        ...(line.method === undefined ? {} : { method: line.method }),
        outcome: 'refused',
        count: line.count,
      }
    case 'end':
    case 'break':
    case 'torn':
      return null
  }
}

function withEnding(record: AuditRecord, line: Extract<AuditLine, { kind: 'end' }>): AuditRecord {
  const { n: _n, at: _at, prev: _prev, kind: _kind, of: _of, ...ending } = line
  return { ...record, ...ending }
}

/** As many as one frame takes, from the end that was asked for. */
function fitting(
  records: readonly AuditRecord[],
  isNewest: boolean,
  more: boolean,
): { records: AuditRecord[]; more: boolean } {
  const ordered = isNewest ? records.toReversed() : records
  let bytes = 0
  const over = ordered.findIndex((record) => {
    bytes += Buffer.byteLength(JSON.stringify(record))
    return bytes > BYTES_MAX
  })
  const taken = over < 0 ? ordered : ordered.slice(0, over)
  return { records: isNewest ? taken.toReversed() : [...taken], more: more || over >= 0 }
}
