import { createTask } from 'node-cron'
import type { Logger } from '../../logger.ts'

/**
 * The agent's own periodic work. Always in UTC: in a zone with summer time a task would pause for an hour each
 * autumn. A chore that still runs is not started again, and one that fails is logged and comes again. When the clock is
 * set, a chore comes once, no later than it was to come before: node-cron's own timers would make up for every time that
 * was passed over, or wait until the clock has caught up.
 */
export class Chores {
  readonly #logger: Logger
  readonly #timers = new Map<string, NodeJS.Timeout>()
  #isStopped = false

  constructor(deps: { logger: Logger }) {
    this.#logger = deps.logger
  }

  /** @param at six fields, seconds first */
  add(name: string, at: string, task: () => unknown): void {
    const times = createTask(at, () => undefined, { timezone: 'UTC' })
    const arm = () => {
      if (this.#isStopped) return
      const [next] = times.getNextRuns(1)
      if (next) this.#timers.set(name, setTimeout(() => void run(), next.getTime() - Date.now()).unref())
    }
    const run = async () => {
      try {
        await task()
      } catch (error) {
        this.#logger.warn({ err: error, chore: name }, 'a chore failed')
      }
      arm()
    }
    arm()
  }

  stop(): void {
    this.#isStopped = true
    for (const timer of this.#timers.values()) clearTimeout(timer)
  }
}
