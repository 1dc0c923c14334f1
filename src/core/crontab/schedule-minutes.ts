// Minutes of the wall clock, counted from the start of 1970 as that clock shows it. No time zone is in here.
import { areDaysJoined, type TimedSchedule } from './schedule.ts'

const DAY_MINUTES = 24 * 60
const DAY_MS = 86_400_000

/** Whether it allows that minute. */
export function allowsMinute(schedule: TimedSchedule, minute: number): boolean {
  const date = new Date(minute * 60_000)
  return (
    schedule.minute.values.includes(date.getUTCMinutes()) &&
    schedule.hour.values.includes(date.getUTCHours()) &&
    allowsDay(schedule, date)
  )
}

/** Every minute that it allows, from `from` on and before `end`. */
export function* minutesOf(schedule: TimedSchedule, from: number, end: number): Generator<number> {
  for (let day = Math.floor(from / DAY_MINUTES); day * DAY_MINUTES < end; day++) {
    const date = new Date(day * DAY_MS)
    if (!schedule.month.values.includes(date.getUTCMonth() + 1)) {
      // the last day of that month
      day = Date.UTC(date.getUTCFullYear(), date.getUTCMonth() + 1, 0) / DAY_MS
      continue
    }
    if (!allowsDay(schedule, date)) continue
    for (const hour of schedule.hour.values)
      for (const minute of schedule.minute.values) {
        const at = day * DAY_MINUTES + hour * 60 + minute
        if (at >= end) return
        if (at >= from) yield at
      }
  }
}

function allowsDay(schedule: TimedSchedule, date: Date): boolean {
  if (!schedule.month.values.includes(date.getUTCMonth() + 1)) return false
  const byDay = schedule.day.values.includes(date.getUTCDate())
  const byWeekday = schedule.weekday.values.includes(date.getUTCDay())
  return areDaysJoined(schedule) ? byDay && byWeekday : byDay || byWeekday
}
