import t from 'tap'
import { AuthFailures } from '../../../src/core/access/auth-failures.ts'
import { clock } from './support.ts'

const A = '192.0.2.1'

function failing(times: number, address = A) {
  const time = clock(0)
  const failures = new AuthFailures({ now: time.now })
  for (let i = 0; i < times; i++) failures.failed(address)
  return { time, failures }
}

await t.test('four failures do not bar an address, five do', async (t) => {
  t.equal(failing(4).failures.waitMs(A), 0)
  t.equal(failing(5).failures.waitMs(A), 60_000)
})

await t.test('the wait ends a minute after the first of five failures', async (t) => {
  const { time, failures } = failing(1)
  time.add(30_000)
  for (let i = 0; i < 4; i++) failures.failed(A)
  t.equal(failures.waitMs(A), 30_000)
  time.add(30_000)
  t.equal(failures.waitMs(A), 0, 'four of them are younger than a minute')
  failures.failed(A)
  t.equal(failures.waitMs(A), 30_000)
})

await t.test('another address is not barred', async (t) => {
  t.equal(failing(5).failures.waitMs('192.0.2.2'), 0)
})

await t.test('loopback is barred as any other', async (t) => {
  t.ok(failing(5, '127.0.0.1').failures.waitMs('::ffff:127.0.0.1') > 0)
})

await t.test('an IPv6 /64 is one client', async (t) => {
  const { failures } = failing(5, '2001:db8::1')
  t.ok(failures.waitMs('2001:db8::ffff:1') > 0)
  t.equal(failures.waitMs('2001:db8:0:1::1'), 0)
})

await t.test(
  'an address with a live session does not wait, and waits again when the last one ended',
  async (t) => {
    const { failures } = failing(5)
    failures.sessionOpened(A)
    failures.sessionOpened(A)
    t.equal(failures.waitMs(A), 0)
    failures.sessionClosed(A)
    t.equal(failures.waitMs(A), 0)
    failures.sessionClosed(A)
    t.ok(failures.waitMs(A) > 0)
  },
)

await t.test('holds ten thousand networks and forgets the oldest', async (t) => {
  const { failures } = failing(5)
  for (let i = 0; i < 12_000; i++) failures.failed(`10.${i >> 16}.${(i >> 8) & 255}.${i & 255}`)
  t.equal(failures.size, 10_000)
  t.equal(failures.waitMs(A), 0)
})

await t.test('makes room by forgetting what is older than a minute', async (t) => {
  const { time, failures } = failing(5)
  for (let i = 0; i < 9_999; i++) failures.failed(`10.0.${i >> 8}.${i & 255}`)
  time.add(61_000)
  failures.failed('192.0.2.9')
  t.equal(failures.size, 1)
})
