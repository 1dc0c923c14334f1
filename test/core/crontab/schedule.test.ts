// Schedules: what is taken, when it runs, also while clocks are set, and what is said of it. What cron does is from
// measurements of the real daemons; a simple loop over minutes, which shares nothing with our code, says the same.
import { existsSync } from 'node:fs'
import t from 'tap'
import { parseSchedule, type TimedSchedule } from '../../../src/core/crontab/schedule.ts'
import { nextRuns, type PlannedRun } from '../../../src/core/crontab/schedule-next.ts'
import { scheduleWarnings } from '../../../src/core/crontab/schedule-warnings.ts'
import { describeSchedule } from '../../../src/core/crontab/schedule-words.ts'
import { localZone, UTC, type Zone } from '../../../src/core/host/zone.ts'
import { CronHost, noCron } from '../../fixtures/crontab.ts'
import { naiveRuns, ticksOf } from './naive-cron.ts'
import { madeSchedule, Random } from './random.ts'

const ZONES = '/usr/share/zoneinfo'
const skip = existsSync(`${ZONES}/Europe/Berlin`) ? false : 'this host has no time zones'
const NEW_YEAR = Date.parse('2026-01-01T00:00Z')

function timed(text: string): TimedSchedule {
  const schedule = parseSchedule(text)
  if (schedule.kind !== 'timed') throw new Error(`${text}: ${JSON.stringify(schedule)}`)
  return schedule
}

function zoneOf(name: string): Zone {
  return localZone(`${ZONES}/${name}`)
}

/** As the clock on the wall shows it, without the year. */
function onTheWall({ atMs }: PlannedRun, zone: Zone): string {
  return new Date(atMs + zone.offsetAt(atMs) * 1000).toISOString().slice(5, 19).replace(/:00$/, '')
}

function runsOf(text: string, count: number, zone = UTC, afterMs = NEW_YEAR): string[] {
  return nextRuns(timed(text), { afterMs, zone, count }).map((run) => onTheWall(run, zone))
}

/** The whole of the measured table: what ours takes, and its first runs of 2026 where they tell something. */
const TAKEN: Record<string, string[]> = {
  '*/40 * * * *': ['01-01T00:40', '01-01T01:00', '01-01T01:40'],
  '0-59/7 * * * *': ['01-01T00:07', '01-01T00:14'],
  '00 00 01 01 *': ['01-01T00:00'],
  '007 * * * *': ['01-01T00:07', '01-01T01:07'],
  '0 0 * * 7': ['01-04T00:00', '01-11T00:00'],
  '0 0 * * 5-7': ['01-02T00:00', '01-03T00:00', '01-04T00:00', '01-09T00:00'],
  '0 0 * * 0-7': ['01-02T00:00', '01-03T00:00'],
  '0 0 * * sun': ['01-04T00:00', '01-11T00:00'],
  '0 0 * * SUN,Wed': ['01-04T00:00', '01-07T00:00', '01-11T00:00'],
  '0 0 13 * 5': ['01-02T00:00', '01-09T00:00', '01-13T00:00', '01-16T00:00'],
  '0 0 */2 * 1': ['01-05T00:00', '01-19T00:00', '02-09T00:00', '02-23T00:00'],
  '0 0 1-7 * */7': ['01-04T00:00', '02-01T00:00', '03-01T00:00', '04-05T00:00'],
  '0 0 30 2 1': ['02-02T00:00', '02-09T00:00', '02-16T00:00', '02-23T00:00', '02-01T00:00'],
  '*/60 * * * *': ['01-01T01:00', '01-01T02:00'],
  '*/61 * * * *': ['01-01T01:00', '01-01T02:00'],
  '*/100 * * * *': ['01-01T01:00', '01-01T02:00'],
  '0-10/20 * * * *': ['01-01T01:00', '01-01T02:00'],
  '*,5 * * * *': ['01-01T00:01', '01-01T00:02'],
  '0 0 * * 1,mon,1-1': ['01-05T00:00', '01-12T00:00'],
  '0 0 5,* * 1': ['01-02T00:00', '01-03T00:00'],
  '0\t0\t1  1 *': ['01-01T00:00'],
  '@midnight': ['01-02T00:00', '01-03T00:00'],
  '@daily': ['01-02T00:00', '01-03T00:00'],
  '@weekly': ['01-04T00:00', '01-11T00:00'],
  '@monthly': ['02-01T00:00', '03-01T00:00'],
  '@hourly': ['01-01T01:00', '01-01T02:00'],
  '@yearly': ['01-01T00:00', '01-01T00:00'],
  '@annually': ['01-01T00:00'],
  '0 0 29 2 *': ['02-29T00:00'],
}
const REFUSED =
  `5/15 * * * *|0 0 * * sat-sun|0 0 * * fri-mon|22-2 0 * * *|0 22-2 * * *|0 0 31 2 *|0 0 30,31 2 *|0 0 31 4,6 */2
*5 * * * *|*x * * * *|**** * * * *|*-5 * * * *|1;2 * * * *|1.5 * * * *|5?? * * * *|1-2-3 * * * *|*/5/5 * * * *|0 0 * * 1#2
0 0 * * MON#1|0~30 * * * *|~ * * * *|~,5 * * * *|1,2,,3 * * * *|,1 * * * *|1, * * * *|-5 * * * *|5- * * * *|+5 * * * *
0x5 * * * *|*/0 * * * *|? * * * *|0 0 L * *|0 0 15W * *|0 0 LW * *|0 0 * * 5L|0 0 * january *|0 0 * * monday|H * * * *
* * * * * *|*/10 * * * * *|0 0 1 1 * 2027|* * * *|@Daily|@REBOOT|@minutely|@every 5m|@|4294967296 * * * *|60 * * * *|* 24 * * *
* * 0 * *|* * 32 * *|* * * 0 *|* * * 13 *|* * * * 8|jan * * * *|* * mon * *|* * * * jan|*/ * * * *|1-/2 * * * *|99999999999 * * * *`.split(
    /[|\n]/,
  )

await t.test('what is taken runs when both daemons run it', (t) => {
  for (const [text, runs] of Object.entries(TAKEN)) t.same(runsOf(text, runs.length), runs, text)
  t.match(parseSchedule(' @reboot '), { kind: 'reboot', text: '@reboot' })
  t.match(parseSchedule('\t0  0 *\t* * '), { text: '0 0 * * *' }, 'written with one blank between fields')
  t.equal(nextRuns(timed('0 0 29 2 */7'), { afterMs: NEW_YEAR, zone: UTC, count: 9 }).length, 2, 'a rare day')
  t.end()
})

await t.test('what one of them refuses, or reads otherwise, is refused in words', (t) => {
  const odd = [
    '',
    ' ',
    '0\u00a00 * * *',
    '\uff11 * * * *',
    '0 0\n* * *',
    '0 0 * * *\0',
    '0 0 * * *\r',
    'PATH=/evil',
  ]
  for (const text of [...REFUSED, ...odd, `${'1,'.repeat(5000)}1 * * * *`]) {
    const schedule = parseSchedule(text)
    t.equal(schedule.kind, 'problem', JSON.stringify(text.slice(0, 40)))
    if (schedule.kind === 'problem') t.match(schedule.problem, /^[\x20-\x7e\uff11]+$/, schedule.problem)
  }
  t.end()
})

/** Europe/Berlin: on 2026-03-29 two o'clock is left out, on 2026-10-25 it comes twice. */
const BERLIN: { text: string; spring: string[]; autumn: string[] }[] = [
  { text: '30 2 * * *', spring: ['29T03:00', '30T02:30'], autumn: ['25T02:30 +2', '26T02:30 +1'] },
  {
    text: '0,30 2 * * *',
    spring: ['29T03:00', '29T03:00:10', '30T02:00', '30T02:30'],
    autumn: ['25T02:00 +2', '25T02:30 +2', '26T02:00 +1', '26T02:30 +1'],
  },
  {
    text: '*/30 2 * * *',
    spring: ['30T02:00', '30T02:30'],
    autumn: ['25T02:00 +2', '25T02:30 +2', '25T02:00 +1', '25T02:30 +1', '26T02:00 +1'],
  },
  {
    text: '0 * * * *',
    spring: ['29T01:00', '29T03:00', '29T04:00'],
    autumn: ['25T01:00 +2', '25T02:00 +2', '25T02:00 +1', '25T03:00 +1'],
  },
  {
    text: '@hourly',
    spring: ['29T01:00', '29T03:00', '29T04:00'],
    autumn: ['25T01:00 +2', '25T02:00 +2', '25T02:00 +1', '25T03:00 +1'],
  },
  {
    text: '*/15 * * * *',
    spring: ['29T00:45', '29T01:00', '29T01:15', '29T01:30', '29T01:45', '29T03:00', '29T03:15'],
    autumn: ['25T00:45 +2', '25T01:00 +2'],
  },
  {
    text: '30 */2 * * *',
    spring: ['29T04:30', '29T06:30'],
    autumn: ['25T02:30 +2', '25T02:30 +1', '25T04:30 +1'],
  },
  { text: '0 3 * * *', spring: ['29T03:00', '30T03:00'], autumn: ['25T03:00 +1', '26T03:00 +1'] },
]

await t.test('clocks that are set, as the real daemon was seen to do', { skip }, (t) => {
  const berlin = zoneOf('Europe/Berlin')
  for (const { text, spring, autumn } of BERLIN) {
    const inSpring = runsOf(text, spring.length, berlin, Date.parse('2026-03-29T00:30+01:00'))
    t.same(
      inSpring,
      spring.map((one) => `03-${one}`),
      `${text} in spring`,
    )
    const inAutumn = nextRuns(timed(text), {
      afterMs: Date.parse('2026-10-25T00:31+02:00'),
      zone: berlin,
      count: autumn.length,
    }).map((run) => `${onTheWall(run, berlin)} +${berlin.offsetAt(run.atMs) / 3600}`)
    t.same(
      inAutumn,
      autumn.map((one) => `10-${one}`),
      `${text} in autumn`,
    )
  }
  const every = nextRuns(timed('*/15 * * * *'), {
    afterMs: Date.parse('2026-10-24T22:00Z'),
    zone: berlin,
    count: 100,
  })
  t.ok(
    every.every(({ atMs }, i) => i === 0 || atMs - (every[i - 1]?.atMs ?? 0) === 900_000),
    'no hole, nothing twice',
  )
  const later = nextRuns(timed('30 2 * * *'), {
    afterMs: Date.parse('2026-10-25T02:10+01:00'),
    zone: berlin,
    count: 1,
  })
  t.same(
    later.map((run) => onTheWall(run, berlin)),
    ['10-26T02:30'],
    'asked between the two, it has run',
  )
  const samoa = zoneOf('Pacific/Apia')
  const day = nextRuns(timed('0 12 * * *'), {
    afterMs: Date.parse('2011-12-29T23:00Z'),
    zone: samoa,
    count: 2,
  })
  t.same(
    day.map((run) => onTheWall(run, samoa)),
    ['12-31T12:00', '01-01T12:00'],
    'a day left out is not made up for',
  )
  t.end()
})

const WINDOWS = [
  ['Europe/Berlin', '2026-03-28'],
  ['Europe/Berlin', '2026-10-24'],
  ['America/New_York', '2026-03-07'],
  ['America/New_York', '2026-10-31'],
  ['Australia/Lord_Howe', '2026-04-04'],
  ['Australia/Lord_Howe', '2026-10-03'],
  ['Africa/Cairo', '2026-04-23'],
  ['Africa/Cairo', '2026-10-29'],
  ['America/Santiago', '2026-04-04'],
  ['America/Santiago', '2026-09-05'],
  ['Asia/Kolkata', '2026-06-30'],
  ['UTC', '2028-02-28'],
] as const
const EACH = 90
const DAYS = 3

await t.test('random schedules against a loop over every minute', { skip }, (t) => {
  const seed = Number(process.env['SEED'] ?? 20260101)
  const random = new Random(seed)
  let runs = 0
  let late = 0
  for (const [name, from] of WINDOWS) {
    const ticks = ticksOf(name, Date.parse(`${from}T00:00Z`), DAYS)
    const zone = zoneOf(name)
    for (let i = 0; i < EACH; i++) {
      const fields = madeSchedule(random, 30)
      const text = fields.map((field) => field.text).join(' ')
      const schedule = parseSchedule(text)
      const expected = naiveRuns(fields, ticks)
      if (schedule.kind !== 'timed') {
        // one that never comes true
        if (schedule.kind === 'problem') t.match(schedule.problem, 'never comes', text)
        t.same(expected, [])
        continue
      }
      const afterMs = (ticks[0]?.atMs ?? 0) - 1
      const lastMs = ticks.at(-1)?.atMs ?? 0
      const planned = nextRuns(schedule, { afterMs, zone, count: expected.length + 1 })
      const got = planned.filter(({ atMs }) => atMs < lastMs + 60_000)
      const isSame =
        got.length === expected.length &&
        got.every(({ atMs, isCatchUp }, at) => {
          const wanted = expected[at] ?? 0
          return isCatchUp ? atMs >= wanted && atMs < wanted + 1_800_000 : atMs === wanted
        })
      if (!isSame)
        t.same(
          got.map(({ atMs }) => show(atMs)),
          expected.map(show),
          `${text} in ${name} (seed ${seed})`,
        )
      runs += got.length
      late += got.filter(({ isCatchUp }) => isCatchUp).length
    }
  }
  t.comment(`${WINDOWS.length * EACH} schedules, ${runs} runs, ${late} of them made up for (seed ${seed})`)
  t.ok(runs > 50_000 && late > 20, 'there was something to compare')
  t.end()
})

function show(atMs: number): string {
  return new Date(atMs).toISOString()
}

await t.test('whatever ours takes, the real crontab takes', { skip: noCron() }, async (t) => {
  const random = new Random(7)
  const letters = [
    '*',
    '/',
    '-',
    ',',
    '0',
    '1',
    '5',
    '7',
    '31',
    '59',
    'jan',
    'SUN',
    '*/',
    '?',
    '#',
    '@',
    '~',
    '00',
    '60',
  ]
  const noise = () => random.times(1 + random.below(4), () => random.pick(letters)).join('')
  const texts = [
    ...random.times(1500, () => random.times(5, () => (random.chance(60) ? '*' : noise())).join(' ')),
    ...random.times(500, () =>
      madeSchedule(random)
        .map(({ text }) => text)
        .join(' '),
    ),
    ...Object.keys(TAKEN),
  ].filter((text) => parseSchedule(text).kind === 'timed')
  const host = await CronHost.start(t)
  const lines = texts.map((text) => `${text} true\n`).join('')
  const { code, stderr } = await host.install('alice', lines)
  t.ok(texts.length > 700, `${texts.length} texts were taken`)
  t.equal(code, 0, stderr)
  for (const text of ['5/15 * * * *', '1,2,,3 * * * *', '@Daily', '0 0 * january *'])
    t.equal((await host.install('alice', `${text} true\n`)).code, 1, `${text} is refused there too`)
})

await t.test('schedules in words', (t) => {
  for (const [text, words] of [
    ['* * * * *', 'every minute'],
    ['*/5 * * * *', 'every 5 minutes'],
    ['*/40 * * * *', 'at minutes 0 and 40 of every hour'],
    ['5 * * * *', 'at minute 5 of every hour'],
    ['@hourly', 'every hour'],
    ['0 0 * * *', 'at 00:00 every day'],
    ['15 3 * * 1-5', 'at 03:15 on Monday to Friday'],
    ['0 8,20 * 6-8 sat,sun', 'at 08:00 and 20:00 on Sunday and Saturday in June to August'],
    ['*/15 9-17 * * *', 'every 15 minutes of hours 9 to 17 every day'],
    ['* 2 * * *', 'every minute of hour 2 every day'],
    ['0 0 13 * 5', 'at 00:00 on day 13 of the month, and on Friday'],
    ['0 0 */2 * 1', 'at 00:00 on days 1, 3, 5 … 31 of the month, if that is Monday'],
    ['0 0 5,* * 1', 'at 00:00 every day'],
    ['@reboot', 'once, when the host starts'],
  ] as const) {
    const schedule = parseSchedule(text)
    if (schedule.kind !== 'problem') t.equal(describeSchedule(schedule), words, text)
  }
  t.end()
})

await t.test('what may not be what was meant', { skip }, (t) => {
  const zone = zoneOf('Europe/Berlin')
  for (const [text, ...warnings] of [
    ['* * * * *'],
    ['*/15 * * * *'],
    ['0 4 * * 1-5'],
    ['0 0 1,15 * *'],
    ['*/40 * * * *', /0 and 40 and starts again with each hour/],
    ['*/60 * * * *', /longer than the range/],
    ['0 */5 * * *', /starts again with each day/],
    ['0 0 */3 * *', /starts again with each month/],
    ['0 0 13 * 5', /needs to be one of both/],
    ['0 0 */2 * 1', /each month/, /must be both/],
    ['0 0 31 * *', /months without a day 31/],
    ['0 0 29 2 *', /leap years/, /not run before 2028-02-28/],
    [
      '30 2 * * *',
      /2026-03-29 there is no 02:30: it runs at about 03:00/,
      /2026-10-25 .* 02:30 twice.*first/,
    ],
    ['*/30 2 * * *', /2026-03-29 .* does not run/, /2026-10-25 .* both times/],
    ['@reboot', /nobody knows/],
  ] as const) {
    const schedule = parseSchedule(text)
    if (schedule.kind === 'problem') throw new Error(text)
    const got = scheduleWarnings(schedule, { afterMs: NEW_YEAR, zone })
    t.equal(got.length, warnings.length, `${text}: ${got.join(' | ')}`)
    warnings.forEach((warning, i) => void t.match(got[i], warning))
  }
  t.end()
})
