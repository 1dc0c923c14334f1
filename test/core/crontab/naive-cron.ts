// What cron's loop does with a schedule, a minute at a time and with the zones that Node has of its own: slow, simple,
// and nothing of ours in it. The rules are in the head of schedule-next.ts.
import type { MadeField } from './random.ts'

export interface Tick {
  atMs: number
  /** Minutes that the wall clock has counted. */
  wall: number
}

/** The minutes of some days as the host's clock shows them, by the zones that Node has of its own. */
export function ticksOf(zone: string, fromMs: number, days: number): Tick[] {
  const format = new Intl.DateTimeFormat('en', {
    timeZone: zone,
    hourCycle: 'h23',
    year: 'numeric',
    month: 'numeric',
    day: 'numeric',
    hour: 'numeric',
    minute: 'numeric',
  })
  return Array.from({ length: days * 1440 }, (_, i) => {
    const atMs = fromMs + i * 60_000
    const parts = Object.fromEntries(
      format.formatToParts(atMs).map(({ type, value }) => [type, Number(value)]),
    )
    const { year = 0, month = 0, day = 0, hour = 0, minute = 0 } = parts
    return { atMs, wall: Date.UTC(year, month - 1, day, hour, minute) / 60_000 }
  })
}

/** When it runs; what is made up for after a change of the clock is at the minute of the change. */
export function naiveRuns(schedule: readonly MadeField[], ticks: readonly Tick[]): number[] {
  const [minute, hour, day, month, weekday] = schedule
  if (!minute || !hour || !day || !month || !weekday) throw new Error('five fields')
  const starred = (field: MadeField) => field.text.startsWith('*')
  const matches = (wall: number): boolean => {
    if (!minute.allows.has(wall % 60) || !hour.allows.has(Math.floor(wall / 60) % 24)) return false
    const date = new Date(wall * 60_000)
    const byDay = day.allows.has(date.getUTCDate())
    const byWeekday = weekday.allows.has(date.getUTCDay())
    const isDay = starred(day) || starred(weekday) ? byDay && byWeekday : byDay || byWeekday
    return isDay && month.allows.has(date.getUTCMonth() + 1)
  }
  const isWild = starred(minute) || starred(hour)
  const runs: number[] = []
  let done = (ticks[0]?.wall ?? 0) - 1
  for (const { atMs, wall } of ticks) {
    const ahead = wall - done
    if (isWild || Math.abs(ahead) > 180) {
      if (matches(wall)) runs.push(atMs)
      done = wall
    } else while (done < wall) if (matches(++done)) runs.push(atMs)
  }
  return runs
}
