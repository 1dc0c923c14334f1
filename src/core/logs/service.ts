/**
 * The logs of processes and of supervisord, read from their files: last lines, following, clearing. All followers of
 * a file share one reader. A rotation loses nothing that is still on disk; what was destroyed is reported.
 */
import { setMaxListeners } from 'node:events'
import { closeSync, ftruncateSync, readSync } from 'node:fs'
import { sleep } from '../../lib/sleep.ts'
import { AgentError } from '../../protocol/errors.ts'
import type { LogChunk } from './chain.ts'
import { parseCursor } from './cursor.ts'
import { Disk } from './disk.ts'
import { LogFile } from './log-file.ts'
import { isNotThereYet, notThereYet, openLogFile, realLogPath, unavailable } from './open.ts'
import { type LogTail, place, readTail, type TailOptions } from './tail.ts'
import { characterStart, wholeCharactersEnd } from './utf8.ts'

/** A log file's path; or functions that are asked again while following, since AUTO names change on a restart. */
export type LogSource =
  | string
  | {
      locate: () => string | null
      /** True once nothing more is wanted but what is there. */
      isOver?: () => boolean
    }

export interface FollowOptions {
  /** Complete lines to begin with, at most 256 KiB of them; ignored with a cursor. */
  lines?: number
  cursor?: string
  signal: AbortSignal
}

export interface LogStats {
  files: number
  followers: number
  descriptors: number
  reads: number
}

/** A rotation leaves the path empty for microseconds. */
const GONE_MS = [2, 4, 8]

export class LogService {
  readonly #disk = new Disk()
  readonly #files = new Map<string, { file: LogFile; users: number }>()
  readonly #ends = new Set<() => void>()
  #isStopped = false

  /**
   * The text from the last lines or from a cursor on (first an empty one where nothing is there yet), for ever, in batches of whole characters: 4 KiB or 50 ms, at
   * most 64 KiB. A file that is not there yet is waited for. Ends when the signal aborts, the source is over or the service
   * stops.
   * @throws {AgentError} LOG_UNAVAILABLE, also later when the file is replaced by a link; INVALID_PARAMS for a cursor
   */
  async *follow(
    source: LogSource,
    { lines = 10, cursor, signal }: FollowOptions,
  ): AsyncGenerator<LogChunk, void, void> {
    if (cursor !== undefined) parseCursor(cursor)
    let path = pathOf(source)
    const isOver = (): boolean => typeof source !== 'string' && source.isOver?.() === true
    const reading = { isEnded: signal.aborted }
    const end = (): void => {
      reading.isEnded = true
      this.#files.get(path)?.file.look()
    }
    this.#ends.add(end)
    setMaxListeners(0, signal) // a connection has one signal and up to 32 streams; Node would warn of a leak at 11
    signal.addEventListener('abort', end, { once: true })
    try {
      for (
        let isFirst = true;
        !reading.isEnded && !isOver();
        isFirst = false, path = currentPath(source, path)
      ) {
        const file = this.#acquire(path)
        const follower = file.attach(() => reading.isEnded || isOver() || currentPath(source, path) !== path)
        try {
          file.throwIfRefused()
          if (isFirst) {
            await place(file.chain, follower.position, cursor === undefined ? { lines } : { lines, cursor })
            const { generation, offset } = follower.position
            // a log that stays quiet has a cursor too: whoever comes back with it misses nothing
            if (generation?.size === offset) yield { text: '', cursor: generation.cursor(offset, null) }
          } else follower.position.offset = 0
          for (let isDue = true; !reading.isEnded; isDue = false) {
            const chunk = await file.next(follower, isDue)
            if (!chunk || reading.isEnded) break
            yield chunk
          }
        } finally {
          file.detach(follower)
          this.#release(path)
        }
      }
    } finally {
      signal.removeEventListener('abort', end)
      this.#ends.delete(end)
    }
  }

  /**
   * The last lines (100 unless said otherwise) or bytes, or what came after a cursor: at most 256 KiB, and less where it is
   * mostly control characters, which JSON makes long.
   * @throws {AgentError} LOG_UNAVAILABLE; INVALID_PARAMS for a malformed cursor
   */
  async tail(source: LogSource, options: TailOptions = {}): Promise<LogTail> {
    if (options.cursor !== undefined) parseCursor(options.cursor)
    const path = pathOf(source)
    const file = this.#acquire(path)
    const { chain } = file
    try {
      file.look()
      file.throwIfRefused()
      for (const ms of GONE_MS) {
        if (chain.current) break
        await sleep(ms)
        file.look()
        file.throwIfRefused()
      }
      if (!chain.current) throw notThereYet(path)
      const position = chain.attach()
      try {
        return await readTail(chain, position, options)
      } finally {
        chain.detach(position)
      }
    } finally {
      this.#release(path)
    }
  }

  /**
   * Empties a log; what follows it goes on at its beginning.
   * @throws {AgentError} LOG_UNAVAILABLE for anything but a regular file of one name
   */
  clear(source: LogSource): void {
    const path = pathOf(source)
    const { fd } = openLogFile(path, { write: true })
    try {
      ftruncateSync(fd, 0)
    } finally {
      closeSync(fd)
    }
    this.#files.get(path)?.file.look()
  }

  /** The last lines of a file, at once and without waiting, for a message; null when there is nothing to read. */
  lastLines(path: string, maxBytes: number, maxLines: number): string | null {
    let fd: number | null = null
    try {
      const opened = openLogFile(path)
      fd = opened.fd
      const size = Number(opened.stat.size)
      const bytes = Buffer.alloc(Math.min(size, maxBytes))
      const count = readSync(fd, bytes, 0, bytes.length, size - bytes.length)
      const start = size > count ? characterStart(bytes, 0) : 0
      const text = bytes.toString('utf8', start, wholeCharactersEnd(bytes, start, count))
      const lines = text.replace(/\n$/, '').split('\n').slice(-maxLines)
      return text === '' ? null : lines.join('\n')
    } catch {
      return null
    } finally {
      if (fd !== null) closeSync(fd)
    }
  }

  stats(): LogStats {
    const files = [...this.#files.values()]
    return {
      files: files.length,
      followers: files.reduce((sum, { file }) => sum + file.followers, 0),
      descriptors: this.#disk.descriptors,
      reads: this.#disk.reads,
    }
  }

  /** Ends all followers and closes all files; a read under way closes its file when it is done. */
  stop(): void {
    this.#isStopped = true
    for (const end of this.#ends) end()
    for (const { file } of this.#files.values()) file.close()
    this.#files.clear()
  }

  #acquire(path: string): LogFile {
    if (this.#isStopped) throw new AgentError('SHUTTING_DOWN', 'the agent is stopping')
    refusePath(path)
    const entry = this.#files.get(path) ?? { file: new LogFile(path, this.#disk), users: 0 }
    entry.users++
    this.#files.set(path, entry)
    return entry.file
  }

  #release(path: string): void {
    const entry = this.#files.get(path)
    if (!entry || --entry.users > 0) return
    entry.file.close()
    this.#files.delete(path)
  }
}

function pathOf(source: LogSource): string {
  const path = typeof source === 'string' ? source : source.locate()
  if (path === null)
    throw unavailable(
      'no-file',
      '',
      'supervisord names no log file for this process; run `agent supervisor reread`',
    )
  return path
}

function currentPath(source: LogSource, path: string): string {
  return typeof source === 'string' ? source : (source.locate() ?? path)
}

/** A file that is not there yet may be waited for; all else is refused before anything is touched. */
function refusePath(path: string): void {
  try {
    realLogPath(path)
  } catch (error) {
    if (!isNotThereYet(error)) throw error
  }
}
