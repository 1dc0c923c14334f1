const WEEKDAYS = ['Sun', 'Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat']

interface Part {
  type: string
  value: string
}

/**
 * What node-cron asks of `Intl.DateTimeFormat`, for UTC alone. It stands in for it in the daemon's bundle: the agent's
 * chores are in UTC, and the real one brings 8 MB of tables of languages and zones into memory.
 */
export class UtcFormat {
  readonly #isOffset: boolean

  /** @throws {RangeError} for any other zone than UTC */
  constructor(_locale: string, options: { timeZone?: string; timeZoneName?: string }) {
    if (options.timeZone !== 'UTC') throw new RangeError(`no zone but UTC, and not ${options.timeZone}`)
    this.#isOffset = options.timeZoneName !== undefined
  }

  formatToParts(date: Date): Part[] {
    if (this.#isOffset) return [{ type: 'timeZoneName', value: 'GMT' }]
    return [
      { type: 'weekday', value: WEEKDAYS[date.getUTCDay()] ?? '' },
      { type: 'month', value: pair(date.getUTCMonth() + 1) },
      { type: 'day', value: pair(date.getUTCDate()) },
      { type: 'year', value: String(date.getUTCFullYear()) },
      { type: 'hour', value: pair(date.getUTCHours()) },
      { type: 'minute', value: pair(date.getUTCMinutes()) },
      { type: 'second', value: pair(date.getUTCSeconds()) },
    ]
  }
}

function pair(value: number): string {
  return String(value).padStart(2, '0')
}
