import { mkdtempSync, rmSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { LOCAL_ADMIN } from '../../src/core/access/local-principals.ts'
import { createLogger } from '../../src/logger.ts'
import { LocalTransport } from '../../src/transports/local.ts'
import { until } from '../fixtures/wait.ts'
import { frame, listening, upgraded } from '../transports/support.ts'
import { parts } from './support.ts'

const MIB = 1024 * 1024

/** Sessions on a real socket, where a write takes as long as its reader. */
async function served(t: Parameters<typeof parts>[0]) {
  const made = await parts(t, {
    limits: { stalledMs: 1000, highWaterBytes: 2 * MIB, lowWaterBytes: MIB / 2 },
  })
  const folder = mkdtempSync(join(tmpdir(), 'sl-'))
  const path = join(folder, 'a.sock')
  const transport = new LocalTransport({
    path,
    mode: 0o600,
    principal: LOCAL_ADMIN,
    open: (link, principal) => made.sessions.open(link, principal),
    logger: createLogger('silent'),
  })
  await transport.start()
  t.teardown(async () => {
    await transport.stop()
    rmSync(folder, { recursive: true, force: true })
  })
  return { ...made, path }
}

/** Subscribes, then reads only what the test asks for. */
async function subscribed(t: Parameters<typeof parts>[0], path: string): Promise<Socket> {
  const socket = connect(path)
  socket.on('error', () => undefined)
  t.teardown(() => socket.destroy())
  socket.write('{"jsonrpc":"2.0","id":1,"method":"event.subscribe","params":{}}\n')
  let text = ''
  const first = (chunk: Buffer) => void (text += chunk.toString())
  socket.on('data', first)
  await until(() => text.includes('"id":1'), 'the answer')
  socket.off('data', first).pause()
  return socket
}

await t.test('a reader', async (t) => {
  const { path, bus, sessions, lines } = await served(t)
  const slow = await subscribed(t, path)
  const deaf = await subscribed(t, path)
  const reason = 'x'.repeat(10_000)
  for (let i = 0; i < 400; i++) bus.publish('agent.stopping', { reason })
  const wanted = 400 * reason.length

  await t.test('that is slow gets all, however long it takes', async (t) => {
    let read = 0
    // some 500 KB a second: the four seconds of one full buffer are far beyond stalledMs
    const reading = setInterval(() => {
      for (let part = 0; part < 100_000; ) {
        const chunk = slow.read() as Buffer | null
        if (!chunk) break
        part += chunk.length
        read += chunk.length
      }
    }, 200)
    t.teardown(() => clearInterval(reading))
    const startedAt = performance.now()
    await until(() => read > wanted || slow.destroyed || slow.readableEnded, 'the last event', 30_000)
    t.ok(performance.now() - startedAt > 3000, 'it was slow')
    t.ok(read > wanted, `${read} of ${wanted} bytes`)
  })

  await t.test('that takes nothing is cut off', async (t) => {
    await until(() => sessions.count === 1, 'the end of its session')
    t.equal(lines.filter((line) => line.includes('reader stalled')).length, 1)
    t.notOk(slow.destroyed)
    deaf.destroy()
  })
})

await t.test('a reader over a WebSocket that stalls, and reads again, hears 4408', async (t) => {
  const limits = { stalledMs: 3000, highWaterBytes: 2 * MIB, lowWaterBytes: MIB / 2 }
  const { sessions, bus, lines } = await parts(t, { limits })
  const { port, token } = await listening(t, { open: (link, principal) => sessions.open(link, principal) })
  const peer = await upgraded(t, port, token)
  const request = '{"jsonrpc":"2.0","id":1,"method":"event.subscribe","params":{}}'
  peer.socket.write(frame(1, request))
  await until(() => peer.bytes.includes('"id":1'), 'the answer')
  peer.socket.pause()
  const reason = 'x'.repeat(10_000)
  for (let i = 0; i < 1000; i++) bus.publish('agent.stopping', { reason })
  await until(() => lines.some((line) => line.includes('reader stalled')), 'it to be noticed', 30_000)
  peer.socket.resume()
  await peer.ended
  t.equal(peer.closeCode, 4408)
  await until(() => sessions.count === 0, 'the end of its session')
})
