import { areDaysJoined, type Schedule, type TimedSchedule } from './schedule.ts'

const MONTH_NAMES = [
  'January',
  'February',
  'March',
  'April',
  'May',
  'June',
  'July',
  'August',
  'September',
  'October',
  'November',
  'December',
]
const WEEKDAY_NAMES = ['Sunday', 'Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday']
/** So many times of the day are told one by one. */
const TIMES_MAX = 6
/** A longer list is told by its first three and its last. */
const LIST_MAX = 8

/** Says when a schedule runs, as in `at 03:15 on Monday to Friday in January`. */
export function describeSchedule(schedule: Schedule): string {
  if (schedule.kind === 'reboot') return 'once, when the host starts'
  return [times(schedule), days(schedule), months(schedule)].filter((part) => part !== '').join(' ')
}

/** The days of the month and of the week, or the one of them that says something. */
export function daysInWords({ day, weekday }: TimedSchedule): { day: string; weekday: string } {
  return {
    day:
      day.values.length === 31
        ? ''
        : `${plural('day', day.values)} ${listed(day.values, String)} of the month`,
    weekday: weekday.values.length === 7 ? '' : listed(weekday.values, (one) => WEEKDAY_NAMES[one] ?? ''),
  }
}

/** Runs of three and more as `9 to 17`, evenly spaced ones as `0, 2, 4 … 22`. */
export function listed(values: readonly number[], word: (value: number) => string): string {
  const parts: string[] = []
  for (let at = 0; at < values.length; ) {
    let end = at
    while ((values[end + 1] ?? Number.NaN) - (values[end] ?? 0) === 1) end++
    const run = values.slice(at, end + 1).map(word)
    parts.push(...(run.length > 2 ? [`${run[0]} to ${run.at(-1)}`] : run))
    at = end + 1
  }
  if (parts.length > LIST_MAX) return `${parts.slice(0, 3).join(', ')} … ${parts.at(-1)}`
  return parts.length < 2 ? parts.join('') : `${parts.slice(0, -1).join(', ')} and ${parts.at(-1)}`
}

/** `03:15` of a minute of the day. */
export function clockTime(minuteOfDay: number): string {
  return [Math.floor(minuteOfDay / 60), minuteOfDay % 60]
    .map((part) => String(part).padStart(2, '0'))
    .join(':')
}

function times({ minute, hour }: TimedSchedule): string {
  const everyHour = hour.values.length === 24
  if (minute.values.length * hour.values.length <= TIMES_MAX) {
    const all = hour.values.flatMap((one) => minute.values.map((at) => one * 60 + at))
    return `at ${listedTimes(all)}`
  }
  const often = evenly(minute.values)
  if (everyHour && minute.values.length === 1 && minute.values[0] === 0) return 'every hour'
  const within = often ?? `at ${plural('minute', minute.values)} ${listed(minute.values, String)}`
  if (everyHour) return often ?? `${within} of every hour`
  return `${within} of ${plural('hour', hour.values)} ${listed(hour.values, String)}`
}

function listedTimes(all: readonly number[]): string {
  const words = all.map(clockTime)
  return words.length < 2 ? words.join('') : `${words.slice(0, -1).join(', ')} and ${words.at(-1)}`
}

/** Null when the minutes are not spread evenly over the hour. */
function evenly(minutes: readonly number[]): string | null {
  const step = 60 / minutes.length
  if (step === 1) return 'every minute'
  return step < 60 && minutes.every((minute, i) => minute === i * step) ? `every ${step} minutes` : null
}

function days(schedule: TimedSchedule): string {
  const { day, weekday } = daysInWords(schedule)
  const isEveryDay = areDaysJoined(schedule) ? day === '' && weekday === '' : day === '' || weekday === ''
  if (isEveryDay) return schedule.hour.values.length < 24 ? 'every day' : ''
  if (day === '') return `on ${weekday}`
  if (weekday === '') return `on ${day}`
  return areDaysJoined(schedule) ? `on ${day}, if that is ${weekday}` : `on ${day}, and on ${weekday}`
}

function months({ month }: TimedSchedule): string {
  return month.values.length === 12 ? '' : `in ${listed(month.values, (one) => MONTH_NAMES[one - 1] ?? '')}`
}

function plural(word: string, values: readonly number[]): string {
  return values.length === 1 ? word : `${word}s`
}
