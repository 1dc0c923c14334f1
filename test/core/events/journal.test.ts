import { execFileSync } from 'node:child_process'
import { appendFileSync, readdirSync, readFileSync, statSync, unlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { EventBus } from '../../../src/core/events/bus.ts'
import { EventJournal } from '../../../src/core/events/journal.ts'
import type { Source } from '../../../src/core/events/journal-end.ts'
import { createLogger } from '../../../src/logger.ts'
import { type Scope as Right, SCOPES } from '../../../src/protocol/scopes.ts'
import { noNamespace } from '../../fixtures/namespace.ts'

const SEES_ALL = { scopes: new Set(SCOPES), users: ['*'] }
const SEES_STATES = { scopes: new Set<Right>(['read']), users: [] }

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
        now: Date.now,
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
  for await (const { seq } of bus.history(from, going())) numbers.push(seq)
  return numbers
}

function going(): AbortSignal {
  return new AbortController().signal
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
  const before = [1, 2, 3].map((seq) => bus.at(seq)?.frame('e1', SEES_ALL).toString())
  const before2 = bus.at(2)?.frame('e1', SEES_STATES).toString()
  const again = begin().bus
  const frames: (string | undefined)[] = []
  for await (const stored of again.history(1, going())) {
    frames.push(stored.frame('e1', SEES_ALL).toString())
    if (stored.seq === 2) t.equal(stored.frame('e1', SEES_STATES).toString(), before2, 'without its log tail')
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
  t.notMatch(last.bus.at(1)?.frame('e1', SEES_ALL).toString() ?? '', /source/)
})

await t.test('what left the journal cannot be had', async (t) => {
  const { begin } = runs(t)
  const { bus, journal } = begin({ limits: { fileBytes: 2000, totalBytes: 6000, keepMs: 1e9 } })
  publish(bus, 200)
  t.ok(bus.oldestKept > 1)
  t.same(await kept(bus, 1), range(bus.oldestKept, 200))
  t.equal(begin().bus.oldestKept, journal.oldestSeq)
})

await t.test('what is lost in between is one gap, of any width', async (t) => {
  const { begin, folder, state } = runs(t)
  const first = begin()
  publish(first.bus, 3)
  // it was killed while its disk took nothing: up to 50 were given
  const text = JSON.stringify({ ...state(), given: 50 })
  writeFileSync(join(folder, 'state.json'), `${text.padEnd(255)}\n`)
  const second = begin()
  t.same([second.bus.epoch, second.bus.seq], [first.bus.epoch, 50])
  t.notOk('given' in state(), 'the journal knows of it now')
  publish(second.bus, 20)
  const third = begin().bus
  t.same([third.epoch, third.seq], [first.bus.epoch, 70])
  const cases = [
    { from: 2, gap: [4, 50], next: 51 },
    { from: 30, gap: [30, 50], next: 51 },
    { from: 50, gap: [50, 50], next: 51 },
  ]
  for (const { from, gap, next } of cases) {
    const seen: string[] = []
    for await (const stored of third.history(from, going()))
      seen.push(stored.frame('e1', SEES_ALL).toString())
    const frames = seen.map(
      (frame) => JSON.parse(frame) as { method: string; params: Record<string, unknown> },
    )
    const at = frames.findIndex(({ method }) => method === 'gap')
    t.match(frames[at]?.params, { epoch: third.epoch, from: gap[0], to: gap[1] }, `from ${from}`)
    t.equal(frames[at + 1]?.params['seq'], next)
  }
  t.same(await kept(third, 51), range(51, 70))
})

await t.test('a kill while records were missing, and then', async (t) => {
  const cases = [
    { it: 'another start of the host begins a new epoch', state: 'running', bootId: 'boot-2', isNew: true },
    {
      it: 'a start of the host after a clean stop does not',
      state: 'stopped',
      bootId: 'boot-2',
      isNew: false,
    },
    { it: 'an empty journal goes on too', state: 'running', bootId: 'boot-1', isNew: false, isEmpty: true },
  ]
  for (const { it, bootId, isNew, isEmpty, ...more } of cases)
    await t.test(it, async (t) => {
      const { begin, folder, state, newest } = runs(t)
      const first = begin()
      publish(first.bus, 3)
      const text = JSON.stringify({ ...state(), ...more, given: 9 })
      writeFileSync(join(folder, 'state.json'), `${text.padEnd(255)}\n`)
      if (isEmpty) unlinkSync(newest())
      const second = begin({ bootId }).bus
      t.same([second.epoch !== first.bus.epoch, second.seq], [isNew, isNew ? 0 : 9])
      publish(second, 1)
      t.equal(begin({ bootId }).bus.seq, isNew ? 1 : 10)
    })
})

await t.test('a gap that does not fit the numbers is damage', (t) => {
  const { begin, newest } = runs(t)
  const { bus } = begin()
  publish(bus, 1)
  for (const [line, isSound] of [
    ['"seq":2,"gap":true,"to":8', true],
    ['"seq":9,"gap":true', true],
    ['"seq":10,"gap":true,"to":9', false],
  ] as const) {
    appendFileSync(newest(), `{"epoch":"${bus.epoch}",${line}}\n`)
    t.equal(begin().bus.epoch === bus.epoch, isSound, line)
  }
  t.end()
})

await t.test('a disk that takes nothing', { skip: noNamespace() }, (t) => {
  const folder = t.testdir()
  const script = join(import.meta.dirname, 'full-disk-journal.ts')
  // a small disk that nobody but this shell and its children see
  const run = '"$2" --import tsx "$3" "$1"'
  const shell = `mount -t tmpfs -o size=1m tmpfs "$1" && { ${run} first; echo; ${run} second; }`
  const said = execFileSync('unshare', ['-rm', 'sh', '-c', shell, 'sh', folder, process.execPath, script], {
    env: { ...process.env, NODE_OPTIONS: '' },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const [killed, { begin, afterKill, within, beyond, stopped, goesOn }] = said
    .toString()
    .split('\n')
    .map((line) => JSON.parse(line))
  t.ok(killed.given > killed.seq, 'more numbers are noted than were given')
  t.same(begin, { epoch: killed.epoch, seq: killed.given, isBehind: true }, 'none is given again')
  t.equal(afterKill.seq, killed.given + 3)
  t.same(
    afterKill,
    { ...afterKill, gaps: [[killed.firstMissing, killed.given]], last: afterKill.seq },
    'what the killed run had in memory is one gap',
  )
  t.ok(within.isByEvent, 'the next event is a try as well')
  t.same(within.gaps, afterKill.gaps, 'what memory holds is written when there is room again')
  t.same(beyond.gap, [beyond.lost, beyond.oldest - 1], 'what left memory is one gap')
  t.match(stopped, { state: 'stopped', given: undefined }, 'the end is a last try')
  t.ok(goesOn, 'numbers, epoch and the place of the source go on')
  t.end()
})

await t.test('only its owner may read', (t) => {
  const { begin, folder, newest } = runs(t)
  publish(begin().bus, 1)
  t.equal(statSync(folder).mode & 0o777, 0o700)
  t.equal(statSync(newest()).mode & 0o777, 0o600)
  t.equal(statSync(join(folder, 'state.json')).mode & 0o777, 0o600)
  t.end()
})
