// The `schedules:` of the config. node-cron says whether a minute of the wall clock is meant, the rules of the zone which
// minute that is: on its own node-cron leaves out an hour of each autumn. A time that passes while the agent is down, or
// the host asleep, is not made up for.
import { createTask } from 'node-cron'
import { isoTime } from '../../lib/iso-time.ts'
import type { Logger } from '../../logger.ts'
import type { ScheduleRun, ShownSchedule } from '../../protocol/schedule.ts'
import { isWildcard, parseSchedule, type TimedSchedule } from '../crontab/schedule.ts'
import { nextRuns } from '../crontab/schedule-next.ts'
import { namedZone, type Zone } from '../host/zone.ts'
import { isDue, type Times } from './due.ts'

/** One of the config. */
export interface ScheduleRule {
  readonly at: string
  readonly timezone: string
  readonly action: 'start' | 'stop' | 'restart'
  readonly select: readonly string[]
  readonly mode?: 'hard' | 'graceful' | 'rolling' | undefined
}

/** What became of the processes. */
export type Carried = Pick<ScheduleRun, 'changed' | 'failed'>

export interface ScheduleClockDeps {
  rules: readonly ScheduleRule[]
  /** Does what a rule says. @param number its place in the config, from 1 */
  carryOut: (number: number, rule: ScheduleRule, signal: AbortSignal) => Promise<Carried>
  logger: Logger
}

interface Planned {
  number: number
  rule: ScheduleRule
  zone: Zone
  parsed: TimedSchedule
  times: Times
  running: Promise<void> | null
  lastRun: ScheduleRun | null
}

const MINUTE_MS = 60_000
/** A clock that is set back by more is taken as it is: its minutes count again. */
const SET_BACK_MS = 5 * MINUTE_MS

export class ScheduleClock {
  readonly #deps: ScheduleClockDeps
  readonly #planned: readonly Planned[]
  readonly #ending = new AbortController()
  #timer: NodeJS.Timeout | undefined
  #lookedAtMs = 0

  /** @throws {Error} for a rule that the config does not take */
  constructor(deps: ScheduleClockDeps) {
    this.#deps = deps
    this.#planned = deps.rules.map((rule, i) => planned(rule, i + 1))
  }

  /** The minute that has begun is not looked at any more. */
  start(): void {
    const nowMs = Date.now()
    this.#lookedAtMs = minuteOf(nowMs)
    this.#arm(nowMs)
  }

  /** What runs is told to end. */
  async stop(): Promise<void> {
    clearTimeout(this.#timer)
    this.#ending.abort()
    await Promise.all(this.#planned.flatMap(({ running }) => running ?? []))
  }

  list(nowMs = Date.now()): ShownSchedule[] {
    return this.#planned.map(({ number, rule, parsed, zone, running, lastRun }) => {
      const { at, timezone, action, select, mode } = rule
      const [next] = nextRuns(parsed, { afterMs: nowMs, zone, count: 1 })
      return {
        schedule: number,
        at,
        timezone,
        action,
        select: [...select],
        ...(action === 'restart' ? { mode: mode ?? 'hard' } : {}),
        ...(next ? { next: isoTime(next.atMs) } : {}),
        running: running !== null,
        ...(lastRun ? { lastRun } : {}),
      }
    })
  }

  /** Begins what is due in that minute, unless it was looked at before. */
  look(nowMs: number): void {
    const minuteMs = minuteOf(nowMs)
    const aheadMs = this.#lookedAtMs - minuteMs
    if (aheadMs >= 0 && aheadMs <= SET_BACK_MS) return
    this.#lookedAtMs = minuteMs
    for (const one of this.#planned) if (isDue(one.times, one.zone, minuteMs)) this.#begin(one, minuteMs)
  }

  /** @param lookedMs when it was looked at: a timer may be early, and a minute that begins after that look is to come */
  #arm(lookedMs: number): void {
    this.#timer = setTimeout(
      () => {
        const nowMs = Date.now()
        this.look(nowMs)
        if (!this.#ending.signal.aborted) this.#arm(nowMs)
      },
      minuteOf(lookedMs) + MINUTE_MS - lookedMs,
    ).unref()
  }

  #begin(one: Planned, dueMs: number): void {
    const { number, rule } = one
    const about = { schedule: number, action: rule.action, select: rule.select }
    if (one.running) {
      this.#deps.logger.warn(about, 'a schedule is due while its last run goes on: it is left out this time')
      return
    }
    one.running = this.#carryOut(one, dueMs, about).finally(() => {
      one.running = null
    })
  }

  async #carryOut(one: Planned, dueMs: number, about: object): Promise<void> {
    const { carryOut, logger } = this.#deps
    const startedAt = isoTime(dueMs)
    logger.info(about, 'a schedule begins')
    try {
      const { changed, failed } = await carryOut(one.number, one.rule, this.#ending.signal)
      one.lastRun = { startedAt, endedAt: isoTime(), ok: failed.length === 0, changed, failed }
      const text = failed.length === 0 ? 'a schedule was carried out' : 'a schedule was carried out in part'
      logger[failed.length === 0 ? 'info' : 'warn']({ ...about, changed, failed }, text)
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error)
      one.lastRun = { startedAt, endedAt: isoTime(), ok: false, changed: [], failed: [], error: message }
      logger.warn({ ...about, err: error }, 'a schedule was not carried out')
    }
  }
}

function planned(rule: ScheduleRule, number: number): Planned {
  const { at, timezone } = rule
  const parsed = parseSchedule(at)
  const zone = namedZone(timezone)
  if (parsed.kind !== 'timed' || !zone) throw new Error(`schedule ${number}: ${at} in ${timezone}`)
  // in UTC a wall clock of any zone can be shown to it
  const task = createTask(at, () => undefined, { timezone: 'UTC' })
  const times = { matches: (wallMs: number) => task.match(new Date(wallMs)), isFixed: !isWildcard(parsed) }
  return { number, rule, zone, parsed, times, running: null, lastRun: null }
}

function minuteOf(atMs: number): number {
  return Math.floor(atMs / MINUTE_MS) * MINUTE_MS
}
