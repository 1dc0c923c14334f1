/**
 * What ten subscribers that stop reading cost a healthy one: the time from an event's `at` to the moment it is read,
 * with and without them. Sender and reader share the clock of the host. Run: npx tsx bench/slow-consumers.ts
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { WebSocket } from 'ws'
import { until } from '../test/fixtures/wait.ts'
import { median, printTable, quantile, say, spread, verdict } from './lib/figures.ts'
import { AS_DAEMON, atEnd, bench, memoryOf } from './lib/host.ts'

const STALLED = 10
const EVENTS = 100_000
/** In one turn of the loop, 125 turns a second. */
const AT_ONCE = 40
const ROUNDS = 3
const BAR = 2
const ROUND_MS = 120_000

interface Round {
  p50: number
  p99: number
  grownMb: number
}

await bench(async () => {
  const rounds = { without: [] as Round[], with: [] as Round[] }
  for (let n = 0; n < ROUNDS; n++) {
    rounds.without.push(await round(0))
    rounds.with.push(await round(STALLED))
  }
  const row = (name: string, list: Round[]) => [
    name,
    spread(
      list.map(({ p50 }) => p50),
      2,
    ),
    spread(
      list.map(({ p99 }) => p99),
      2,
    ),
    spread(list.map(({ grownMb }) => grownMb)),
  ]
  const p99 = (list: Round[]) => median(list.map((one) => one.p99))
  const ratio = p99(rounds.with) / p99(rounds.without)
  printTable(
    [
      `${EVENTS} events, read by one`,
      'median, ms',
      'p99, ms',
      'memory grew, MB',
      'p99 against alone',
      'bar',
      '',
    ],
    [
      [...row('alone', rounds.without), '', '', ''],
      [
        ...row(`beside ${STALLED} that stall`, rounds.with),
        ratio.toFixed(2),
        `≤ ${BAR}`,
        verdict(ratio <= BAR),
      ],
    ],
  )
})

async function round(stalled: number): Promise<Round> {
  say(`${EVENTS} events beside ${stalled} that stall`)
  const folder = mkdtempSync(join(tmpdir(), 'bench-slow-'))
  atEnd(() => rmSync(folder, { recursive: true, force: true, maxRetries: 5 }))
  const script = new URL('../test/e2e/event-host.ts', import.meta.url).pathname
  const { execArgv, env } = AS_DAEMON
  const args = [...execArgv, script, folder, '0', String(EVENTS), String(AT_ONCE)]
  const host = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'], env })
  atEnd(() => host.kill('SIGKILL'))
  const [line] = (await once(host.stdout, 'data')) as [Buffer]
  const { port, token } = JSON.parse(line.toString()) as { port: number; token: string }
  const deaf: WebSocket[] = []
  for (let n = 0; n < stalled; n++) {
    const socket = await subscribed(port, token, () => undefined)
    socket.pause()
    deaf.push(socket)
  }
  const waits: number[] = []
  let last = 0
  const reader = await subscribed(port, token, (frame) => {
    const [, seq, at] = /"seq":(\d+),"at":"([^"]+)"/.exec(frame) ?? []
    if (at === undefined) return
    last = Number(seq)
    waits.push(performance.timeOrigin + performance.now() - Date.parse(at))
  })
  const pid = host.pid ?? 0
  const before = memoryOf(pid).rss
  let most = before
  host.kill('SIGUSR2')
  await until(
    () => {
      most = Math.max(most, memoryOf(pid).rss)
      return last >= EVENTS
    },
    `${EVENTS} events`,
    ROUND_MS,
  )
  for (const socket of [reader, ...deaf]) socket.terminate()
  const gone = once(host, 'exit')
  host.kill('SIGKILL')
  await gone
  return { p50: median(waits), p99: quantile(waits, 0.99), grownMb: most - before }
}

async function subscribed(port: number, token: string, onFrame: (frame: string) => void): Promise<WebSocket> {
  const socket = new WebSocket(`ws://127.0.0.1:${port}/ws`, { headers: { Authorization: `Bearer ${token}` } })
  socket.on('error', () => undefined)
  await once(socket, 'open')
  const answered = new Promise<void>((resolve) => {
    socket.on('message', (data: Buffer) => {
      const frame = data.toString()
      if (frame.includes('"id":1,')) resolve()
      else onFrame(frame)
    })
  })
  socket.send('{"jsonrpc":"2.0","id":1,"method":"event.subscribe","params":{}}')
  await answered
  return socket
}
