import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { WebSocket } from 'ws'
import { V8_FLAGS } from '../../src/cli/plain-daemon.ts'
import { connect } from '../../src/client/index.ts'
import { usageOf } from '../fixtures/usage.ts'
import { until } from '../fixtures/wait.ts'

const STALLED = 10
const EVENTS = 100_000
/** Published in one turn of the loop, some hundred turns a second: faster than a client reads. */
const AT_ONCE = 400
const GROWTH_BYTES = 100 * 1024 * 1024
/** The agent's own limit is 15 s, and it looks once a second. */
const CLOSED_MS = 60_000

await t.test(`${STALLED} readers that stall while ${EVENTS} events are published`, async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'slow-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true, maxRetries: 5 }))
  const script = join(import.meta.dirname, '../e2e/event-host.ts')
  const args = [...V8_FLAGS, '--import', 'tsx', script, folder, '0', String(EVENTS), String(AT_ONCE)]
  const host = spawn(process.execPath, args, {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { PATH: process.env['PATH'] ?? '', NODE_OPTIONS: '' },
  })
  t.teardown(async () => {
    const gone = once(host, 'exit')
    host.kill('SIGKILL')
    await gone
  })
  const [line] = (await once(host.stdout, 'data')) as [Buffer]
  const { port, token } = JSON.parse(line.toString()) as { port: number; token: string }
  const sessions = async () => Number(await (await fetch(`http://127.0.0.1:${port}/metrics`)).text())
  const url = `ws://127.0.0.1:${port}/ws`
  const deaf = await Promise.all(Array.from({ length: STALLED }, () => stalled(url, token)))
  t.teardown(() => deaf.forEach((socket) => socket.terminate()))

  const healthy = await connect({ url, token })
  t.teardown(() => healthy.close())
  const wrong: unknown[] = []
  let last = 0
  let isSubscribed = false
  const reading = (async () => {
    for await (const item of healthy.events()) {
      if (item.kind === 'snapshot' && !isSubscribed) {
        last = item.seq
        isSubscribed = true
      } else if (item.kind !== 'event' || item.seq !== last + 1) wrong.push(item)
      else last = item.seq
    }
  })()
  await until(() => isSubscribed, 'the healthy reader')
  t.equal(await sessions(), STALLED + 1)
  const pid = host.pid ?? 0
  const before = usageOf(pid).rssBytes
  let most = before
  const sampling = setInterval(() => (most = Math.max(most, usageOf(pid).rssBytes)), 20)
  t.teardown(() => clearInterval(sampling))
  host.kill('SIGUSR2')
  await until(() => last >= EVENTS || wrong.length > 0, `event ${EVENTS}`, CLOSED_MS)
  t.same(wrong.slice(0, 3), [], 'the healthy reader has every event once and in order')
  t.equal(last, EVENTS)

  await until(async () => (await sessions()) === 1, 'the stalled ones to be cut off', CLOSED_MS)
  t.ok(most - before <= GROWTH_BYTES, `memory grew by ${Math.round((most - before) / 2 ** 20)} MiB at most`)
  t.comment(`memory: ${Math.round(before / 2 ** 20)} MiB, at most ${Math.round(most / 2 ** 20)} MiB`)
  t.equal(healthy.state, 'connected')
  await healthy.close()
  await reading
})

/** Subscribes, and reads nothing from then on. */
async function stalled(url: string, token: string): Promise<WebSocket> {
  const socket = new WebSocket(url, { headers: { Authorization: `Bearer ${token}` } })
  socket.on('error', () => undefined)
  await once(socket, 'open')
  const answered = new Promise<void>((resolve) => {
    socket.on('message', (data: Buffer) => {
      if (data.toString().includes('"id":1')) resolve()
    })
  })
  socket.send('{"jsonrpc":"2.0","id":1,"method":"event.subscribe","params":{}}')
  await answered
  socket.pause()
  return socket
}
