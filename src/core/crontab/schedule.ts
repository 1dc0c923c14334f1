// What Debian's cron and cronie both take as a schedule and mean alike. Each takes more, and there they differ, or do
// something that nobody who wrote it can have meant.
import { FIELDS, type Field, parseField } from './schedule-field.ts'

/** Times by five fields. */
export interface TimedSchedule {
  kind: 'timed'
  /** As it is written into a crontab: one blank between the fields. */
  text: string
  minute: Field
  hour: Field
  day: Field
  month: Field
  weekday: Field
}

/** Once, when the host starts. */
export interface RebootSchedule {
  kind: 'reboot'
  text: string
}

export type Schedule = TimedSchedule | RebootSchedule

/** What is wrong with a schedule, in words. */
export interface ScheduleProblem {
  kind: 'problem'
  problem: string
}

const TEXT_MAX = 256
const ALIASES = new Map([
  ['@yearly', '0 0 1 1 *'],
  ['@annually', '0 0 1 1 *'],
  ['@monthly', '0 0 1 * *'],
  ['@weekly', '0 0 * * 0'],
  ['@daily', '0 0 * * *'],
  ['@midnight', '0 0 * * *'],
  ['@hourly', '0 * * * *'],
])
/** The most days that each month can have. */
const MONTH_DAYS = [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
const FOREIGN_CHARACTER = /[^0-9A-Za-z*/,\- \t]/

/** Whether an entry may have that schedule is for the policy (`@reboot`); here it is whether cron does what it says. */
export function parseSchedule(text: string): Schedule | ScheduleProblem {
  if (text.length > TEXT_MAX) return problem(`it is longer than ${TEXT_MAX} characters`)
  const trimmed = text.replace(/^[ \t]+|[ \t]+$/g, '')
  if (trimmed === '@reboot') return { kind: 'reboot', text: trimmed }
  if (trimmed.startsWith('@')) return parseAlias(trimmed)
  return parseFields(trimmed)
}

/** Whether a day may be one of both fields or must be one of each: a field that begins with a star makes it each. */
export function areDaysJoined({ day, weekday }: TimedSchedule): boolean {
  return day.isStar || weekday.isStar
}

/** Whether it follows the clock's every step; else it is for fixed times, which a change of the clock neither loses nor repeats. */
export function isWildcard({ minute, hour }: TimedSchedule): boolean {
  return minute.isStar || hour.isStar
}

function parseAlias(text: string): Schedule | ScheduleProblem {
  const fields = ALIASES.get(text)
  if (fields !== undefined) return parseTimed(fields, text)
  const known = [...ALIASES.keys(), '@reboot'].join(' ')
  return problem(
    ALIASES.has(text.toLowerCase()) || text.toLowerCase() === '@reboot'
      ? 'a name with @ is written in small letters'
      : `${JSON.stringify(text.slice(0, 40))} is none of ${known}`,
  )
}

function parseFields(text: string): Schedule | ScheduleProblem {
  const foreign = FOREIGN_CHARACTER.exec(text)
  if (foreign) return problem(`it holds ${named(foreign[0])}, which no field has`)
  const words = text === '' ? [] : text.split(/[ \t]+/)
  if (words.length !== FIELDS.length)
    return problem(
      `it has ${words.length} field${words.length === 1 ? '' : 's'}, and cron has five: minute, hour, day of the month, month, day of the week`,
    )
  return parseTimed(words.join(' '))
}

function parseTimed(fieldText: string, text = fieldText): TimedSchedule | ScheduleProblem {
  const words = fieldText.split(' ')
  const fields = FIELDS.map((spec, i) => parseField(words[i] ?? '', spec))
  const wrong = fields.find((field) => typeof field === 'string')
  if (wrong !== undefined) return problem(wrong)
  const [minute, hour, day, month, weekday] = fields.filter((field) => typeof field !== 'string')
  if (!minute || !hour || !day || !month || !weekday) return problem('it has not five fields')
  const schedule: TimedSchedule = { kind: 'timed', text, minute, hour, day, month, weekday }
  return neverRuns(schedule) ? problem('such a day never comes') : schedule
}

/** The 30th of February alone: any other day falls on every day of the week in time. */
function neverRuns(schedule: TimedSchedule): boolean {
  const { day, month } = schedule
  if (!areDaysJoined(schedule)) return false
  const first = day.values[0] ?? 0
  return month.values.every((one) => (MONTH_DAYS[one - 1] ?? 0) < first)
}

function problem(text: string): ScheduleProblem {
  return { kind: 'problem', problem: text }
}

function named(character: string): string {
  const code = character.codePointAt(0) ?? 0
  const shown = /[\p{Cc}\p{Cf}\p{Z}\p{Cs}]/u.test(character) ? '' : ` (${character})`
  return `the character U+${code.toString(16).toUpperCase().padStart(4, '0')}${shown}`
}
