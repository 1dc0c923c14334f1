import { execFileSync } from 'node:child_process'
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { EventBus } from '../../../src/core/events/bus.ts'
import { EventJournal, type Source } from '../../../src/core/events/journal.ts'
import { createLogger } from '../../../src/logger.ts'
import { noNamespace } from '../../fixtures/namespace.ts'

interface Scope {
  testdir(): string
}

const SOURCE: Source = { supervisord: 12, started: 99, serial: 7, poolSerial: 3 }

/** A run of the agent after another, on one folder. */
function runs(t: Scope) {
  const folder = join(t.testdir(), 'journal')
  return {
    folder,
    state: () => JSON.parse(readFileSync(join(folder, 'state.json'), 'utf8')) as Record<string, unknown>,
    newest: () =>
      join(
        folder,
        readdirSync(folder)
          .filter((name) => name.endsWith('.jsonl'))
          .toSorted()
          .at(-1) ?? '',
      ),
    begin: (
      options: { bootId?: string; limits?: { fileBytes: number; totalBytes: number; keepMs: number } } = {},
    ) => {
      const journal = new EventJournal({
        folder,
        logger: createLogger('silent'),
        bootId: 'boot-1',
        ...options,
      })
      return { journal, bus: new EventBus({ journal, limits: { events: 10, bytes: 1e9 } }) }
    },
  }
}

function publish(bus: EventBus, count: number): void {
  for (let i = 0; i < count; i++)
    bus.publish('process.removed', { process: `p${bus.seq + 1}`, program: 'é', group: 'g' }, 'token:a')
}

async function kept(bus: EventBus, from: number): Promise<number[]> {
  const numbers: number[] = []
  for await (const { seq } of bus.history(from)) numbers.push(seq)
  return numbers
}

function range(from: number, to: number): number[] {
  return Array.from({ length: to - from + 1 }, (_, i) => from + i)
}

await t.test('numbers and epoch go on after a kill, and every event can be read', async (t) => {
  const { begin } = runs(t)
  const first = begin()
  publish(first.bus, 25)
  // no stop: it was killed
  const second = begin()
  t.equal(second.bus.epoch, first.bus.epoch)
  t.equal(second.bus.seq, 25)
  t.equal(second.bus.oldestKept, 1)
  publish(second.bus, 15)
  t.same(await kept(second.bus, 1), range(1, 40))
  t.same(await kept(second.bus, 38), [38, 39, 40])
})

await t.test('an event comes back as it was sent', async (t) => {
  const { begin } = runs(t)
  const { bus } = begin()
  bus.publish('agent.started', { version: '1' }, 'panel')
  bus.publish('process.state', {
    process: 'a',
    program: 'a',
    from: 'RUNNING',
    to: 'FATAL',
    pid: 1,
    logTail: 'x\u2028é',
  })
  bus.publishGap()
  const before = [1, 2, 3].map((seq) => bus.at(seq)?.frame('e1', true).toString())
  const before2 = bus.at(2)?.frame('e1', false).toString()
  const again = begin().bus
  const frames: (string | undefined)[] = []
  for await (const stored of again.history(1)) {
    frames.push(stored.frame('e1', true).toString())
    if (stored.seq === 2) t.equal(stored.frame('e1', false).toString(), before2, 'without its log tail')
    if (stored.seq === 2) t.equal(stored.program, 'a')
  }
  t.same(frames, before)
})

await t.test('a torn last record is cut off, and its number is given again', async (t) => {
  const { begin, newest } = runs(t)
  const first = begin()
  publish(first.bus, 3)
  const whole = readFileSync(newest())
  writeFileSync(newest(), whole.subarray(0, whole.length - 4))
  const second = begin()
  t.equal(second.bus.epoch, first.bus.epoch)
  t.equal(second.bus.seq, 2)
})

await t.test('a new epoch begins', async (t) => {
  const cases: {
    it: string
    spoil: (run: ReturnType<typeof runs>) => void
    bootId?: string
    isNew: boolean
  }[] = [
    {
      it: 'when the host went down without a warning',
      spoil: () => undefined,
      bootId: 'boot-2',
      isNew: true,
    },
    {
      it: 'when the state is gone',
      spoil: ({ folder }) => writeFileSync(join(folder, 'state.json'), ''),
      isNew: true,
    },
    {
      it: 'when the journal is damaged beyond its end',
      spoil: ({ newest }) => {
        const text = readFileSync(newest(), 'utf8')
        writeFileSync(newest(), text.replace('"seq":2,', '"seq":9,'))
      },
      isNew: true,
    },
    { it: 'not when nothing happened to it', spoil: () => undefined, isNew: false },
  ]
  for (const { it, spoil, bootId, isNew } of cases)
    await t.test(it, async (t) => {
      const run = runs(t)
      const first = run.begin()
      publish(first.bus, 3)
      spoil(run)
      const second = run.begin(bootId ? { bootId } : {})
      t.equal(second.bus.epoch !== first.bus.epoch, isNew)
      t.equal(second.bus.seq, isNew ? 0 : 3)
      publish(second.bus, 2)
      t.same(await kept(second.bus, 1), isNew ? [1, 2] : range(1, 5))
    })
  await t.test('not when the host went down after a clean stop', (t) => {
    const run = runs(t)
    const first = run.begin()
    publish(first.bus, 3)
    first.journal.stop()
    t.match(run.state(), { state: 'stopped' })
    const second = run.begin({ bootId: 'boot-2' })
    t.equal(second.bus.epoch, first.bus.epoch)
    t.match(run.state(), { state: 'running', bootId: 'boot-2' })
    t.end()
  })
})

await t.test('where the source stood is kept with the event that it caused', async (t) => {
  const { begin } = runs(t)
  const { bus } = begin()
  bus.causedBy(SOURCE, () => publish(bus, 1))
  t.same(begin().journal.source, SOURCE)
  publish(bus, 1)
  t.same(begin().journal.source, SOURCE, 'events of others do not change it')
  const later = { ...SOURCE, serial: 8 }
  bus.causedBy(later, () => undefined)
  const { journal, bus: again } = begin()
  t.same(journal.source, later, 'also when it caused none')
  t.equal(again.seq, 2)
  publish(again, 1)
  const last = begin()
  t.equal(last.bus.seq, 3)
  t.same(await kept(last.bus, 1), [1, 2, 3])
  t.notMatch(last.bus.at(1)?.frame('e1', true).toString() ?? '', /source/)
})

await t.test('what left the journal cannot be had', async (t) => {
  const { begin } = runs(t)
  const { bus, journal } = begin({ limits: { fileBytes: 2000, totalBytes: 6000, keepMs: 1e9 } })
  publish(bus, 200)
  t.ok(bus.oldestKept > 1)
  t.same(await kept(bus, 1), range(bus.oldestKept, 200))
  t.equal(begin().bus.oldestKept, journal.oldestSeq)
})

await t.test('a disk that takes nothing', { skip: noNamespace() }, async (t) => {
  await t.test('events go on, and the journal is complete when there is room again', (t) => {
    const folder = t.testdir()
    const script = join(import.meta.dirname, 'full-disk-journal.ts')
    // a small disk that nobody but this shell and its child sees
    const shell = 'mount -t tmpfs -o size=1m tmpfs "$1" && exec "$2" --import tsx "$3" "$1"'
    const said = execFileSync('unshare', ['-rm', 'sh', '-c', shell, 'sh', folder, process.execPath, script], {
      env: { ...process.env, NODE_OPTIONS: '' },
    })
    t.same(JSON.parse(said.toString()), { onFull: 'behind', isWhole: true, goesOn: true })
    t.end()
  })
  await t.test(
    'a restart meanwhile begins a new epoch: numbers were given that the disk does not have',
    (t) => {
      const { begin, folder, state } = runs(t)
      const first = begin()
      publish(first.bus, 3)
      writeFileSync(
        join(folder, 'state.json'),
        JSON.stringify({ ...state(), state: 'behind' }).padEnd(255) + '\n',
      )
      t.not(begin().bus.epoch, first.bus.epoch)
      t.end()
    },
  )
})

await t.test('only its owner may read', (t) => {
  const { begin, folder, newest } = runs(t)
  publish(begin().bus, 1)
  t.equal(statSync(folder).mode & 0o777, 0o700)
  t.equal(statSync(newest()).mode & 0o777, 0o600)
  t.equal(statSync(join(folder, 'state.json')).mode & 0o777, 0o600)
  t.end()
})
