// What a subscriber gets that is behind memory: it is read from disk.
import { readdirSync, readFileSync, readlinkSync, unlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { EventBus } from '../../src/core/events/bus.ts'
import { EventJournal } from '../../src/core/events/journal.ts'
import { createLogger } from '../../src/logger.ts'
import { EventStream } from '../../src/server/event-stream.ts'
import { Outlet } from '../../src/server/outlet.ts'
import { until } from '../fixtures/wait.ts'
import { Peer, somebody } from './support.ts'

const MARKS = { highWaterBytes: 1000, lowWaterBytes: 250, stalledMs: 15_000 }
const viewer = () => somebody({ scopes: new Set(['read', 'logs']) })
const seqs = (peer: Peer) => peer.notes('event').map(({ seq }) => Number(seq))

/** Streams on one bus that keeps ten events in memory and the rest on disk. */
function onDisk(t: { testdir(): string }, options: { fileBytes?: number; totalBytes?: number } = {}) {
  const folder = join(t.testdir(), 'journal')
  return { folder, ...run(folder, options) }
}

function run(folder: string, options: { fileBytes?: number; totalBytes?: number } = {}) {
  const journal = new EventJournal({
    folder,
    logger: createLogger('silent'),
    now: Date.now,
    bootId: 'boot',
    limits: { fileBytes: 1e9, totalBytes: 1e9, keepMs: 1e9, ...options },
  })
  const bus = new EventBus({ journal, limits: { events: 10, bytes: 1e9 } })
  const publish = (count: number) => {
    for (let i = 0; i < count; i++)
      bus.publish('process.removed', { process: 'a-1', program: 'a', group: 'a' })
  }
  const begin = (after: number, how: { isStuck?: boolean; types?: string[] } = {}) => {
    const peer = new Peer()
    peer.isStuck = how.isStuck ?? false
    const outlet = new Outlet(peer, MARKS)
    const made = new EventStream({
      id: 'e1',
      bus,
      outlet,
      principal: viewer(),
      filter: { types: how.types, programs: undefined, since: undefined },
      after,
      onError: (error) => {
        throw error
      },
    })
    bus.onPublish(() => made.pump())
    made.start()
    const drain = () => {
      peer.unread = 0
      if (outlet.drained()) made.pump()
    }
    return { peer, stream: made, drain }
  }
  const files = () => readdirSync(folder).filter((name) => name.endsWith('.jsonl'))
  /** How many files of the journal are open for reading, here. */
  const open = () =>
    readdirSync('/proc/self/fd').filter((fd) => {
      try {
        const isOurs = readlinkSync(`/proc/self/fd/${fd}`).startsWith(folder)
        return isOurs && /flags:\s*\d*0$/m.test(readFileSync(`/proc/self/fdinfo/${fd}`, 'latin1'))
      } catch {
        return false
      }
    }).length
  return { bus, publish, begin, files, open }
}
const all = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, index) => from + index)

await t.test('a reader far behind reads on from disk when files go meanwhile', async (t) => {
  const { bus, publish, begin } = onDisk(t, { fileBytes: 5000, totalBytes: 20_000 })
  publish(100)
  const { peer, drain } = begin(0, { isStuck: true })
  await until(() => peer.unread > 1000)
  const [first] = [peer.notes('event').length]
  // the file that it is in goes, and those behind it stay
  publish(200)
  const { oldestKept, oldestSeq } = bus
  t.ok(oldestKept > first + 1 && oldestKept < oldestSeq, `${oldestKept} of ${oldestSeq}`)
  peer.isStuck = false
  drain()
  await until(() => seqs(peer).at(-1) === 300)
  t.strictSame(peer.notes('gap'), [
    { subscription: 'e1', epoch: bus.epoch, from: first + 1, to: oldestKept - 1 },
  ])
  t.strictSame(seqs(peer), [...all(1, first), ...all(oldestKept, 300)])
})

await t.test('it reads on also where somebody else removed a file', async (t) => {
  const { bus, publish, begin, files, folder } = onDisk(t, { fileBytes: 5000 })
  publish(200)
  const [, second = '', third = ''] = files().toSorted()
  unlinkSync(join(folder, second))
  const { peer } = begin(0)
  await until(() => seqs(peer).at(-1) === 200)
  const [from, to] = [Number(second.slice(0, 16)), Number(third.slice(0, 16)) - 1]
  t.strictSame(peer.notes('gap'), [{ subscription: 'e1', epoch: bus.epoch, from, to }])
  t.strictSame(seqs(peer), [...all(1, from - 1), ...all(to + 1, 200)])
})

await t.test(
  'a record that was damaged is a gap, and one that is not for the reader is not looked at',
  async (t) => {
    const { bus, publish, begin, files, folder } = onDisk(t)
    publish(30)
    const path = join(folder, files()[0] ?? '')
    const text = readFileSync(path, 'utf8').replace(/("seq":7,.*"payload":)\{/, '$1[')
    writeFileSync(path, text.replace('{"epoch":', '#"epoch":'))
    const { peer } = begin(0)
    await until(() => seqs(peer).at(-1) === 30)
    const gap = (seq: number) => ({ subscription: 'e1', epoch: bus.epoch, from: seq, to: seq })
    t.strictSame(peer.notes('gap'), [gap(1), gap(7)])
    t.strictSame(seqs(peer), [...all(2, 6), ...all(8, 30)])
    const other = begin(1, { types: ['agent.*'] })
    bus.publish('agent.started', { version: '1' })
    await until(() => seqs(other.peer).length > 0)
    t.strictSame(other.peer.notes('gap'), [])
  },
)

await t.test(
  'what the disk lost between two runs is a gap for whoever comes from before or within it',
  async (t) => {
    const { folder, publish } = onDisk(t)
    publish(5)
    const path = join(folder, 'state.json')
    const state = JSON.parse(readFileSync(path, 'utf8')) as object
    writeFileSync(path, `${JSON.stringify({ ...state, given: 50 }).padEnd(255)}\n`)
    const next = run(folder)
    next.publish(30)
    const { epoch } = next.bus
    for (const [after, first] of [
      [3, [4, 5]],
      [30, []],
    ] as const) {
      const { peer } = next.begin(after)
      await until(() => seqs(peer).at(-1) === 80)
      const from = Math.max(6, after + 1)
      t.strictSame(peer.notes('gap'), [{ subscription: 'e1', epoch, from, to: 50 }])
      t.strictSame(seqs(peer), [...first, ...all(51, 80)])
    }
  },
)

await t.test('few read the disk at a time, and nobody who waits for its peer or has ended', async (t) => {
  const { publish, begin, open } = onDisk(t)
  publish(4_000)
  t.equal(open(), 0)
  const slow = all(1, 20).map(() => begin(0, { isStuck: true }))
  await until(() => slow.every(({ peer }) => peer.unread > 1000))
  await until(() => open() === 0, 'the files to be closed')
  const readers = all(1, 40).map((n) => begin(n * 10))
  let most = 0
  await until(() => {
    most = Math.max(most, open())
    return readers.slice(0, 4).every(({ peer }) => peer.frames.length > 0)
  })
  for (const { stream } of readers.slice(4)) stream.stop()
  const sent = readers.map(({ peer }) => peer.frames.length)
  await until(() => readers.slice(0, 4).every(({ peer }) => seqs(peer).at(-1) === 4_000), 'the first', 60_000)
  await until(() => open() === 0, 'the files to be closed')
  t.ok(most >= 1 && most <= 4, `${most} files`)
  t.strictSame(
    readers.slice(4).map(({ peer }) => peer.frames.length),
    sent.slice(4),
    'who has ended gets nothing more',
  )
  for (const { peer, drain } of slow.slice(0, 3)) {
    peer.isStuck = false
    drain()
  }
  await until(() => slow.slice(0, 3).every(({ peer }) => seqs(peer).at(-1) === 4_000), 'slow ones', 60_000)
  for (const { peer } of slow.slice(0, 3))
    t.ok(
      seqs(peer).every((seq, index) => seq === index + 1),
      'unbroken',
    )
})
