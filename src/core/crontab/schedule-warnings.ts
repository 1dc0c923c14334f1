// What is right to cron and may not be what somebody meant.
import { isoTime } from '../../lib/iso-time.ts'
import type { ZoneChange } from '../host/posix-zone.ts'
import type { Zone } from '../host/zone.ts'
import { areDaysJoined, isWildcard, type Schedule, type TimedSchedule } from './schedule.ts'
import { FIELDS, type Field, type FieldSpec } from './schedule-field.ts'
import { minutesOf } from './schedule-minutes.ts'
import { nextRuns } from './schedule-next.ts'
import { clockTime, daysInWords, listed } from './schedule-words.ts'

/** Both changes of a year, wherever in it one stands. */
const CLOCK_CHANGES_MS = 400 * 86_400_000
const YEAR_MS = 366 * 86_400_000
/** What cron no longer makes up for. */
const JUMP_SECONDS = 180 * 60
const DAY_MINUTES = 24 * 60
/** Where each field starts again. */
const ROUND = {
  minute: 'hour',
  hour: 'day',
  'day of the month': 'month',
  month: 'year',
  'day of the week': 'week',
}

export function scheduleWarnings(
  schedule: Schedule,
  { afterMs, zone }: { afterMs: number; zone: Zone },
): string[] {
  if (schedule.kind === 'reboot') return ['it runs when the host starts, and nobody knows when that is']
  return [
    ...stepWarnings(schedule),
    ...dayWarnings(schedule),
    ...clockWarnings(schedule, zone, afterMs),
    ...rareWarnings(schedule, zone, afterMs),
  ]
}

function stepWarnings({ minute, hour, day, month, weekday }: TimedSchedule): string[] {
  const fields = [minute, hour, day, month, weekday]
  return FIELDS.flatMap((spec, i) => {
    const field = fields[i]
    return field ? [stepWarning(field, spec)].filter((text) => text !== null) : []
  })
}

/** Of a field that is one range with a step. */
function stepWarning({ text, values }: Field, spec: FieldSpec): string | null {
  const [, range = '', step = ''] = /^([^,]+)\/(\d+)$/.exec(text) ?? []
  const by = Number(step)
  if (range === '' || by < 2) return null
  const shown = listed(values, String)
  if (values.length === 1)
    return `${spec.name} ${text}: the step is longer than the range, so it is ${shown} alone`
  const [low = spec.low, high = spec.high] = range === '*' ? [] : range.split('-').map(Number)
  const isWhole = range === '*' || (low === spec.low && high === spec.high)
  const size = spec.name === 'day of the week' ? 7 : spec.high - spec.low + 1
  if (!isWhole || (spec.name !== 'day of the month' && size % by === 0)) return null
  return `${spec.name} ${text}: it is ${shown} and starts again with each ${ROUND[spec.name]}, so the last pause is shorter`
}

function dayWarnings(schedule: TimedSchedule): string[] {
  const { day, weekday } = daysInWords(schedule)
  const warnings: string[] = []
  if (day !== '' && weekday !== '')
    warnings.push(
      areDaysJoined(schedule)
        ? `a day must be both, one of ${day} and ${weekday}, since one of the two fields begins with *`
        : `a day needs to be one of both only: ${day}, or ${weekday}`,
    )
  const first = schedule.day.values[0] ?? 1
  if (first > 28 && areDaysJoined(schedule)) {
    const isFebruary = schedule.month.values.length === 1 && schedule.month.values[0] === 2
    warnings.push(
      isFebruary ? 'it runs in leap years only' : `it does not run in months without a day ${first}`,
    )
  }
  return warnings
}

/** The next time that the clock leaves times out, and the next time that it repeats them. */
function clockWarnings(schedule: TimedSchedule, zone: Zone, afterMs: number): string[] {
  const warnings: string[] = []
  const seen = new Set<boolean>()
  for (let atMs = afterMs; ; ) {
    const change = zone.changeAfter(atMs)
    if (!change || change.atMs > afterMs + CLOCK_CHANGES_MS) return warnings
    const isForward = change.after > change.before
    if (!seen.has(isForward)) warnings.push(...changeWarnings(schedule, change))
    seen.add(isForward)
    atMs = change.atMs
  }
}

function changeWarnings(schedule: TimedSchedule, change: ZoneChange): string[] {
  const { atMs, before, after } = change
  const [from, end] = [before, after].toSorted((a, b) => a - b).map((offset) => (atMs / 1000 + offset) / 60)
  if (from === undefined || end === undefined) return []
  const touched = [...minutesOf(schedule, Math.ceil(from), Math.ceil(end))]
  // what runs every hour is neither missed nor surprising
  if (touched.length === 0 || (isWildcard(schedule) && schedule.hour.values.length === 24)) return []
  const day = isoTime(from * 60_000).slice(0, 10)
  const which = timesInWords(touched)
  const resumed = clockTime(((end % DAY_MINUTES) + DAY_MINUTES) % DAY_MINUTES)
  if (Math.abs(after - before) >= JUMP_SECONDS)
    return [`on ${day} the clock is set by more than cron makes up for: ${which} may be lost or repeated`]
  if (after > before)
    return [
      isWildcard(schedule)
        ? `on ${day} there is no ${which}: it does not run then`
        : `on ${day} there is no ${which}: it runs at about ${resumed} instead`,
    ]
  return [
    isWildcard(schedule)
      ? `on ${day} the clock shows ${which} twice: it runs both times`
      : `on ${day} the clock shows ${which} twice: it runs the first time only`,
  ]
}

function timesInWords(minutes: readonly number[]): string {
  const [first = 0] = minutes
  const last = minutes.at(-1) ?? first
  const word = (minute: number) => clockTime(minute % DAY_MINUTES)
  return minutes.length === 1 ? word(first) : `${word(first)} to ${word(last)}`
}

function rareWarnings(schedule: TimedSchedule, zone: Zone, afterMs: number): string[] {
  const [next] = nextRuns(schedule, { afterMs, zone, count: 1 })
  if (!next) return ['it does not run within the next fifty years']
  if (next.atMs - afterMs <= YEAR_MS) return []
  return [`it does not run before ${isoTime(next.atMs).slice(0, 10)}`]
}
