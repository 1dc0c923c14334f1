import { AgentError } from '../../protocol/errors.ts'
import type { ProcessResult } from '../../protocol/process.ts'
import type { LogChunk } from '../logs/chain.ts'
import type { LogService } from '../logs/service.ts'
import type { LogTail } from '../logs/tail.ts'
import type { Entry, ProcessTable } from './process-table.ts'

export type Channel = 'stdout' | 'stderr'

export interface LogRange {
  lines?: number | undefined
  bytes?: number | undefined
  cursor?: string | undefined
}

const TAIL_BYTES = 4096
const TAIL_LINES = 20
/** An update takes a group out of supervisord and puts it in again; what does not come back meanwhile has left. */
const BACK_MS = 5_000

/** The logs of processes, read from the files that supervisord writes. */
export class ProcessLogs {
  readonly #logs: LogService
  readonly #table: ProcessTable

  constructor(deps: { logs: LogService; table: ProcessTable }) {
    this.#logs = deps.logs
    this.#table = deps.table
  }

  /** Of one process. @throws {AgentError} LOG_UNAVAILABLE, INVALID_PARAMS */
  async tail(entries: readonly Entry[], channel: Channel, range: LogRange): Promise<LogTail> {
    const [entry, ...more] = entries
    if (!entry || more.length > 0)
      throw new AgentError('INVALID_PARAMS', `process: it names ${entries.length} processes, one is needed`)
    return await this.#logs.tail(locate(entry, channel), {
      ...(range.lines === undefined ? {} : { lines: range.lines }),
      ...(range.bytes === undefined ? {} : { bytes: range.bytes }),
      ...(range.cursor === undefined ? {} : { cursor: range.cursor }),
    })
  }

  /**
   * The logs that these processes have. With one channel wanted of one process, the lack of it is an error.
   * @throws {AgentError} LOG_UNAVAILABLE when there is nothing to follow at all
   */
  sources(entries: readonly Entry[], channels: readonly Channel[]): { entry: Entry; channel: Channel }[] {
    const wanted = entries.flatMap((entry) => channels.map((channel) => ({ entry, channel })))
    const there = wanted.filter(({ entry, channel }) => pathOf(entry, channel) !== null)
    const [first] = wanted
    if (there.length === 0 && first) locate(first.entry, first.channel)
    return there
  }

  /**
   * Follows one log until the signal aborts, across rotation, restart and a file that is not there yet.
   * @throws {AgentError} LOG_UNAVAILABLE at the first step when there can be no such file, and when its process has left
   * supervisord for good
   */
  async *follow(
    entry: Entry,
    channel: Channel,
    options: { lines: number; cursor?: string; signal: AbortSignal },
  ): AsyncGenerator<LogChunk, void, void> {
    locate(entry, channel)
    const { name } = entry
    let leftAtMs: number | null = null
    const isOver = (): boolean => {
      leftAtMs = this.#table.get(name) ? null : (leftAtMs ?? performance.now())
      return leftAtMs !== null && performance.now() - leftAtMs >= BACK_MS
    }
    yield* this.#logs.follow({ locate: () => pathOf(this.#table.get(name), channel), isOver }, options)
    if (isOver())
      throw new AgentError('LOG_UNAVAILABLE', 'it was removed from supervisord', {
        facts: { process: name, channel, reason: 'removed' },
      })
  }

  /** Empties the logs of processes, both channels. */
  clear(entries: readonly Entry[]): ProcessResult[] {
    return entries.map((entry): ProcessResult => {
      const paths = new Set([entry.stdoutLogfile, entry.stderrLogfile].filter((path) => path !== null))
      try {
        if (paths.size === 0) locate(entry, 'stdout')
        for (const path of paths) this.#logs.clear(path)
        return { process: entry.name, ok: true, changed: true }
      } catch (error) {
        if (!(error instanceof AgentError)) throw error
        if (error.facts['reason'] === 'not-there-yet')
          return { process: entry.name, ok: true, changed: false }
        return {
          process: entry.name,
          ok: false,
          changed: false,
          error: { name: error.code, message: error.message },
        }
      }
    })
  }

  /** The end of what a process wrote last, for the event of its crash: stderr when it has a log of its own. */
  crashTail(entry: Entry): string | null {
    const end = (path: string | null) =>
      path === null ? null : this.#logs.lastLines(path, TAIL_BYTES, TAIL_LINES)
    return end(entry.stderrLogfile) || end(entry.stdoutLogfile)
  }
}

function pathOf(entry: Entry | undefined, channel: Channel): string | null {
  return (channel === 'stdout' ? entry?.stdoutLogfile : entry?.stderrLogfile) ?? null
}

function locate(entry: Entry, channel: Channel): string {
  const path = pathOf(entry, channel)
  if (path !== null) return path
  const hint =
    channel === 'stderr' && entry.stdoutLogfile !== null
      ? 'its stderr goes into the stdout log (redirect_stderr), or nowhere'
      : `set ${channel}_logfile in its program to a file; NONE and syslog leave nothing to read`
  throw new AgentError('LOG_UNAVAILABLE', `${entry.name} has no ${channel} log: ${hint}`, {
    facts: { process: entry.name, channel, reason: 'none' },
  })
}
