import t from 'tap'
import { UtcFormat } from '../../../src/core/host/utc-format.ts'

/** As node-cron 4.6 asks. */
const PARTS = {
  year: 'numeric',
  month: '2-digit',
  day: '2-digit',
  hour: '2-digit',
  minute: '2-digit',
  second: '2-digit',
  weekday: 'short',
  hour12: false,
  timeZone: 'UTC',
} as const
const OFFSET = { timeZone: 'UTC', timeZoneName: 'shortOffset' } as const

await t.test('the stand-in says what Intl says, for times of all kinds', (t) => {
  const real = new Intl.DateTimeFormat('en-US', PARTS)
  const ours = new UtcFormat('en-US', PARTS)
  const step = 86_400_000 * 13 + 3_723_457
  let wrong = 0
  for (let at = Date.UTC(1999, 11, 31, 23, 59, 59); at < Date.UTC(2101, 0, 1); at += step)
    if (JSON.stringify(partsOf(real, at)) !== JSON.stringify(partsOf(ours, at))) wrong++
  t.equal(wrong, 0)
  t.end()
})

await t.test('its offset is that of GMT, and another zone is refused', (t) => {
  // both spellings are zero to node-cron; which one it is depends on the version of ICU
  for (const format of [new Intl.DateTimeFormat('en-US', OFFSET), new UtcFormat('en-US', OFFSET)])
    t.match(
      format.formatToParts(new Date(0)).find(({ type }) => type === 'timeZoneName')?.value,
      /^GMT(?:\+0)?$/,
    )
  t.throws(() => new UtcFormat('en-US', { timeZone: 'Europe/Berlin' }), RangeError)
  t.throws(() => new UtcFormat('en-US', {}), RangeError)
  t.end()
})

/** What node-cron reads of it: numbers by name, with midnight as 0, and the weekday. */
function partsOf(format: { formatToParts(date: Date): { type: string; value: string }[] }, at: number) {
  return format
    .formatToParts(new Date(at))
    .filter(({ type }) => type !== 'literal')
    .map(({ type, value }) => [
      type,
      type === 'weekday' ? value : Number(value) % (type === 'hour' ? 24 : 1e5),
    ])
    .toSorted(([a], [b]) => (String(a) < String(b) ? -1 : 1))
}
