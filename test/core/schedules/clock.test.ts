// Schedules of the config: which minutes they are due at, around both changes of the clock too, and what becomes of them.
import { existsSync } from 'node:fs'
import { setImmediate } from 'node:timers/promises'
import t from 'tap'
import { parseSchedule } from '../../../src/core/crontab/schedule.ts'
import { nextRuns } from '../../../src/core/crontab/schedule-next.ts'
import { namedZone } from '../../../src/core/host/zone.ts'
import { type Carried, ScheduleClock, type ScheduleRule } from '../../../src/core/schedules/clock.ts'
import { createLogger } from '../../../src/logger.ts'
import type { ShownSchedule } from '../../../src/protocol/schedule.ts'
import { carryOut } from '../../../src/server/scheduled-calls.ts'
import { agentProcess } from '../../fixtures/agent-process.ts'
import { supervisord } from '../../fixtures/supervisord.ts'
import { until } from '../../fixtures/wait.ts'
import { parts, somebody } from '../../server/support.ts'

const MINUTE_MS = 60_000
const skip = existsSync('/usr/share/zoneinfo/Europe/Berlin') ? false : 'this host has no time zones'
const RULE: ScheduleRule = { at: '* * * * *', timezone: 'UTC', action: 'restart', select: ['web'] }

/** The instants at which rules begin, when every minute of a time is looked at. */
async function fires(rules: readonly ScheduleRule[], from: string, to: string): Promise<string[][]> {
  const begun: string[][] = rules.map(() => [])
  let nowMs = Date.parse(from)
  const clock = new ScheduleClock({
    rules,
    carryOut: async (number) => {
      begun[number - 1]?.push(new Date(nowMs).toISOString().slice(5, 16))
      return { changed: [], failed: [] }
    },
    logger: createLogger('silent'),
  })
  for (; nowMs < Date.parse(to); nowMs += MINUTE_MS) {
    const before = begun.flat().length
    // late, and twice within the minute
    clock.look(nowMs + 1_500)
    clock.look(nowMs + 59_999)
    if (begun.flat().length > before) await setImmediate()
  }
  return begun
}

await t.test('around both changes of the clock, in UTC', { skip }, async (t) => {
  const spring = ['2026-03-28T23:00Z', '2026-03-29T05:00Z'] as const
  const autumn = ['2026-10-24T22:00Z', '2026-10-25T05:00Z'] as const
  const rows: [at: string, timezone: string, spring: string[], autumn: string[]][] = [
    // Berlin: 02:00 to 03:00 is left out at 01:00 UTC in spring, and comes twice from 00:00 UTC on in autumn
    ['30 2 * * *', 'Europe/Berlin', ['03-29T01:00'], ['10-25T00:30']],
    ['0,30 2 * * *', 'Europe/Berlin', ['03-29T01:00'], ['10-25T00:00', '10-25T00:30']],
    ['0 3 * * *', 'Europe/Berlin', ['03-29T01:00'], ['10-25T02:00']],
    ['59 1 * * *', 'Europe/Berlin', ['03-29T00:59'], ['10-24T23:59']],
    ['*/30 2 * * *', 'Europe/Berlin', [], ['10-25T00:00', '10-25T00:30', '10-25T01:00', '10-25T01:30']],
    [
      '30 */2 * * *',
      'Europe/Berlin',
      ['03-28T23:30', '03-29T02:30', '03-29T04:30'],
      ['10-24T22:30', '10-25T00:30', '10-25T01:30', '10-25T03:30'],
    ],
    [
      '@hourly',
      'Europe/Berlin',
      ['03-28T23:00', '03-29T00:00', '03-29T01:00', '03-29T02:00', '03-29T03:00', '03-29T04:00'],
      [
        '10-24T22:00',
        '10-24T23:00',
        '10-25T00:00',
        '10-25T01:00',
        '10-25T02:00',
        '10-25T03:00',
        '10-25T04:00',
      ],
    ],
    ['30 2 * * 7', 'Europe/Berlin', ['03-29T01:00'], ['10-25T00:30']],
    ['30 2 * * 1', 'Europe/Berlin', [], []],
    ['30 2 * * *', 'UTC', ['03-29T02:30'], ['10-25T02:30']],
    ['0 5 * * *', 'Asia/Kathmandu', ['03-28T23:15'], ['10-24T23:15']],
  ]
  const rules = rows.map(([at, timezone]) => ({ ...RULE, at, timezone }))
  const inSpring = await fires(rules, ...spring)
  const inAutumn = await fires(rules, ...autumn)
  for (const [i, [at, timezone, first, second]] of rows.entries()) {
    t.strictSame(inSpring[i], first, `${at} ${timezone}, spring`)
    t.strictSame(inAutumn[i], second, `${at} ${timezone}, autumn`)
  }
})

await t.test('the minutes are those of cron, and so is what is shown as next', { skip }, async (t) => {
  const windows: [timezone: string, from: string, to: string][] = [
    ['Europe/Berlin', '2026-03-28T22:00Z', '2026-03-29T12:00Z'],
    ['Europe/Berlin', '2026-10-24T20:00Z', '2026-10-25T10:00Z'],
    ['America/New_York', '2026-03-08T02:00Z', '2026-03-08T16:00Z'],
    ['America/New_York', '2026-11-01T00:00Z', '2026-11-01T14:00Z'],
    ['Australia/Lord_Howe', '2026-04-04T08:00Z', '2026-04-04T22:00Z'],
    ['Australia/Lord_Howe', '2026-10-03T08:00Z', '2026-10-03T22:00Z'],
  ]
  const ats = [
    '30 2 * * *',
    '15,45 1-3 * * *',
    '*/20 1-2 * * *',
    '0 */3 * * *',
    '10 2 */2 * 0',
    '@daily',
    '5-10 2 * 3-11 sat,sun',
  ]
  for (const [timezone, from, to] of windows) {
    const zone = namedZone(timezone)
    if (!zone) throw new Error(`no ${timezone}`)
    const found = await fires(
      ats.map((at) => ({ ...RULE, at, timezone })),
      from,
      to,
    )
    for (const [i, at] of ats.entries()) {
      const parsed = parseSchedule(at)
      if (parsed.kind !== 'timed') throw new Error(at)
      const runs = nextRuns(parsed, { afterMs: Date.parse(from) - 1, zone, count: 100 })
        .filter(({ atMs }) => atMs < Date.parse(to))
        // cron makes up for each minute that was left out, one after the other: here it is one time
        .map(({ atMs, isCatchUp }) => ({ at: new Date(atMs).toISOString().slice(5, 16), isCatchUp }))
      const wanted = new Set(
        runs.flatMap((run, n) => (run.isCatchUp && runs[n - 1]?.isCatchUp ? [] : [run.at])),
      )
      t.strictSame(found[i], [...wanted], `${at} ${timezone} ${from}`)
    }
  }
})

await t.test('one run at a time, nothing made up for, and the end is the end', async (t) => {
  const begun: number[] = []
  const lines: string[] = []
  let end: (carried: Carried) => void = () => undefined
  let aborted = 0
  const clock = new ScheduleClock({
    rules: [RULE, { ...RULE, action: 'stop' }],
    carryOut: (number, _rule, signal) => {
      begun.push(number)
      if (number === 2) return Promise.reject(new Error('supervisord is away'))
      return new Promise((resolve, reject) => {
        end = resolve
        signal.addEventListener('abort', () => reject(new Error(`told to end ${++aborted}`)))
      })
    },
    logger: createLogger('info', { write: (line) => void lines.push(line) }),
  })
  const start = Date.parse('2026-11-22T10:00:00Z')
  clock.look(start)
  await setImmediate()
  t.match(clock.list(start), [
    { schedule: 1, running: true, mode: 'hard', next: '2026-11-22T10:01:00.000Z' },
    { schedule: 2, running: false, lastRun: { ok: false, error: 'supervisord is away' } },
  ])
  clock.look(start + MINUTE_MS)
  t.strictSame(begun, [1, 2, 2], 'the first one still runs')
  t.match(lines.join(''), /left out this time/)
  end({ changed: ['web'], failed: ['api'] })
  await setImmediate()
  t.match(clock.list()[0]?.lastRun, {
    startedAt: '2026-11-22T10:00:00.000Z',
    ok: false,
    changed: ['web'],
    failed: ['api'],
  })
  clock.look(start + 100 * MINUTE_MS)
  t.equal(begun.length, 5, 'once, for whatever was slept through')
  await setImmediate()
  clock.look(start + 99 * MINUTE_MS)
  t.equal(begun.length, 5, 'a clock that is set back a little repeats nothing')
  await clock.stop()
  t.match(clock.list()[0], { running: false, lastRun: { error: /^told to end/ } })
  t.throws(
    () =>
      new ScheduleClock({
        rules: [{ ...RULE, timezone: 'Mars/X' }],
        carryOut: async () => ({ changed: [], failed: [] }),
        logger: createLogger('silent'),
      }),
  )
})

await t.test('zones by their names', { skip }, (t) => {
  for (const name of [
    '../../../etc/localtime',
    '/etc/localtime',
    'Mars/X',
    'Europe',
    '',
    'Europe/',
    'tzdata.zi',
  ])
    t.equal(namedZone(name), null, name)
  t.equal(namedZone('UTC')?.name, 'UTC')
  t.equal(namedZone('Europe/Berlin')?.offsetAt(Date.parse('2026-07-01T00:00Z')), 7200)
  t.end()
})

await t.test('the policy binds a schedule', async (t) => {
  const { services, dispatcher } = await parts(t, { policy: { readOnly: true } })
  const { signal } = new AbortController()
  await t.rejects(carryOut(3, { ...RULE, select: ['all'] }, { services, dispatcher, signal }), {
    code: 'POLICY_DENIED',
    facts: { rule: 'policy.readOnly' },
  })
  const { records } = await services.audit.list({ limit: 10 })
  t.match(records, [
    { actor: 'schedule:3', method: 'process.restart', remote: 'schedules', outcome: 'POLICY_DENIED' },
  ])
})

await t.test('by the clock of the host', async (t) => {
  const real = globalThis.Date
  t.teardown(() => (globalThis.Date = real))
  let begun = 0
  const clock = new ScheduleClock({
    rules: [RULE],
    carryOut: async () => ({ changed: [`${++begun}`], failed: [] }),
    logger: createLogger('silent'),
  })
  t.teardown(() => clock.stop())
  // each look at it is a millisecond later, and the second one at the minute comes before it: timers may be early
  let shownMs = Date.parse('2026-01-01T00:00:59.997Z')
  const now = () => shownMs++
  globalThis.Date = new Proxy(real, {
    construct: (target, args) => Reflect.construct(target, args.length > 0 ? args : [now()]),
    get: (target, key) => (key === 'now' ? now : Reflect.get(target, key)),
  })
  clock.start()
  clock.look(shownMs - 1)
  t.equal(begun, 0, 'not the minute that it was started in')
  await until(() => begun === 1, 'the minute to begin')
})

await t.test('a running agent does what its config says, and tells who did it', async (t) => {
  const host = await supervisord(t, {
    programs: { web: { command: 'sleep 300' }, idle: { command: 'sleep 300', autostart: 'false' } },
  })
  let list = (): ShownSchedule[] => []
  const { services, dispatcher, open } = await parts(t, { url: host.url, agent: { schedules: () => list() } })
  const clock = new ScheduleClock({
    rules: [
      { ...RULE, mode: 'rolling' },
      { ...RULE, action: 'start', select: ['idle'] },
      { ...RULE, action: 'stop', select: ['no-such'] },
    ],
    carryOut: (number, rule, signal) => carryOut(number, rule, { services, dispatcher, signal }),
    logger: createLogger('silent'),
  })
  t.teardown(() => clock.stop())
  list = () => clock.list()
  const admin = open()
  await until(
    async () => (await admin.call('process.list', { select: ['web', 'idle'] })).result,
    'both programs',
  )
  await admin.call('event.subscribe', { types: ['process.state'] })
  clock.look(Date.now())
  const schedules = async (who = admin) =>
    (await who.call('agent.info')).result?.['schedules'] as ShownSchedule[] | undefined
  await until(async () => (await schedules())?.every(({ lastRun }) => lastRun), 'each to have run', 60_000)
  t.match(await schedules(), [
    { schedule: 1, mode: 'rolling', lastRun: { ok: true, changed: ['web'], failed: [] } },
    { schedule: 2, action: 'start', lastRun: { ok: true, changed: ['idle'] } },
    { schedule: 3, lastRun: { ok: false, error: /nothing matches no-such/ } },
  ])
  const records = (await services.audit.list({ limit: 20 })).records
  const seen = records.map(({ actor, method }) => `${actor} ${method}`)
  for (const one of ['schedule:1 process.restart', 'schedule:2 process.start', 'schedule:3 process.stop'])
    t.ok(seen.includes(one), one)
  const actors = () => new Set(admin.notes('event').map(({ actor }) => actor))
  await until(() => actors().has('schedule:1') && actors().has('schedule:2'), 'events that name them')
  const other = open(somebody({ scopes: new Set(['read']), programs: ['idle'] }))
  t.equal(await schedules(other), undefined, 'they name programs')
})

await t.test('as it is built: a named zone needs no tables of zones', { skip }, async (t) => {
  const host = await supervisord(t, { programs: { web: { command: 'sleep 300' } } })
  const config = `schedules:\n  - { at: '0 4 * * *', timezone: Europe/Berlin, action: restart, select: [web] }\n`
  const agent = await agentProcess(t, host, { config })
  const { stdout } = await agent.run('info')
  t.match(
    stdout,
    /^schedule +1: restart web at 0 4 \* \* \* \(Europe\/Berlin\); next at \d{4}-\d\d-\d\dT0[23]:00/m,
  )
})
