import t from 'tap'
import { Outlet } from '../../src/server/outlet.ts'
import { Peer } from './support.ts'

const MARKS = { highWaterBytes: 1000, lowWaterBytes: 250, stalledMs: 15_000 }

function made() {
  const peer = new Peer()
  return { peer, outlet: new Outlet(peer, MARKS) }
}

await t.test('it closes above the high mark and opens at the low one, not between', async (t) => {
  const { peer, outlet } = made()
  const steps = [
    { unread: 0, isOpen: true },
    { unread: 1000, isOpen: true },
    { unread: 1001, isOpen: false },
    { unread: 900, isOpen: false },
    { unread: 251, isOpen: false },
    { unread: 250, isOpen: true },
    { unread: 900, isOpen: true },
  ]
  for (const { unread, isOpen } of steps) {
    peer.unread = unread
    outlet.drained()
    t.equal(outlet.isOpen, isOpen, `${unread} unread`)
  }
})

await t.test('drained tells only the moment of opening', async (t) => {
  const { peer, outlet } = made()
  t.equal(outlet.drained(), false, 'it was open')
  peer.unread = 2000
  t.equal(outlet.isOpen, false)
  t.equal(outlet.drained(), false, 'still full')
  peer.unread = 0
  t.equal(outlet.drained(), true)
  t.equal(outlet.drained(), false, 'once')
})

await t.test('who waits goes on when it opens, or when it ends', async (t) => {
  const { peer, outlet } = made()
  await outlet.opened()
  peer.unread = 2000
  let passed = 0
  const waiting = [1, 2].map(() => outlet.opened().then(() => passed++))
  await Promise.resolve()
  t.equal(passed, 0)
  peer.unread = 0
  outlet.drained()
  await Promise.all(waiting)
  t.equal(passed, 2)
  peer.unread = 2000
  const last = outlet.opened()
  outlet.release()
  await last
})

await t.test('answers pass while it is closed', async (t) => {
  const { peer, outlet } = made()
  peer.unread = 2000
  t.equal(outlet.isOpen, false)
  outlet.send(Buffer.from('{"id":1}'))
  t.strictSame(peer.frames, [{ id: 1 }])
})

await t.test(
  'a peer that does not read is stalled after 15 s, also when only answers were sent',
  async (t) => {
    const { peer, outlet } = made()
    const now = performance.now()
    t.equal(outlet.isStalled(now), false)
    t.equal(outlet.isStalled(now + 60_000), false, 'silence is no stall')
    peer.unread = 2000
    t.equal(outlet.isStalled(now), false, 'the look that finds it full begins to count')
    t.equal(outlet.isStalled(now + 14_000), false)
    t.equal(outlet.isStalled(now + 16_000), true)
    peer.unread = 0
    outlet.drained()
    t.equal(outlet.isStalled(now + 60_000), false)
  },
)

await t.test('a peer that takes a little now and then is slow, not stalled', async (t) => {
  const { peer, outlet } = made()
  const now = performance.now()
  peer.unread = 2000
  for (let ms = 0; ms <= 60_000; ms += 10_000) {
    peer.taken++
    t.equal(outlet.isStalled(now + ms), false)
  }
  t.equal(outlet.isStalled(now + 74_000), false)
  t.equal(outlet.isStalled(now + 76_000), true)
})
