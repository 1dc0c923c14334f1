import t from 'tap'
import { EventBus } from '../../../src/core/events/bus.ts'
import { SCOPES, type Scope } from '../../../src/protocol/scopes.ts'

const SEES_ALL = { scopes: new Set(SCOPES), users: ['*'] }
const SEES_STATES = { scopes: new Set<Scope>(['read']), users: [] }

const LARGE = { events: 100_000, bytes: 1e9 }

function publish(bus: EventBus, count: number): void {
  for (let i = 0; i < count; i++)
    bus.publish('process.removed', { process: `p-${i}`, program: 'p', group: 'p' })
}

await t.test('events are numbered from one, without a hole', async (t) => {
  const bus = new EventBus({ epoch: 'e', now: () => Date.parse('2026-01-01T00:00:00Z') })
  t.strictSame([bus.seq, bus.oldestSeq], [0, 1])
  t.equal(bus.at(1), undefined)
  bus.publish('agent.started', { version: '1' }, 'local:admin')
  bus.publishGap()
  t.strictSame([bus.seq, bus.oldestSeq], [2, 1])
  t.strictSame(JSON.parse(String(bus.at(1)?.frame('e1', SEES_ALL))), {
    jsonrpc: '2.0',
    method: 'event',
    params: {
      subscription: 'e1',
      epoch: 'e',
      seq: 1,
      at: '2026-01-01T00:00:00.000Z',
      type: 'agent.started',
      actor: 'local:admin',
      payload: { version: '1' },
    },
  })
  t.strictSame(JSON.parse(String(bus.at(2)?.frame('e1', SEES_ALL))), {
    jsonrpc: '2.0',
    method: 'gap',
    params: { subscription: 'e1', epoch: 'e', from: 2, to: 2 },
  })
})

await t.test('two buses have two epochs', async (t) => {
  t.not(new EventBus().epoch, new EventBus().epoch)
})

await t.test('the ring keeps so many events, the newest', async (t) => {
  for (const events of [1, 7, 1000, 2500]) {
    const bus = new EventBus({ limits: { events, bytes: 1e9 } })
    publish(bus, 6000)
    t.strictSame([bus.seq, bus.oldestSeq], [6000, 6001 - events], `${events}`)
    t.equal(bus.at(bus.oldestSeq - 1), undefined, 'what left is gone')
    t.equal(bus.at(bus.seq + 1), undefined, 'what has not happened is not there')
    for (let seq = bus.oldestSeq; seq <= bus.seq; seq++)
      if (bus.at(seq)?.seq !== seq) t.fail(`number ${seq} gives ${bus.at(seq)?.seq}`)
  }
})

await t.test('the ring keeps so many bytes', async (t) => {
  const bus = new EventBus({ limits: { events: 1000, bytes: 20_000 } })
  publish(bus, 1000)
  const held = Array.from({ length: bus.seq - bus.oldestSeq + 1 }, (_, index) =>
    bus.at(bus.oldestSeq + index),
  )
  const bytes = held.reduce((sum, stored) => sum + (stored?.sizeBytes ?? 0), 0)
  t.ok(bytes <= 20_000 && bytes > 19_000, `${bytes} bytes`)
  bus.publish('agent.stopping', { reason: 'x'.repeat(30_000) })
  t.equal(bus.oldestSeq, bus.seq + 1, 'one that is larger than the ring is not kept')
  publish(bus, 1)
  t.equal(bus.oldestSeq, bus.seq)
})

await t.test('subscribers share the bytes of a frame', async (t) => {
  const bus = new EventBus()
  publish(bus, 1)
  const stored = bus.at(1)
  t.equal(stored?.frame('e1', SEES_ALL), stored?.frame('e1', SEES_ALL))
  t.not(String(stored?.frame('e1', SEES_ALL)), String(stored?.frame('e2', SEES_ALL)))
})

await t.test('only the newest events keep ready frames', async (t) => {
  const bus = new EventBus({ limits: LARGE })
  publish(bus, 1)
  const isKept = (seq: number) => bus.at(seq)?.frame('e1', SEES_ALL) === bus.at(seq)?.frame('e1', SEES_ALL)
  for (let seq = 1; seq <= 1000; seq++) {
    if (!isKept(seq)) t.fail(`the frame of ${seq} is made anew`)
    publish(bus, 1)
  }
  const kept = Array.from({ length: bus.seq }, (_, index) => index + 1).filter(isKept)
  t.strictSame([kept.length, kept[0]], [256, bus.seq - 255])
  t.match(
    JSON.parse(String(bus.at(1)?.frame('e1', SEES_ALL))),
    { params: { seq: 1 } },
    'the old ones are there',
  )
})

await t.test('a log tail is only for those with logs', async (t) => {
  const bus = new EventBus()
  const transition = { process: 'a', program: 'a', from: 'RUNNING', to: 'FATAL', pid: null } as const
  bus.publish('process.state', { ...transition, logTail: 'secret' })
  for (const viewer of [SEES_ALL, SEES_STATES, SEES_ALL, SEES_STATES])
    t.equal(String(bus.at(1)?.frame('e1', viewer)).includes('secret'), viewer === SEES_ALL)
  t.match(JSON.parse(String(bus.at(1)?.frame('e1', SEES_STATES))), { params: { payload: transition } })
})

await t.test('listeners are told in the same tick until they undo it', async (t) => {
  const bus = new EventBus()
  const seen: number[] = []
  const undo = bus.onPublish(() => seen.push(bus.seq))
  publish(bus, 2)
  bus.publishGap()
  undo()
  publish(bus, 1)
  t.strictSame(seen, [1, 2, 3])
})

await t.test('publishing stays cheap when the ring is full', async (t) => {
  const bus = new EventBus({ limits: { ...LARGE, events: 8192 } })
  publish(bus, 20_000)
  const begin = performance.now()
  publish(bus, 20_000)
  t.ok(performance.now() - begin < 2000, '20 000 within two seconds')
})
