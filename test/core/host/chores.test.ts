import t from 'tap'
import { Chores } from '../../../src/core/host/chores.ts'
import { createLogger } from '../../../src/logger.ts'
import { until } from '../../fixtures/wait.ts'

const DAY_MS = 86_400_000
const EVERY_SECOND = '* * * * * *'

/** The time of day of this process, off by what the test says. */
function settableClock(t: { teardown(task: () => unknown): void }): (offMs: number) => void {
  const real = globalThis.Date
  let offMs = 0
  globalThis.Date = new Proxy(real, {
    construct: (target, args) => Reflect.construct(target, args.length > 0 ? args : [target.now() + offMs]),
    get: (target, key) => (key === 'now' ? () => target.now() + offMs : Reflect.get(target, key)),
  })
  t.teardown(() => (globalThis.Date = real))
  return (ms) => {
    offMs = ms
  }
}

await t.test('a chore goes on whichever way the clock is set, and makes up for nothing', async (t) => {
  const set = settableClock(t)
  const chores = new Chores({ logger: createLogger('silent') })
  t.teardown(() => chores.stop())
  let runs = 0
  chores.add('count', EVERY_SECOND, () => runs++)
  await until(() => runs > 0, 'the first time')
  for (const offMs of [30 * DAY_MS, -2 * DAY_MS, 0]) {
    set(offMs)
    const before = runs
    await until(() => runs >= before + 2, `two more times with the clock off by ${offMs} ms`)
    t.ok(runs < before + 10, `${runs - before} more times`)
  }
})

await t.test(
  'a chore that fails comes again, one that still runs is not started again, and the end is the end',
  async (t) => {
    const lines: string[] = []
    const chores = new Chores({ logger: createLogger('warn', { write: (line) => void lines.push(line) }) })
    let failures = 0
    let starts = 0
    chores.add('fails', EVERY_SECOND, () => {
      failures++
      throw new Error('no such thing')
    })
    chores.add('lasts', EVERY_SECOND, () => {
      starts++
      return new Promise(() => undefined)
    })
    await until(() => failures >= 3, 'three failures')
    t.equal(starts, 1)
    t.match(lines[0], /a chore failed/)
    chores.stop()
    const before = failures
    await new Promise((resolve) => setTimeout(resolve, 1500))
    t.equal(failures, before)
  },
)
