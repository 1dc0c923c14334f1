import t from 'tap'
import { CronWatch, type HostLook } from '../../../src/core/crontab/cron-watch.ts'
import { missedRuns, type Period } from '../../../src/core/crontab/missed.ts'
import { host } from './runs-harness.ts'

await t.test('runs that did not come', async (t) => {
  const minute = 60_000
  const base = Date.UTC(2026, 0, 1)
  const all = [{ fromMs: 0, toMs: base + 1000 * minute }]
  const nextAfter = (ms: number) => (Math.floor(ms / minute) + 1) * minute
  const at = (...minutes: number[]) => minutes.map((one) => base + one * minute)
  const ask = (more: Partial<Parameters<typeof missedRuns>[0]>) => {
    const { missed, judgedMs } = missedRuns({
      nextAfter,
      afterMs: base,
      nowMs: base + 10 * minute,
      starts: at(1, 2, 3, 4, 5, 6, 7, 8, 9, 10),
      hostUp: all,
      cronAlive: all,
      ...more,
    })
    return { missed: missed.map((ms) => (ms - base) / minute), judged: (judgedMs - base) / minute }
  }
  const rows: [string, Parameters<typeof ask>[0], number[], number?][] = [
    ['all came', {}, []],
    ['none came', { starts: [] }, [1, 2, 3, 4, 5, 6, 7, 8]],
    ['one did not', { starts: at(1, 2, 3, 5, 6, 7, 8, 9, 10) }, [4]],
    ['one late by a minute and more', { starts: at(1, 2, 3, 5, 5.2, 6, 7, 8, 9, 10) }, []],
    ['one too late by far', { starts: at(1, 2, 3, 5, 6, 7, 7.9, 8, 9, 10) }, [4]],
    ['one that is not judged yet is not taken for another', { starts: at(1, 2, 3, 4, 5, 6, 7, 9, 10) }, [8]],
    [
      'a second too early by the clocks',
      { starts: at(1, 2, 3, 4, 5, 6, 7, 8, 9, 10).map((ms) => ms - 900) },
      [],
    ],
    [
      'all begin later on purpose',
      { starts: at(1.5, 2.5, 3.5, 4.5, 6.5, 7.5, 8.5, 9.5), delayMs: 30_000 },
      [5],
      8,
    ],
    [
      'cron was not there',
      { starts: [], cronAlive: [{ fromMs: base + 5 * minute, toMs: base + 100 * minute }] },
      [6, 7, 8],
    ],
    ['cron went', { starts: [], cronAlive: [{ fromMs: 0, toMs: base + 4 * minute }] }, [1, 2]],
    [
      'the host slept',
      {
        starts: [],
        hostUp: [
          { fromMs: 0, toMs: base + 3 * minute },
          { fromMs: base + 6 * minute, toMs: base + 100 * minute },
        ],
      },
      [1, 7, 8],
    ],
    ['there is no next time', { starts: [], nextAfter: () => null }, [], 0],
    ['it is too early to tell', { starts: [], nowMs: base + 2 * minute }, [], 0],
  ]
  for (const [it, more, missed, judged = 8] of rows) t.strictSame(ask(more), { missed, judged }, it)

  const { begin } = host(t)
  const { runs, list, events } = await begin()
  const due = { id: 'job', user: 'alice', dueAtMs: base }
  runs.missed(due)
  runs.missed(due)
  t.match(list(), [{ verdict: 'missed', startedAt: '2026-01-01T00:00:00.000Z' }])
  t.equal(list().length, 1)
  t.match(events(), [{ type: 'crontab.missed', id: 'job', dueAt: '2026-01-01T00:00:00.000Z' }])
  t.strictSame(runs.startsOf('job'), [])
})

await t.test('when the host was awake and cron there', async (t) => {
  const hour = 3_600_000
  const base = Date.UTC(2026, 0, 1)
  // up for ten hours, cron for nine
  const first: HostLook = {
    clock: { boot: 'a', nowMs: base, upMs: 10 * hour },
    awakeMs: 10 * hour,
    cron: { pid: 9, startTicks: `${hour / 10}` },
  }
  let look = first
  const pass = (
    ms: number,
    { slept = 0, set = 0, cron = look.cron }: { slept?: number; set?: number; cron?: HostLook['cron'] } = {},
  ) => {
    const { boot, nowMs, upMs } = look.clock
    look = {
      clock: { boot, nowMs: nowMs + ms + slept + set, upMs: upMs + ms + slept },
      awakeMs: look.awakeMs + ms,
      cron,
    }
  }
  const watched = () => {
    const watch = new CronWatch({ look: () => look })
    watch.sample()
    const since = (periods: readonly Period[]) =>
      periods.map(({ fromMs, toMs }) => [(fromMs - base) / hour, (toMs - base) / hour])
    return {
      sample: () => watch.sample(),
      up: () => since(watch.hostUp),
      alive: () => since(watch.cronAlive),
    }
  }
  const quiet = watched()
  t.strictSame(quiet.up(), [[-10, 0]])
  t.strictSame(quiet.alive(), [[-9, 0]])
  pass(hour)
  t.equal(quiet.sample(), base + hour)
  t.strictSame([quiet.up(), quiet.alive()], [[[-10, 1]], [[-9, 1]]], 'as long as nothing happens')
  pass(hour, { cron: null })
  quiet.sample()
  pass(hour, { cron: { pid: 9, startTicks: `${(12.5 * hour) / 10}` } })
  quiet.sample()
  t.strictSame(
    [quiet.up(), quiet.alive()],
    [
      [[-10, 3]],
      [
        [-9, 1],
        [2.5, 3],
      ],
    ],
    'another daemon of that number',
  )
  pass(hour, { slept: hour })
  quiet.sample()
  t.strictSame(
    [quiet.up(), quiet.alive()],
    [
      [
        [-10, 3],
        [5, 5],
      ],
      [
        [-9, 1],
        [2.5, 3],
        [5, 5],
      ],
    ],
    'a sleep',
  )
  pass(hour, { set: -hour / 2 })
  quiet.sample()
  t.strictSame(
    quiet.up(),
    [
      [-10, 3],
      [5, 5],
      [5.5, 5.5],
    ],
    'a clock that was set',
  )
  pass(100 * hour)
  quiet.sample()
  t.strictSame(quiet.up(), [[5.5, 105.5]], 'what was long ago is forgotten')

  look = { ...first, awakeMs: 4 * hour }
  const slept = watched()
  t.strictSame([slept.up(), slept.alive()], [[[0, 0]], [[-9, 0]]], 'nobody knows when it slept')
  look = { ...first, cron: null }
  t.strictSame(watched().alive(), [])
})
