import { mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { SteadyClock } from '../../../src/core/host/steady-clock.ts'
import { until } from '../../fixtures/wait.ts'
import { recorder } from '../access/support.ts'

const HOUR = 3_600_000
const YEARS = 5 * 365 * 24 * HOUR
const BEGIN = Date.parse('2026-01-01T00:00:00Z')

/** Runs of an agent on a host whose clock is set at will. */
function host(t: { testdir(): string }) {
  const path = join(t.testdir(), 'steady-clock.json')
  const state = { bootId: 'boot-1', upMs: HOUR, dayMs: BEGIN }
  return {
    path,
    state,
    pass: (ms: number) => {
      state.upMs += ms
      state.dayMs += ms
    },
    reboot: () => Object.assign(state, { bootId: `${state.bootId}1`, upMs: 20_000 }),
    begin: () =>
      new SteadyClock({
        path,
        logger: recorder().logger,
        host: { bootId: state.bootId, uptimeMs: () => state.upMs, dayMs: () => state.dayMs },
      }),
  }
}

await t.test('it begins at the time of day, and goes on with the host alone', (t) => {
  const { begin, state, pass } = host(t)
  const clock = begin()
  t.equal(clock.now(), BEGIN)
  pass(HOUR)
  t.equal(clock.now(), BEGIN + HOUR)
  for (const ms of [YEARS, -2 * YEARS]) {
    state.dayMs += ms
    t.equal(clock.now(), BEGIN + HOUR, 'the clock was set')
  }
  t.end()
})

await t.test('from run to run', async (t) => {
  const cases: { it: string; between: (on: ReturnType<typeof host>) => void; passedMs: number }[] = [
    { it: 'the time away counts', between: ({ pass }) => pass(3 * HOUR), passedMs: 3 * HOUR },
    { it: 'a clock set ahead does not', between: ({ state }) => (state.dayMs += YEARS), passedMs: 0 },
    { it: 'nor one set back', between: ({ state }) => (state.dayMs -= YEARS), passedMs: 0 },
    {
      it: 'a host that was down stood still, whatever its clock says now',
      between: ({ state, reboot }) => {
        state.dayMs += YEARS
        reboot()
      },
      passedMs: 0,
    },
    {
      it: 'nor does one that seems to be up for longer than the last time count as that long',
      between: ({ state, reboot }) => {
        reboot()
        state.upMs = 100 * HOUR
      },
      passedMs: 0,
    },
    {
      it: 'a container that counts anew stands still',
      between: ({ state }) => (state.upMs = 5),
      passedMs: 0,
    },
  ]
  for (const { it, between, passedMs } of cases)
    for (const how of ['stopped', 'killed'])
      await t.test(`${it}, ${how}`, (t) => {
        const on = host(t)
        const first = on.begin()
        on.pass(HOUR)
        if (how === 'stopped') first.save()
        const before = first.now()
        between(on)
        const lateMs = before + passedMs - on.begin().now()
        t.ok(
          lateMs === 0 || (how === 'killed' && lateMs <= HOUR && lateMs > 0),
          `${lateMs} ms late, never early`,
        )
        on.pass(HOUR)
        t.equal(on.begin().now(), before + passedMs - lateMs + HOUR, 'and it goes on')
        t.end()
      })
})

await t.test('without its file it begins anew, and it runs where it cannot be written', (t) => {
  const { begin, path, state } = host(t)
  const clock = begin()
  t.equal(statSync(path).mode & 0o777, 0o600)
  t.match(JSON.parse(readFileSync(path, 'utf8')), { steadyMs: BEGIN, bootId: 'boot-1' })
  writeFileSync(path, 'torn')
  state.dayMs += 5000
  t.equal(begin().now(), BEGIN + 5000)
  const { logger, lines } = recorder()
  const folder = join(t.testdir(), 'd')
  mkdirSync(folder)
  const other = new SteadyClock({ path: folder, logger })
  t.ok(Math.abs(other.now() - Date.now()) < HOUR)
  t.match(lines, [/cannot be noted/])
  t.ok(clock.now() >= BEGIN)
  t.end()
})

await t.test('of this host: it moves', async (t) => {
  const clock = new SteadyClock({ path: join(t.testdir(), 'c.json'), logger: recorder().logger })
  const before = clock.now()
  await until(() => clock.now() > before + 5)
})
