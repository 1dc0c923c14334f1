import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, renameSync, statSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { Runs } from '../../../src/core/crontab/runs.ts'
import { Spool } from '../../../src/core/crontab/spool.ts'
import { EventBus } from '../../../src/core/events/bus.ts'
import { EventJournal } from '../../../src/core/events/journal.ts'
import { processStart } from '../../../src/lib/process-start.ts'
import { createLogger } from '../../../src/logger.ts'
import { until } from '../../fixtures/wait.ts'
import { host, OTHER_BOOT, record } from './runs-harness.ts'
import { run, SHIM, scratch, start, USER } from './shim-harness.ts'

await t.test('what a job does is known as it happens, and kept', async (t) => {
  const { root, folder, begin, journal } = host(t)
  const { runs, list, events, output, stop } = await begin()
  const job = start([SHIM, '-s', root, 'job', '--', 'echo begun; cat; exit 3'])
  await until(() => list().length === 1, 'the run')
  const [live] = list()
  t.match(live, { id: 'job', verdict: 'running', run: /^job\./ })
  const name = live?.run ?? ''
  t.match(runs.living(name), { pid: job.pid })
  t.match(events(), [
    { type: 'crontab.started', run: name, id: 'job', user: 'alice', startedAt: live?.startedAt },
  ])
  await job.ended('and ended\n')
  await until(() => list()[0]?.verdict !== 'running', 'its end')
  t.match(list(), [{ run: name, verdict: 'failed', exitStatus: 3, startedAt: live?.startedAt }])
  const ranMs = list()[0]?.durationMs ?? -1
  t.ok(ranMs >= 0 && ranMs < 60_000)
  t.ok(Math.abs(Date.parse(live?.startedAt ?? '') - Date.now()) < 60_000, 'by the wall clock')
  t.equal(await output(name), 'begun\nand ended\n')
  t.match(events().slice(1), [
    { type: 'crontab.finished', run: name, verdict: 'failed', exitStatus: 3, durationMs: ranMs },
  ])
  await until(() => readdirSync(folder).length === 0, 'the spool to be empty')

  await run([SHIM, '-s', root, 'job', '--', 'kill -9 $$'])
  await run([SHIM, '-s', root, '-t', '1', 'job', '--', 'sleep 20'])
  await run([SHIM, '-s', root, 'job', '--', 'true'])
  await run([SHIM, '-s', root, 'others', '--', 'true'])
  await until(() => readdirSync(folder).length === 0, 'all of them')
  const shown = list()
  t.match(shown, [
    { verdict: 'success', exitStatus: 0 },
    { verdict: 'timeout', signal: 'SIGTERM' },
    { verdict: 'failed', signal: 'SIGKILL' },
    { run: name },
  ])
  t.equal(shown.length, 4, "what is no entry of the user's is not believed")
  t.equal(events().length, 8)
  t.strictSame(runs.list({ id: 'job', limit: 2 }), shown.slice(0, 2))
  t.strictSame(runs.list({ id: 'other', limit: 2 }), [])
  await stop()

  const later = await begin()
  t.strictSame(later.list(), shown, 'the next run of the agent knows as much')
  t.equal(await later.output(name), 'begun\nand ended\n')
  t.strictSame(later.events(), [], 'and tells nothing twice')
  t.equal(statSync(journal).mode & 0o777, 0o700)
})

await t.test('output is text, cut at a character', async (t) => {
  const { root, begin } = host(t)
  const { list, output } = await begin()
  const euros = '€'.repeat(10_000)
  await run([SHIM, '-s', root, 'job', '--', 'cat; printf "\\0\\377x"'], { input: euros })
  await until(() => list().some(({ verdict }) => verdict === 'success'), 'its end')
  const text = (await output(list()[0]?.run ?? '')) ?? ''
  t.ok(text.endsWith('€\0\uFFFDx'))
  t.match(text, /^€+\0/, 'no half character at its start')
})

await t.test('a run that was cut off has failed, and nobody knows how', async (t) => {
  const { folder, begin } = host(t)
  const rows = [
    { it: 'its process is gone', ...record({ up: 1 }) },
    { it: 'the host started again', ...record({ up: 2, boot: OTHER_BOOT }) },
    { it: 'its number is another process', ...record({ up: 3, pid: process.pid }) },
    { it: 'the disk was full', ...record({ up: 4, rest: 'exi' }) },
  ]
  const before = new Date(Date.now() - 3 * 3_600_000)
  for (const { name, text } of rows) {
    writeFileSync(join(folder, name), text)
    utimesSync(join(folder, name), before, before)
  }
  const half = record({ up: 5, rest: 'exited @7 4 0\n' })
  writeFileSync(join(folder, half.name), half.text)
  const past = record({ up: 6, boot: OTHER_BOOT, rest: 'out\nended @7 0 0\n' })
  writeFileSync(join(folder, past.name), past.text)
  utimesSync(join(folder, past.name), before, before)
  const { list, events } = await begin()
  const by = (name: string) => list().find(({ run: one }) => one === name)
  for (const { it, name } of rows) {
    t.match(by(name), { verdict: 'failed', detail: 'interrupted' }, it)
    t.notOk('endedAt' in (by(name) ?? {}), 'when is not known either')
  }
  t.match(by(half.name), { verdict: 'failed', exitStatus: 4, detail: 'output-lost', durationMs: 7000 })
  t.match(
    by(past.name),
    { verdict: 'success', durationMs: 7000, endedAt: before.toISOString() },
    'of another boot by its file',
  )
  t.equal(events().length, 12)
})

await t.test('a run goes on as long as its process, and is over with it', async (t) => {
  const { root, folder, begin } = host(t)
  const { runs, reader, list } = await begin()
  const asleep = spawn('sleep', ['60'])
  t.teardown(() => asleep.kill('SIGKILL'))
  const pid = asleep.pid ?? 0
  const ticks = processStart(pid)?.startTicks ?? ''
  const one = record({ pid, ticks })
  writeFileSync(join(folder, one.name), one.text)
  await until(() => list().length === 1, 'the run')
  t.match(list(), [{ verdict: 'running' }])
  t.match(runs.living(one.name), { pid })
  // its user takes the record away
  renameSync(join(folder, one.name), join(root, 'away'))
  await reader.sweep()
  t.match(list(), [{ verdict: 'running' }], 'that does not end it')
  asleep.kill('SIGKILL')
  await once(asleep, 'exit')
  t.equal(runs.living(one.name), null)
  await reader.sweep()
  t.match(list(), [{ verdict: 'failed', detail: 'interrupted' }])
  renameSync(join(root, 'away'), join(folder, one.name))
  await reader.sweep()
  t.equal(list().length, 1)

  const go = join(root, 'go')
  const left = start([SHIM, '-s', root, 'job', '--', `until [ -e ${go} ]; do sleep 0.1; done & exit 5`])
  await until(() => list()[0]?.detail === 'output-open', 'a result without output')
  t.match(list()[0], { verdict: 'failed', exitStatus: 5 })
  writeFileSync(go, '')
  await left.ended()
  await reader.sweep()
  t.equal(list().length, 2, 'the output comes too late')
})

await t.test('runs by hand are found by their tag, and are none of cron', async (t) => {
  const { root, begin } = host(t)
  const { runs, list, events } = await begin()
  const arrival = runs.whenStarted('tag-1', AbortSignal.timeout(20_000))
  await run([SHIM, '-s', root, '-n', 'tag-1', 'job', '--', 'true'])
  const name = await arrival
  await until(() => list()[0]?.verdict === 'success', 'its end')
  t.match(list(), [{ run: name, byHand: true }])
  t.match(events(), [
    { run: name, byHand: true },
    { run: name, byHand: true },
  ])
  const busy = start([SHIM, '-s', root, '-o', 'job', '--', 'cat'])
  await until(() => list()[0]?.verdict === 'running', 'another')
  const skipped = runs.whenStarted('tag-2', AbortSignal.timeout(20_000))
  await run([SHIM, '-s', root, '-o', '-n', 'tag-2', 'job', '--', 'true'])
  const skippedName = await skipped
  t.match(
    list().find(({ run: one }) => one === skippedName),
    { verdict: 'skipped' },
  )
  await busy.ended()
  t.equal(runs.startsOf('job').length, 1)
  const giveUp = new AbortController()
  const never = runs.whenStarted('tag-3', giveUp.signal)
  giveUp.abort(new Error('enough'))
  await t.rejects(never, { message: 'enough' })
})

await t.test('the journal is made smaller by what is least wanted', async (t) => {
  const limits = { runs: 20, keepMs: 3_600_000_000 }
  const { folder, begin, journal } = host(t, {
    limits,
    sizes: { fileBytes: 64 * 1024, totalBytes: 512 * 1024 },
  })
  const rare = record({ id: 'rare', up: 1, rest: 'rare\nended @1 0 0\n' })
  writeFileSync(join(folder, rare.name), rare.text)
  const first = await begin()
  const text = 'x'.repeat(8000)
  for (let i = 0; i < 40; i++)
    for (const id of ['one', 'two', 'three', 'four', 'five']) {
      const { name, text: body } = record({ id, up: 1000 + i, rest: `${text}\nended @1 0 0\n` })
      writeFileSync(join(folder, name), body)
    }
  await first.reader.sweep()
  await until(() => readdirSync(folder).length === 0, 'the spool to be empty')
  first.runs.retain()
  const bytes = () => readdirSync(journal).reduce((sum, name) => sum + statSync(join(journal, name)).size, 0)
  t.ok(bytes() <= 512 * 1024 + 64 * 1024, `${bytes()} bytes`)
  t.equal(first.list().length, 101)
  t.equal(await first.output(rare.name), 'rare', 'a rare run keeps its output')
  const outputs = await first.runs.outputs(
    first.runs.list({ id: 'one', limit: 20 }).map(({ run: name }) => name),
  )
  t.ok(outputs.size >= 3 && outputs.size < 20, `${outputs.size} outputs of a busy one`)
  const shown = first.list()
  await first.stop()
  const second = await begin()
  t.strictSame(second.list(), shown)
  t.equal(await second.output(rare.name), 'rare')
})

await t.test('an agent that is killed between a record and its event tells it later, and once', async (t) => {
  const script = join(import.meta.dirname, 'killed-runs.ts')
  const moments = [
    ['crontab.missed', 'before'],
    ['crontab.started', 'before'],
    ['crontab.finished', 'before'],
    ['crontab.finished', 'after'],
  ] as const
  await Promise.all(
    moments.map(async ([type, when]) => {
      const { root, folder } = host(t)
      const place = scratch(t)
      const over = record({ up: 1, rest: 'out\nended @1 0 0\n' })
      const live = record({
        id: 'live',
        pid: process.pid,
        ticks: processStart(process.pid)?.startTicks ?? '',
      })
      for (const { name, text } of [over, live]) writeFileSync(join(folder, name), text)
      const argv = [process.execPath, '--import', 'tsx', script, root, place, type, when]
      t.match(await run(argv), { signal: 'SIGKILL' }, `${when} ${type}`)

      const logger = createLogger('silent')
      const journal = new EventJournal({ folder: join(place, 'events'), logger, now: Date.now })
      t.teardown(() => journal.stop())
      const bus = new EventBus({ journal })
      const runs = new Runs({ folder: join(place, 'runs'), bus, now: Date.now, logger })
      t.teardown(() => runs.stop())
      await runs.start()
      runs.missed({ id: 'late', user: USER, dueAtMs: 60_000 })
      const spool = new Spool({ root, runs, isEntry: () => true, logger })
      await spool.add({ name: USER, uid: process.getuid?.() ?? 0 })
      await spool.stop()
      const told: string[] = []
      for await (const event of bus.history(1, new AbortController().signal))
        told.push(`${event.type} ${String(event.payload?.['run'])}`)
      t.strictSame(
        told.toSorted(),
        [
          `crontab.finished ${over.name}`,
          'crontab.missed late.missed.60000',
          `crontab.started ${live.name}`,
          `crontab.started ${over.name}`,
        ].toSorted(),
        `${when} ${type}`,
      )
    }),
  )
})
