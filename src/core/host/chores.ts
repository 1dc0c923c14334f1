import { type ScheduledTask, schedule } from 'node-cron'
import type { Logger } from '../../logger.ts'

/** A loop that is late still does its chore: node-cron would skip what is over a second late. */
const LATE_MS = 30_000

/**
 * The agent's own periodic work. Always in UTC: in a zone with summer time a task would pause for an hour each
 * autumn. A chore that still runs is not started again, and one that fails is logged and comes again.
 */
export class Chores {
  readonly #logger: Logger
  readonly #tasks: ScheduledTask[] = []

  constructor(deps: { logger: Logger }) {
    this.#logger = deps.logger
  }

  /** @param at six fields, seconds first */
  add(name: string, at: string, task: () => unknown): void {
    const run = async () => {
      try {
        await task()
      } catch (error) {
        this.#logger.warn({ err: error, chore: name }, 'a chore failed')
      }
    }
    const { info, warn, error, debug } = toLines(this.#logger.child({ chore: name }))
    const scheduled = schedule(at, run, {
      name,
      timezone: 'UTC',
      noOverlap: true,
      missedExecutionTolerance: LATE_MS,
      unref: true,
      logger: { info, warn, error, debug },
    })
    scheduled.on('execution:missed', run)
    this.#tasks.push(scheduled)
  }

  async stop(): Promise<void> {
    for (const task of this.#tasks.splice(0)) await task.destroy()
  }
}

/** node-cron hands text, an error or both. */
function toLines(logger: Logger) {
  const line =
    (level: 'debug' | 'info' | 'warn' | 'error') =>
    (message: unknown, cause?: unknown): void =>
      logger[level]({ cause }, message instanceof Error ? message.message : String(message))
  return { debug: line('debug'), info: line('debug'), warn: line('warn'), error: line('error') }
}
