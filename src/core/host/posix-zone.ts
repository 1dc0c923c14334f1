// The rule at the end of a time zone file: `CET-1CEST,M3.5.0,M10.5.0/3` and the other forms of POSIX and RFC 8536.

const DAY_SECONDS = 86_400

/** The offset from UTC changes at that instant. Offsets are seconds east of UTC. */
export interface ZoneChange {
  atMs: number
  before: number
  after: number
}

/** A day of a year, by one of the three forms, and the seconds from its midnight. */
interface YearlyMoment {
  form: 'month-week-day' | 'day-without-leap' | 'day'
  numbers: readonly number[]
  seconds: number
}

export interface PosixZone {
  standard: number
  /** Null where the clock is never set. */
  summer: { offset: number; from: YearlyMoment; to: YearlyMoment } | null
}

const NAME = '(?:[A-Za-z]{3,}|<[A-Za-z0-9+-]{3,}>)'
const CLOCK = '[+-]?\\d{1,3}(?::\\d{2}(?::\\d{2})?)?'
const DAY = '(?:M\\d{1,2}\\.\\d\\.\\d|J\\d{1,3}|\\d{1,3})'
const MOMENT = `${DAY}(?:/${CLOCK})?`
const ZONE = new RegExp(`^${NAME}(${CLOCK})(?:${NAME}(${CLOCK})?,(${MOMENT}),(${MOMENT}))?$`)
/** A change of the clock without a time of its own is at two in the morning. */
const DEFAULT_CLOCK = '2'

/** @returns null when the text is not such a rule */
export function parsePosixZone(text: string): PosixZone | null {
  const [, standard, summer, from, to] = ZONE.exec(text) ?? []
  if (standard === undefined) return null
  // POSIX counts west of Greenwich
  const base = -secondsOf(standard)
  if (from === undefined || to === undefined) return { standard: base, summer: null }
  const offset = summer === undefined ? base + 3600 : -secondsOf(summer)
  return { standard: base, summer: { offset, from: momentOf(from), to: momentOf(to) } }
}

/** The changes of three years around an instant, in order. */
export function changesAround({ standard, summer }: PosixZone, atMs: number): ZoneChange[] {
  if (!summer) return []
  const year = new Date(atMs).getUTCFullYear()
  const changes: ZoneChange[] = []
  for (let one = year - 2; one <= year + 2; one++) {
    const into = { atMs: instantOf(summer.from, one, standard), before: standard, after: summer.offset }
    const out = { atMs: instantOf(summer.to, one, summer.offset), before: summer.offset, after: standard }
    changes.push(into, out)
  }
  const isNear = (at: number) => Math.abs(new Date(at).getUTCFullYear() - year) <= 1
  // summer time all the year round ends and begins in one instant
  return changes
    .toSorted((a, b) => a.atMs - b.atMs)
    .filter(({ atMs: at }, i, all) => isNear(at) && all[i + 1]?.atMs !== at && all[i - 1]?.atMs !== at)
}

/** Seconds east of UTC at that instant. */
export function offsetAt(zone: PosixZone, atMs: number): number {
  const changes = changesAround(zone, atMs)
  const last = changes.findLast((change) => change.atMs <= atMs)
  return last?.after ?? changes[0]?.before ?? zone.summer?.offset ?? zone.standard
}

function secondsOf(clock: string): number {
  const sign = clock.startsWith('-') ? -1 : 1
  const [hours = 0, minutes = 0, seconds = 0] = clock.replace(/^[+-]/, '').split(':').map(Number)
  return sign * (hours * 3600 + minutes * 60 + seconds)
}

function momentOf(text: string): YearlyMoment {
  const [day = '', clock = DEFAULT_CLOCK] = text.split('/')
  const form = day.startsWith('M') ? 'month-week-day' : day.startsWith('J') ? 'day-without-leap' : 'day'
  return { form, numbers: day.replace(/^[MJ]/, '').split('.').map(Number), seconds: secondsOf(clock) }
}

function instantOf(moment: YearlyMoment, year: number, offset: number): number {
  return (dayOf(moment, year) * DAY_SECONDS + moment.seconds - offset) * 1000
}

/** Days since 1970. */
function dayOf({ form, numbers }: YearlyMoment, year: number): number {
  const [first = 0, week = 0, weekday = 0] = numbers
  switch (form) {
    case 'day':
      return dayNumber(year, 0, 1) + first
    case 'day-without-leap': {
      const isLeap = dayNumber(year, 2, 1) - dayNumber(year, 1, 1) === 29
      return dayNumber(year, 0, first) + (isLeap && first >= 60 ? 1 : 0)
    }
    case 'month-week-day': {
      const start = dayNumber(year, first - 1, 1)
      // 1970 began on a Thursday
      const day = start + ((weekday - (start + 4) + 7 * 1e6) % 7) + (week - 1) * 7
      return day < dayNumber(year, first, 1) ? day : day - 7
    }
  }
}

function dayNumber(year: number, month: number, day: number): number {
  return Date.UTC(year, month, day) / 86_400_000
}
