import type { Channel, ProcessLogs } from '../core/supervisor/process-logs.ts'
import type { Entry } from '../core/supervisor/process-table.ts'
import type { Logger } from '../logger.ts'
import { AgentError } from '../protocol/errors.ts'
import { notification } from './event-frames.ts'
import type { Outlet } from './outlet.ts'

/**
 * One `log.follow`: every selected log is read at the pace of its reader. While the outlet is closed nothing is read,
 * so that nothing is lost before the file itself is rotated away.
 */
export class LogStream {
  readonly id: string
  readonly #logs: ProcessLogs
  readonly #outlet: Outlet
  readonly #logger: Logger
  readonly #end = new AbortController()
  readonly #isAllowed: (entry: Entry) => boolean
  readonly #onOver: () => void
  #running = 0

  constructor(deps: {
    id: string
    logs: ProcessLogs
    outlet: Outlet
    logger: Logger
    /** Asked before each piece: rights may end while a log is followed. */
    isAllowed: (entry: Entry) => boolean
    /** None of its logs can go on. */
    onOver: () => void
  }) {
    this.id = deps.id
    this.#logs = deps.logs
    this.#outlet = deps.outlet
    this.#logger = deps.logger
    this.#isAllowed = deps.isAllowed
    this.#onOver = deps.onOver
  }

  follow(entry: Entry, channel: Channel, options: { lines: number; cursor?: string }): void {
    const source = { process: entry.name, channel }
    this.#running++
    this.#run(entry, channel, options).catch((error: unknown) => {
      if (this.#end.signal.aborted) return
      if (!(error instanceof AgentError))
        this.#logger.error({ err: error, ...source }, 'following a log failed')
      const ended =
        error instanceof AgentError ? error.message : 'internal error; the agent log has the detail'
      this.#send({ ...source, cursor: '', text: '', ended })
      if (--this.#running === 0) this.#onOver()
    })
  }

  stop(): void {
    this.#end.abort()
  }

  async #run(entry: Entry, channel: Channel, options: { lines: number; cursor?: string }): Promise<void> {
    const { signal } = this.#end
    for await (const { text, cursor, dropped } of this.#logs.follow(entry, channel, { ...options, signal })) {
      // all streams wake together, and the first ones may have filled it again
      while (!signal.aborted && !this.#outlet.isOpen) await this.#outlet.opened()
      if (signal.aborted) return
      if (!this.#isAllowed(entry)) throw new AgentError('FORBIDDEN', 'the right to read this log has ended')
      this.#send({
        process: entry.name,
        channel,
        cursor,
        text,
        ...(dropped === undefined ? {} : { dropped }),
      })
    }
  }

  #send(params: Record<string, unknown>): void {
    this.#outlet.send(notification('log', { subscription: this.id, ...params }))
  }
}
