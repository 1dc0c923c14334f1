/**
 * How fast a log is followed: 512 MiB that are there, by the iterator and through a WebSocket of the bundled agent, and
 * 10 MB/s that are being written.
 * Run: npx tsx bench/log-follow.ts
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, mkdtempSync, openSync, rmSync, statSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { LogService } from '../src/core/logs/service.ts'
import { webSocketAsker } from './lib/clients.ts'
import { printTable, quantile, spread, verdict } from './lib/figures.ts'
import { bench, cpuSecondsOf, startAgent, startSupervisord } from './lib/host.ts'

const MIB = 1024 * 1024
const SIZE = 512 * MIB
const RUNS = 5
const LIVE_MS = 5000
const BAR_MB = 100
const WRITER = `
const { writeSync, openSync } = require('node:fs')
const fd = openSync(process.argv[1], 'a'), began = performance.now()
let written = 0
const timer = setInterval(() => {
  const elapsed = performance.now() - began
  if (elapsed > ${LIVE_MS}) { clearInterval(timer); writeSync(fd, 'END\\n'); return }
  let text = ''
  while (written + text.length < elapsed * 10000) text += (performance.timeOrigin + performance.now()).toFixed(1) + ' ' + 'x'.repeat(85) + '\\n'
  if (text) written += writeSync(fd, text)
}, 2)`

const folder = mkdtempSync(join(tmpdir(), 'log-bench-'))
try {
  await bench(async () => {
    const backlog = join(folder, 'backlog.log')
    fill(backlog)
    const rates: number[] = []
    for (let run = 0; run < RUNS; run++) rates.push(await readAll(backlog))
    const remote = await followRemote(backlog)
    const live = await followLive(join(folder, 'live.log'))
    const backlogRow = (how: string, all: readonly number[]) => [
      `backlog of ${SIZE / MIB} MiB, ${how}: MB/s, ${RUNS} runs`,
      spread(all),
      `≥ ${BAR_MB}`,
      verdict(quantile(all, 0.5) >= BAR_MB),
    ]
    const isLevel = live.rate > 9.5 && live.behind < MIB
    printTable(
      ['log.follow', 'median (range)', 'bar', ''],
      [
        backlogRow('iterator', rates),
        backlogRow('WebSocket', remote.rates),
        ['the same: processor ms of the agent per MB', spread(remote.costs, 1), '', ''],
        ['10 MB/s live: delivered MB/s', live.rate.toFixed(2), 'no backlog', verdict(isLevel)],
        ['10 MB/s live: most bytes behind', live.behind, '', ''],
        [
          '10 MB/s live: latency of a line, ms, p50 / p95',
          `${quantile(live.latencies, 0.5).toFixed(1)} / ${quantile(live.latencies, 0.95).toFixed(1)}`,
          '',
          '',
        ],
      ],
    )
  })
} finally {
  rmSync(folder, { recursive: true, force: true })
}

/** Through `log.follow` of the bundled agent, whose program has that file for its stdout. */
async function followRemote(path: string): Promise<{ rates: number[]; costs: number[] }> {
  const program = {
    command: '/bin/sleep 1000000',
    redirect_stderr: true,
    stdout_logfile: path,
    stdout_logfile_maxbytes: 0,
  }
  const supervisor = await startSupervisord({ programs: { chatty: program } })
  const agent = await startAgent({ supervisor })
  let read = 0
  let done = () => {}
  const client = await webSocketAsker(await agent.remote(), (frame) => {
    const { method, params } = JSON.parse(frame) as { method: string; params: { text: string } }
    if (method !== 'log') return
    read += params.text.length
    if (read >= SIZE) done()
  })
  const rates: number[] = []
  const costs: number[] = []
  for (let run = 0; run < RUNS; run++) {
    read = 0
    const end = new Promise<void>((resolve) => {
      done = resolve
    })
    const before = { at: performance.now(), cpu: cpuSecondsOf(agent.pid) }
    const cursors = { chatty: startOf(path) }
    const answer = await client.ask('log.follow', { select: ['chatty'], lines: 0, cursors })
    await end
    rates.push(SIZE / 1000 / (performance.now() - before.at))
    costs.push(((cpuSecondsOf(agent.pid) - before.cpu) * 1000) / (SIZE / 1e6))
    const { result } = JSON.parse(answer) as { result: { subscription: string } }
    await client.ask('log.unfollow', result)
  }
  client.close()
  return { rates, costs }
}

/** The cursor of a file's first byte. */
function startOf(path: string): string {
  const { dev, ino } = statSync(path, { bigint: true })
  return `1-${dev.toString(36)}-${ino.toString(36)}-0-0`
}

function fill(path: string): void {
  const block = Buffer.from(
    '2026-08-01 12:00:00,000 INFO a line of a common length, as web servers write them, 100 B\n'.repeat(
      12_000,
    ),
  )
  const fd = openSync(path, 'w')
  for (let written = 0; written < SIZE; )
    written += writeSync(fd, block, 0, Math.min(block.length, SIZE - written))
  closeSync(fd)
}

async function readAll(path: string): Promise<number> {
  const logs = new LogService()
  const stop = new AbortController()
  const began = performance.now()
  let read = 0
  for await (const { text } of logs.follow(path, { cursor: startOf(path), signal: stop.signal })) {
    read += text.length
    if (read >= SIZE) stop.abort()
  }
  logs.stop()
  return SIZE / 1000 / (performance.now() - began)
}

async function followLive(path: string): Promise<{ rate: number; behind: number; latencies: number[] }> {
  closeSync(openSync(path, 'w'))
  const logs = new LogService()
  const stop = new AbortController()
  const latencies: number[] = []
  let read = 0
  let behind = 0
  const writer = spawn(process.execPath, ['-e', WRITER, path], { stdio: 'inherit' })
  const gone = once(writer, 'exit')
  const began = performance.now()
  for await (const { text } of logs.follow(path, { lines: 0, signal: stop.signal })) {
    read += text.length
    behind = Math.max(behind, statSync(path).size - read)
    const written = Number(/^(\d+\.\d) /m.exec(text)?.[1])
    if (written) latencies.push(performance.timeOrigin + performance.now() - written)
    if (text.endsWith('END\n')) stop.abort()
  }
  const rate = read / 1000 / (performance.now() - began)
  await gone
  logs.stop()
  return { rate, behind, latencies }
}
