// What is called missed of real crontabs and real runs, while somebody else's clock goes on.
import { mkdirSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { renderEntry } from '../../../src/core/crontab/block.ts'
import { CronWatch } from '../../../src/core/crontab/cron-watch.ts'
import { CrontabCommand } from '../../../src/core/crontab/crontab-command.ts'
import { CrontabFiles } from '../../../src/core/crontab/crontab-file.ts'
import { EntryRecords } from '../../../src/core/crontab/entry-records.ts'
import { DEFAULT_SPOOL } from '../../../src/core/crontab/managed-line.ts'
import { MissedWatch } from '../../../src/core/crontab/missed-watch.ts'
import { CrontabStore } from '../../../src/core/crontab/store.ts'
import { CrontabTable } from '../../../src/core/crontab/table.ts'
import { UTC } from '../../../src/core/host/zone.ts'
import { createLogger } from '../../../src/logger.ts'
import { host } from './runs-harness.ts'
import { scratch } from './shim-harness.ts'

const MINUTE = 60_000
const BASE = Date.UTC(2026, 0, 1)

await t.test('runs of entries that did not come', async (t) => {
  const { begin } = host(t)
  const agent = await begin()
  const folder = scratch(t)
  const crontabs = join(folder, 'crontabs')
  mkdirSync(crontabs)
  const records = new EntryRecords(join(folder, 'records'))
  await records.start()
  const store = new CrontabStore({
    files: new CrontabFiles({ folders: [crontabs] }),
    command: new CrontabCommand({ argv: ['/nonexistent'] }),
  })
  let minutes = 0
  let blindMs = -Infinity
  const now = () => BASE + minutes * MINUTE
  const made = (runs = agent.runs) =>
    new MissedWatch({
      runs,
      records,
      store,
      blindMs: () => blindMs,
      spoolDir: DEFAULT_SPOOL,
      zone: () => UTC,
      logger: createLogger('silent'),
      watch: new CronWatch({
        look: () => ({
          clock: { boot: 'a', nowMs: now(), upMs: 10 * 3_600_000 + minutes * MINUTE },
          awakeMs: 10 * 3_600_000 + minutes * MINUTE,
          cron: { pid: 9, startTicks: '0' },
        }),
      }),
    })
  const entry = { id: 'job', name: 'Job', schedule: '* * * * *', command: 'true', enabled: true }
  const write = async (
    change: Partial<typeof entry> & { splayMs?: number },
    atMs = now(),
    spoolDir = DEFAULT_SPOOL,
  ) => {
    const kept = { ...entry, ...change }
    const { lines } = renderEntry(kept, { spoolDir, host: 'h' })
    await records.save({ version: 1, user: 'alice', uid: 1, lines, entries: [kept] })
    const path = join(crontabs, 'alice')
    writeFileSync(path, CrontabTable.parse(Buffer.alloc(0)).withBlock(lines).bytes)
    utimesSync(path, atMs / 1000, atMs / 1000)
  }
  const told = () =>
    agent
      .events()
      .splice(0)
      .map(({ type, dueAt }) =>
        type === 'crontab.missed' ? (Date.parse(String(dueAt)) - BASE) / MINUTE : String(type),
      )
  /** cron starts it, in a run that the host's last boot saw. */
  const start = (minute: number, runs = agent.runs) => {
    const at = BASE + minute * MINUTE
    const run = `job.00000000.${minute}.1`
    const record = { run, id: 'job', boot: '00000000', upMs: 0, pid: 1, startTicks: '1', tag: null }
    runs.take(
      { user: 'alice', record: { ...record, stage: 'skipped' }, mtimeMs: at, isAlive: false },
      { boot: 'b', nowMs: at, upMs: 1 },
    )
  }
  const watch = made()
  watch.start()
  const look = async (minute: number, by = watch) => {
    minutes = minute
    await by.look()
    return told()
  }

  await write({}, BASE - 2 * MINUTE - 30_000)
  t.strictSame(await look(0.9), [-2, -1], 'also of the time before the agent, since the crontab was written')
  start(1)
  start(3)
  t.strictSame(told(), ['crontab.finished', 'crontab.finished'])
  t.strictSame(await look(5.9), [0, 2, 4])
  t.strictSame(await look(6.1), [], 'each once')
  minutes = 6.2
  await write({ schedule: '*/2 * * * *' })
  t.strictSame(await look(10.9), [8], 'since an edit as it says')
  await write({ schedule: '*/2 * * * *', enabled: false })
  t.strictSame(await look(15.9), [], 'not while it is off')
  await write({ schedule: '*/2 * * * *' })
  t.strictSame(await look(18.9), [16], 'and again when it is on')
  blindMs = BASE + 20.5 * MINUTE
  t.strictSame(await look(26.9), [22, 24], 'not where runs may have left no record')
  blindMs = Infinity
  t.strictSame(await look(30.9), [])
  blindMs = -Infinity
  minutes = 31
  await write({}, now(), '/var/spool/former')
  t.strictSame(await look(33.9), [], 'nor of lines that lead to another spool')
  minutes = 34
  await write({ splayMs: 3_600_000 })
  t.strictSame(await look(34.9), [], 'one that begins later on purpose is waited for')

  await write({})
  start(35)
  t.strictSame(told(), ['crontab.finished'])
  t.strictSame(await look(37), [])
  start(36)
  told()
  await agent.stop()
  const next = await begin()
  const later = made(next.runs)
  later.start()
  start(38, next.runs)
  minutes = 40.9
  await later.look()
  t.match(
    next.events().filter(({ type }) => type === 'crontab.missed'),
    [{ dueAt: '2026-01-01T00:37:00.000Z' }, { dueAt: '2026-01-01T00:39:00.000Z' }],
    'what was due while the agent was away is known when it is back',
  )
})
