/**
 * What `cronrun` costs a run, beside no wrapper and beside one in Node.js; how soon a result is known; fifty at once.
 * Run: npx tsx bench/cronrun.ts
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { Runs } from '../src/core/crontab/runs.ts'
import { Spool } from '../src/core/crontab/spool.ts'
import { EventBus } from '../src/core/events/bus.ts'
import { StoredEvent } from '../src/core/events/stored-event.ts'
import { createLogger } from '../src/logger.ts'
import { until } from '../test/fixtures/wait.ts'
import { median, printTable, quantile, say, spread, timed, verdict } from './lib/figures.ts'
import { atEnd, bench } from './lib/host.ts'

const SHIM = resolve(import.meta.dirname, '../assets/cronrun')
const ROUNDS = 7
const RUNS = 40
const NODE_RUNS = 5
const RESULTS = 100
const CROWD = 50
const CPU_MS = 12
const KNOWN_MS = 50
const STORED_MS = 500
const TICK_MS = 10
const USER = 'alice'
const ENV = { HOME: '/', LOGNAME: USER, PATH: '/usr/bin:/bin', SHELL: '/bin/sh' }
/** The least that a wrapper in Node.js does: pipes, the end of the output, a record. */
const NODE_WRAPPER = `const { spawn } = require('node:child_process')
const { renameSync, writeFileSync } = require('node:fs')
const [, , path, command] = process.argv
writeFileSync(path + '.new', 'start'); renameSync(path + '.new', path)
let tail = Buffer.alloc(0)
const keep = (chunk) => { process.stdout.write(chunk); tail = Buffer.concat([tail, chunk]).subarray(-16384) }
const child = spawn('/bin/sh', ['-c', command], { stdio: ['inherit', 'pipe', 'pipe'] })
child.stdout.on('data', keep); child.stderr.on('data', keep)
child.on('close', (status) => { writeFileSync(path + '.new', tail); renameSync(path + '.new', path); process.exitCode = status })
`

/** Processor time of all children that have ended, in milliseconds. */
function spentByChildren(): number {
  const stat = readFileSync('/proc/self/stat', 'latin1')
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return (Number(fields[13]) + Number(fields[14])) * TICK_MS
}

/** Runs a command over and over under one shell. @returns processor and wall milliseconds of one run */
async function cost(command: string, count: number): Promise<{ cpuMs: number; wallMs: number }> {
  const before = spentByChildren()
  const loop = `i=0; while [ $i -lt ${count} ]; do ${command} >/dev/null; i=$((i + 1)); done`
  const wallMs = await timed(async () => {
    await once(spawn('/bin/sh', ['-c', loop], { env: ENV, stdio: 'ignore' }), 'exit')
  })
  return { cpuMs: (spentByChildren() - before) / count, wallMs: wallMs / count }
}

await bench(async () => {
  const root = mkdtempSync(join(tmpdir(), 'bench-cron-'))
  atEnd(() => rmSync(root, { recursive: true, force: true }))
  const folder = join(root, USER)
  mkdirSync(folder, { mode: 0o700 })
  const wrapper = join(root, 'wrapper.cjs')
  writeFileSync(wrapper, NODE_WRAPPER)
  const job = "'echo hello; true'"
  const clear = `rm -f ${folder}/*`
  const rows = [
    { it: 'no wrapper', command: `/bin/sh -c ${job}`, count: RUNS },
    { it: '`cronrun`', command: `${SHIM} -s ${root} job -- ${job}`, count: RUNS, isJudged: true },
    {
      it: '`cronrun -o -t`',
      command: `${SHIM} -s ${root} -o -t 60 job -- ${job}`,
      count: RUNS,
      isJudged: true,
    },
    { it: '`cronrun` without a spool', command: `${SHIM} -s /nonexistent job -- ${job}`, count: RUNS },
    { it: 'in Node.js', command: `${process.execPath} ${wrapper} ${folder}/node ${job}`, count: NODE_RUNS },
  ]
  const figures = rows.map(() => ({ cpu: [] as number[], wall: [] as number[] }))
  for (let round = 0; round < ROUNDS; round++)
    for (const [i, { it, command, count }] of rows.entries()) {
      say(`round ${round + 1}: ${it}`)
      const { cpuMs, wallMs } = await cost(command, count)
      figures[i]?.cpu.push(cpuMs)
      figures[i]?.wall.push(wallMs)
      await once(spawn('/bin/sh', ['-c', clear]), 'exit')
    }
  printTable(
    ['a run of `echo`', 'processor time, ms', 'wall time, ms', `≤ ${CPU_MS} ms`],
    rows.map(({ it, isJudged }, i) => {
      const { cpu = [], wall = [] } = figures[i] ?? {}
      return [it, spread(cpu, 1), spread(wall, 1), isJudged ? verdict(median(cpu) <= CPU_MS) : '']
    }),
  )

  const bus = new EventBus()
  const logger = createLogger('warn')
  const runs = new Runs({ folder: join(root, 'runs'), bus, now: Date.now, logger })
  await runs.start()
  const spool = new Spool({ root, runs, isEntry: () => true, logger })
  const known = new Map<string, number>()
  bus.onPublish(() => {
    const stored = bus.at(bus.seq)
    if (stored instanceof StoredEvent && stored.type === 'crontab.finished')
      known.set((stored.event.payload as { run: string }).run, Date.now())
  })
  await spool.add({ name: USER, uid: process.getuid?.() ?? 0 })
  spool.start()
  atEnd(() => spool.stop())
  // its last act is to say when it ends
  const command = 'date +%s%3N'
  const start = () => spawn(SHIM, ['-s', root, 'job', '--', command], { env: ENV, stdio: 'ignore' })
  const lateMs = async () => {
    const outputs = await runs.outputs([...known.keys()])
    return [...known].map(([run, atMs]) => atMs - Number(outputs.get(run)))
  }
  say('results one after the other')
  for (let i = 0; i < RESULTS; i++) {
    await once(start(), 'exit')
    await until(() => known.size > i, 'its result')
  }
  const single = await lateMs()
  known.clear()
  say('fifty at once')
  const atOnce = (one: string) =>
    spawn('/bin/sh', ['-c', `i=0; while [ $i -lt ${CROWD} ]; do ${one} & i=$((i + 1)); done; wait`], {
      env: ENV,
      stdio: 'ignore',
    })
  const bareMs = await timed(() => once(atOnce(`/bin/sh -c '${command}'`), 'exit'))
  const storedMs = await timed(async () => {
    atOnce(`${SHIM} -s ${root} job -- '${command}'`)
    await until(() => known.size === CROWD, 'all results')
    await runs.flush()
  })
  const crowd = await lateMs()
  printTable(
    ['', 'median', 'p95', 'bar', ''],
    [
      [
        'from the end of a job to its event, ms',
        median(single),
        quantile(single, 0.95),
        `p95 ≤ ${KNOWN_MS}`,
        verdict(quantile(single, 0.95) <= KNOWN_MS),
      ],
      [`the same with ${CROWD} jobs at once`, median(crowd), quantile(crowd, 0.95), '', ''],
      [`${CROWD} jobs at once without a wrapper, ms`, bareMs.toFixed(0), '', '', ''],
      [
        `${CROWD} jobs at once: started, run, all results on disk, ms`,
        storedMs.toFixed(0),
        '',
        `≤ ${STORED_MS}`,
        verdict(storedMs <= STORED_MS),
      ],
    ],
  )
})
