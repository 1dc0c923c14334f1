/**
 * How fast a log is followed: 512 MiB that are there, and 10 MB/s that are being written.
 * Run: npx tsx bench/log-follow.ts
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, mkdtempSync, openSync, rmSync, statSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { LogService } from '../src/core/logs/service.ts'

const MIB = 1024 * 1024
const SIZE = 512 * MIB
const RUNS = 5
const LIVE_MS = 5000
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
  const backlog = join(folder, 'backlog.log')
  fill(backlog)
  const rates: number[] = []
  for (let run = 0; run < RUNS; run++) rates.push(await readAll(backlog))
  const live = await followLive(join(folder, 'live.log'))
  process.stdout.write(
    [
      '| measure | value |',
      '|---|---|',
      `| backlog of ${SIZE / MIB} MiB, MB/s, median of ${RUNS} (range) | ${at(rates, 0.5).toFixed(0)} (${at(rates, 0).toFixed(0)}-${at(rates, 1).toFixed(0)}) |`,
      `| 10 MB/s live: delivered MB/s | ${live.rate.toFixed(2)} |`,
      `| 10 MB/s live: most bytes behind | ${live.behind} |`,
      `| 10 MB/s live: latency of a line, ms, p50 / p95 | ${at(live.latencies, 0.5).toFixed(1)} / ${at(live.latencies, 0.95).toFixed(1)} |`,
      '',
    ].join('\n'),
  )
} finally {
  rmSync(folder, { recursive: true, force: true })
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
  const { dev, ino } = statSync(path, { bigint: true })
  const cursor = `1-${dev.toString(36)}-${ino.toString(36)}-0-0`
  const began = performance.now()
  let read = 0
  for await (const { text } of logs.follow(path, { cursor, signal: stop.signal })) {
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

function at(values: readonly number[], part: number): number {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.round((sorted.length - 1) * part)] ?? Number.NaN
}
