import { LogNotification } from '../protocol/frames.ts'
import type { Source } from './feed.ts'
import type { Inbox } from './inbox.ts'
import { checked } from './incoming.ts'

/** A piece of a log, of whole characters. */
export interface LogChunk {
  process: string
  channel: 'stdout' | 'stderr'
  text: string
  /** Where this piece ends; opaque. */
  cursor: string
  /** Bytes before this piece that are gone for good. */
  dropped?: number
  /** Why no more of this log comes. */
  ended?: string
}

export interface FollowOptions {
  select: readonly string[]
  /** Default stdout. */
  channel?: 'stdout' | 'stderr' | 'both'
  /** Lines of each log to begin with; default 10. */
  lines?: number
  /** Where to go on instead, by `process` or `process/channel`. */
  cursors?: Readonly<Record<string, string>>
  signal?: AbortSignal
}

/** A log without a cursor had nothing to show when it was first followed: after a break all of it is new. */
const RESUMED_LINES = 10_000

/** Where a reader of logs is in each of them. */
export class LogSource implements Source {
  readonly #options: FollowOptions
  readonly #inbox: Inbox<LogChunk>
  readonly #cursors = new Map<string, string>()
  #isResumed = false

  constructor(options: FollowOptions, inbox: Inbox<LogChunk>) {
    this.#options = options
    this.#inbox = inbox
  }

  subscription(): { method: string; params: Record<string, unknown>; undo: string } {
    const { select, channel, lines, cursors } = this.#options
    const resumedLines = this.#isResumed && lines !== 0 ? RESUMED_LINES : lines
    const params = {
      select,
      ...(channel && { channel }),
      ...(resumedLines !== undefined && { lines: resumedLines }),
      cursors: { ...cursors, ...Object.fromEntries(this.#cursors) },
    }
    return { method: 'log.follow', params, undo: 'log.unfollow' }
  }

  started(): void {
    this.#isResumed = true
  }

  receive(method: string, params: Record<string, unknown>): void {
    if (method !== 'log') return
    const { process, channel, text, cursor, dropped, ended } = checked(LogNotification, params, method)
    if (cursor !== '') this.#cursors.set(`${process}/${channel}`, cursor)
    if (text === '' && dropped === undefined && ended === undefined) return // a position alone
    this.#inbox.push({
      process,
      channel,
      text,
      cursor,
      ...(dropped === undefined ? {} : { dropped }),
      ...(ended === undefined ? {} : { ended }),
    })
  }
}
