/**
 * A moment as `toISOString` writes it. V8's own looks up the name of the local time zone first, which brings 0.9 MB of
 * tables of zones into memory for good.
 * @throws {RangeError} for what is no moment of the years 0 to 9999
 */
export function isoTime(ms: number = Date.now()): string {
  const at = new Date(ms)
  const year = at.getUTCFullYear()
  if (!(year >= 0 && year <= 9999)) throw new RangeError(`no moment to write: ${ms}`)
  const date = `${padded(year, 4)}-${padded(at.getUTCMonth() + 1)}-${padded(at.getUTCDate())}`
  const time = `${padded(at.getUTCHours())}:${padded(at.getUTCMinutes())}:${padded(at.getUTCSeconds())}`
  return `${date}T${time}.${padded(at.getUTCMilliseconds(), 3)}Z`
}

function padded(value: number, length = 2): string {
  return String(value).padStart(length, '0')
}
