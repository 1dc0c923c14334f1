// When cron will run a schedule, clock changes included. Both daemons keep a clock of their own that follows the wall
// clock minute by minute; a change of the wall clock of less than three hours is caught up with, not jumped over:
// - fixed times that were skipped run right after, one after the other; those that come twice run once
// - schedules with a star as minute or hour follow the wall clock, whatever it does
import type { Zone } from '../host/zone.ts'
import { isWildcard, type TimedSchedule } from './schedule.ts'
import { allowsMinute, minutesOf } from './schedule-minutes.ts'

export interface PlannedRun {
  atMs: number
  /** It makes up for a time that the clock left out, or waits behind one that does: the instant is approximate. */
  isCatchUp: boolean
}

export interface Asked {
  afterMs: number
  zone: Zone
  count: number
}

const MINUTE_MS = 60_000
/** After each job that it catches up with, cron waits that long. */
const CATCH_UP_MS = 10_000
/** A change of the clock by more minutes is taken as a new time. */
const JUMP_MINUTES = 180
/** Up to that many minutes late, cron looks at the clock only when it is done. */
const WAKE_LATE_MINUTES = 5
/** A change before that no longer matters: cron's clock is right again. */
const LOOK_BACK_MS = 2 * 86_400_000
/** The 29th of February on a Sunday comes every 40 years at the latest. */
const HORIZON_MS = 50 * 366 * 86_400_000

/** The runs after an instant, in order; fewer than `count` when there are no more in fifty years. */
export function nextRuns(schedule: TimedSchedule, { afterMs, zone, count }: Asked): PlannedRun[] {
  const runs: PlannedRun[] = []
  if (count <= 0) return runs
  const all = isWildcard(schedule) ? wildcardRuns : fixedRuns
  for (const run of all(schedule, zone, afterMs)) if (run.atMs > afterMs && runs.push(run) >= count) break
  return runs
}

function* wildcardRuns(schedule: TimedSchedule, zone: Zone, afterMs: number): Generator<PlannedRun> {
  const endMs = afterMs + HORIZON_MS
  for (let startMs = afterMs; startMs < endMs; ) {
    const untilMs = Math.min(zone.changeAfter(startMs)?.atMs ?? Infinity, endMs)
    yield* runsBetween(schedule, zone, { startMs, untilMs, after: -Infinity })
    startMs = untilMs
  }
}

function* fixedRuns(schedule: TimedSchedule, zone: Zone, afterMs: number): Generator<PlannedRun> {
  const endMs = afterMs + HORIZON_MS
  let startMs = afterMs - LOOK_BACK_MS
  // the last minute that cron's own clock has done
  let done = minuteAt(zone, startMs)
  while (startMs < endMs) {
    const untilMs = Math.min(zone.changeAfter(startMs)?.atMs ?? Infinity, endMs)
    yield* runsBetween(schedule, zone, { startMs: Math.max(startMs, afterMs), untilMs, after: done })
    done = Math.max(done, lastMinute(zone, startMs, untilMs))
    const right = yield* catchUp(schedule, zone, { atMs: untilMs, done })
    startMs = right.atMs
    done = right.done
  }
}

/** The runs while the offset is what it is at `startMs`, of minutes later than `after`. */
function* runsBetween(
  schedule: TimedSchedule,
  zone: Zone,
  { startMs, untilMs, after }: { startMs: number; untilMs: number; after: number },
): Generator<PlannedRun> {
  const offset = zone.offsetAt(startMs)
  const from = Math.max(after + 1, minuteAt(zone, startMs))
  for (const minute of minutesOf(schedule, from, lastMinute(zone, startMs, untilMs) + 1))
    yield { atMs: (minute * 60 - offset) * 1000, isCatchUp: false }
}

/** Follows cron's loop after a change of the clock, until its own clock is right or ahead. */
function* catchUp(
  schedule: TimedSchedule,
  zone: Zone,
  from: { atMs: number; done: number },
): Generator<PlannedRun, { atMs: number; done: number }> {
  let { atMs, done } = from
  for (;;) {
    const now = minuteAt(zone, atMs)
    const late = now - done
    if (late > JUMP_MINUTES || late <= -JUMP_MINUTES) return { atMs, done: now - 1 }
    if (late <= 1) return { atMs, done }
    const isInTime = () => late <= WAKE_LATE_MINUTES || minuteAt(zone, atMs) === now
    let isDue = false
    while (done < now && isInTime()) {
      if (isDue) {
        yield { atMs, isCatchUp: true }
        atMs += CATCH_UP_MS
      }
      done++
      isDue = allowsMinute(schedule, done)
    }
    if (isDue) yield { atMs, isCatchUp: true }
    if (minuteAt(zone, atMs) === now) atMs = (now + 1) * MINUTE_MS - zone.offsetAt(atMs) * 1000
  }
}

function minuteAt(zone: Zone, atMs: number): number {
  return Math.floor((atMs / 1000 + zone.offsetAt(atMs)) / 60)
}

/** A minute that the change cuts off has begun before it. */
function lastMinute(zone: Zone, startMs: number, untilMs: number): number {
  return Math.ceil((untilMs / 1000 + zone.offsetAt(startMs)) / 60) - 1
}
