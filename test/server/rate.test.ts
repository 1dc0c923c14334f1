import t from 'tap'
import { Rate } from '../../src/server/rate.ts'

const made = (nowMs = 50_000) => new Rate({ perSecond: 50, burst: 100 }, nowMs)

/** What taking `count` at one moment gives. */
function take(rate: Rate, count: number, nowMs: number): number[] {
  return Array.from({ length: count }, () => rate.take(nowMs))
}

await t.test('a burst passes, and what comes over it is counted', async (t) => {
  const rate = made()
  t.strictSame(take(rate, 100, 50_000), Array(100).fill(0))
  t.strictSame(take(rate, 3, 50_000), [1, 2, 3])
})

await t.test('the rate comes back at 50 a second, never above the burst', async (t) => {
  const rate = made()
  take(rate, 100, 50_000)
  t.strictSame(take(rate, 2, 50_020), [0, 1], 'one after 20 ms')
  t.equal(take(rate, 60, 51_020).filter((over) => over === 0).length, 50, '50 after a second')
  t.equal(take(rate, 200, 3_000_000).filter((over) => over === 0).length, 100, '100 after long')
})

await t.test('the count of what went over begins anew after a second', async (t) => {
  const rate = made()
  take(rate, 100, 50_000)
  t.equal(take(rate, 200, 50_000).at(-1), 200)
  t.equal(rate.take(50_010), 201, 'within the second it goes on')
  take(rate, 55, 51_100)
  t.ok((take(rate, 1, 51_100).at(-1) ?? 0) < 10)
})

await t.test('an even 50 a second is never over, for an hour', async (t) => {
  const rate = made(0)
  let over = 0
  for (let at = 0; at < 3_600_000; at += 20) over += rate.take(at)
  t.equal(over, 0)
})

await t.test('property: no second lets more than burst + rate through', async (t) => {
  for (let round = 0; round < 50; round++) {
    const rate = made()
    const passed: number[] = []
    for (let at = 50_000; at < 55_000; at += Math.random() * 10) if (rate.take(at) === 0) passed.push(at)
    for (const from of passed)
      if (passed.filter((at) => at >= from && at < from + 1000).length > 150) t.fail('over burst and rate')
  }
  t.pass('50 rounds')
})
