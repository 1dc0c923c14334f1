// A journal on a disk that is full. Arguments: that disk, and which run it is. `first` publishes until the disk is full,
// and on, and is killed. `second` starts on the full disk, sees it get room, full and free again. Prints what it saw.
import { readdirSync, readFileSync, statSync, unlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { EventBus } from '../../../src/core/events/bus.ts'
import { EventJournal } from '../../../src/core/events/journal.ts'
import { createLogger } from '../../../src/logger.ts'
import { until } from '../../fixtures/wait.ts'

const RING = 20
const PAGE_BYTES = 4096
const TURN_MS = 500
const SOURCE = { supervisord: 12, started: 99, serial: 7, poolSerial: 3 }

const [disk = '', run] = process.argv.slice(2)
const ballast = join(disk, 'ballast')
const open = () =>
  new EventJournal({
    folder: join(disk, 'journal'),
    logger: createLogger('silent'),
    now: Date.now,
    bootId: 'boot',
  })
const state = () =>
  JSON.parse(readFileSync(join(disk, 'journal/state.json'), 'utf8')) as { state: string; given?: number }
const isBehind = () => state().given !== undefined
const fill = () => {
  for (const size of [65_536, 4096, 1])
    try {
      for (;;) writeFileSync(ballast, 'x'.repeat(size), { flag: 'a' })
    } catch {
      // full to that size
    }
}
const journal = open()
const bus = new EventBus({ journal, limits: { events: RING, bytes: 1e9 } })
const publish = (count: number, bytes = 200) => {
  for (let i = 0; i < count; i++) bus.publish('agent.started', { version: 'x'.repeat(bytes) })
}
const sizeOf = () => {
  const [name = ''] = readdirSync(join(disk, 'journal')).filter((one) => one.endsWith('.jsonl'))
  return statSync(join(disk, 'journal', name)).size
}
const publishUntilBehind = () => {
  while (!isBehind()) publish(1)
}
/** Events that can be read, and the gaps between them; every number must be in one of the two. */
const kept = async () => {
  const gaps: [from: number, to: number][] = []
  let next = 1
  for await (const { seq, last, type } of bus.history(1, new AbortController().signal)) {
    if (seq !== next) throw new Error(`${seq} after ${next - 1}`)
    next = last + 1
    if (type === null) gaps.push([seq, last])
  }
  return { gaps, last: next - 1 }
}

if (run === 'first') {
  publish(1)
  const before = sizeOf()
  publish(1, 0)
  const bare = sizeOf() - before
  // what the disk has given to the file is used up too: not even the record of a gap fits in
  publish(1, PAGE_BYTES - ((sizeOf() + bare) % PAGE_BYTES) - 10)
  fill()
  publishUntilBehind()
  const { seq: firstMissing } = bus
  publish(30)
  const said = { epoch: bus.epoch, seq: bus.seq, firstMissing, given: state().given }
  process.stdout.write(JSON.stringify(said), () => process.kill(process.pid, 'SIGKILL'))
} else {
  const begin = { epoch: bus.epoch, seq: bus.seq, isBehind: isBehind() }
  publish(3)
  unlinkSync(ballast)
  // nothing happens any more: it goes on by itself
  await until(() => !isBehind(), 'the journal to catch up')
  const afterKill = { ...(await kept()), seq: bus.seq }
  fill()
  publishUntilBehind()
  bus.causedBy(SOURCE, () => publish(1))
  bus.causedBy({ ...SOURCE, serial: 8 }, () => undefined)
  unlinkSync(ballast)
  // no timer runs meanwhile: the next event is a try as well
  for (let turn = 0; isBehind() && turn < RING / 2; turn++) {
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, TURN_MS)
    publish(1)
  }
  const isByEvent = !isBehind()
  const within = { ...(await kept()), isByEvent }
  fill()
  publishUntilBehind()
  const { seq: lost } = bus
  publish(2 * RING)
  unlinkSync(ballast)
  journal.stop()
  const stopped = state()
  const again = open()
  const beyond = { lost, oldest: bus.oldestSeq, gap: (await kept()).gaps.at(-1) }
  const goesOn = again.epoch === bus.epoch && again.seq === bus.seq && again.source?.serial === 8
  process.stdout.write(JSON.stringify({ begin, afterKill, within, beyond, stopped, goesOn }))
}
