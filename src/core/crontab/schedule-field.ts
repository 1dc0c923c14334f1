/** One of the five fields of a schedule. */
export interface FieldSpec {
  name: 'minute' | 'hour' | 'day of the month' | 'month' | 'day of the week'
  low: number
  high: number
  /** Names of three letters, from `low` on. */
  names: readonly string[]
}

export const MONTHS = ['jan', 'feb', 'mar', 'apr', 'may', 'jun', 'jul', 'aug', 'sep', 'oct', 'nov', 'dec']
export const WEEKDAYS = ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat']

/** In the order in which a crontab has them. */
export const FIELDS = [
  { name: 'minute', low: 0, high: 59, names: [] },
  { name: 'hour', low: 0, high: 23, names: [] },
  { name: 'day of the month', low: 1, high: 31, names: [] },
  { name: 'month', low: 1, high: 12, names: MONTHS },
  // 7 is Sunday too
  { name: 'day of the week', low: 0, high: 7, names: WEEKDAYS },
] as const satisfies readonly FieldSpec[]

export interface Field {
  /** What it allows, ascending; Sunday is 0. */
  values: readonly number[]
  /** Begins with a star, on which the rules of days and of clock changes depend: `5,*` allows all and is none. */
  isStar: boolean
  text: string
}

const ITEM = /^(?:(\*)|([a-z]+|\d+)(?:-([a-z]+|\d+))?)(?:\/(\d+))?$/i
/** More digits are none that somebody means, and both daemons count them wrong. */
const DIGITS_MAX = 9

/** @returns the field, or in words what is wrong with it */
export function parseField(text: string, spec: FieldSpec): Field | string {
  const values = new Set<number>()
  for (const item of text.split(',')) {
    const wrong = addItem(values, item, spec)
    if (wrong !== null) return `${spec.name}: ${wrong}`
  }
  if (spec.high === 7 && values.delete(7)) values.add(0)
  return { values: [...values].toSorted((a, b) => a - b), isStar: text.startsWith('*'), text }
}

function addItem(values: Set<number>, item: string, spec: FieldSpec): string | null {
  const [, star, from, to, step] = ITEM.exec(item) ?? []
  if (star === undefined && from === undefined) return `${quoted(item)} is not a number, a range or *`
  const low = from === undefined ? spec.low : valueOf(from, spec)
  const high = to === undefined ? (star === undefined ? low : spec.high) : valueOf(to, spec)
  if (typeof low === 'string') return low
  if (typeof high === 'string') return high
  if (high < low) return `${quoted(item)} goes backwards, and never comes true: write it as two ranges`
  if (step !== undefined && star === undefined && to === undefined)
    return `${quoted(item)} has a step without a range`
  const by = step === undefined ? 1 : numberOf(step)
  if (by === null || by === 0) return `${quoted(item)} has a step that is none`
  // every nth day of the week counts from Sunday to the second Sunday
  for (let value = low; value <= high; value += by) values.add(value)
  return null
}

function valueOf(word: string, { low, high, names }: FieldSpec): number | string {
  const place = names.indexOf(word.toLowerCase())
  if (place >= 0) return low + place
  const value = numberOf(word)
  if (value === null)
    return `${quoted(word)} is not a ${names.length > 0 ? 'number or a name of three letters' : 'number'}`
  return value >= low && value <= high ? value : `${quoted(word)} is not from ${low} to ${high}`
}

function numberOf(text: string): number | null {
  return /^\d+$/.test(text) && text.length <= DIGITS_MAX ? Number(text) : null
}

function quoted(text: string): string {
  return JSON.stringify(text.slice(0, 40))
}
