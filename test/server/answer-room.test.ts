// Readers that ask for much and read nothing: they cost little, and nobody waits for them.
import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { WebSocket } from 'ws'
import { connect } from '../../src/client/index.ts'
import { AgentError } from '../../src/protocol/errors.ts'
import { AnswerRoom } from '../../src/server/answer-room.ts'
import { agentProcess } from '../fixtures/agent-process.ts'
import { supervisord } from '../fixtures/supervisord.ts'
import { until } from '../fixtures/wait.ts'
import { Peer, parts } from './support.ts'

const FRAME = 1000
const live = () => new AbortController().signal

/** A call that has begun, and its end. */
function call(gate: ReturnType<AnswerRoom['gate']>, signal = live()) {
  const made = { isBegun: false, end: () => undefined as void, over: Promise.resolve() }
  const ended = new Promise<void>((resolve) => {
    made.end = resolve
  })
  made.over = gate.ask(signal, async () => {
    made.isBegun = true
    await ended
  })
  return made
}

await t.test('a call begins when there is room for its answer', async (t) => {
  const room = new AnswerRoom({ frameOutBytes: FRAME })
  const peer = new Peer()
  const gate = room.gate(peer)
  const calls = Array.from({ length: 6 }, () => call(gate))
  const begun = () => calls.filter(({ isBegun }) => isBegun).length
  t.equal(begun(), 4, 'those in flight count as answers already')
  peer.unread = FRAME
  calls[0]?.end()
  await calls[0]?.over
  await Promise.resolve()
  t.equal(begun(), 4, 'an answer that nobody has read counts too')
  peer.unread = 0
  gate.look()
  await Promise.resolve()
  t.equal(begun(), 5)

  const left = new AbortController()
  const last = call(gate, left.signal)
  left.abort(new AgentError('CANCELLED', 'cancelled'))
  await t.rejects(last.over, { code: 'CANCELLED' })
  gate.close()
  await t.rejects(calls[5]?.over ?? Promise.resolve(), { code: 'CANCELLED' }, 'none waits for one who left')
  for (const { end } of calls) end()
})

await t.test('all sessions share one room, and one that reads is let in all the same', async (t) => {
  const room = new AnswerRoom({ frameOutBytes: FRAME })
  const deaf = Array.from({ length: 20 }, () => {
    const peer = new Peer()
    peer.unread = 2 * FRAME
    return room.gate(peer)
  })
  const more = call(deaf[0] ?? room.gate(new Peer()))
  t.notOk(more.isBegun, 'forty frames are unread')
  const healthy = call(room.gate(new Peer()))
  t.ok(healthy.isBegun)
  for (const gate of deaf.slice(1)) gate.close()
  deaf[0]?.look()
  await Promise.resolve()
  t.ok(more.isBegun, 'once others have gone')
  for (const { end } of [more, healthy]) end()
})

await t.test(
  'a call that changes something waits for what is unread, and for no call under way',
  async (t) => {
    const room = new AnswerRoom({ frameOutBytes: FRAME })
    const peer = new Peer()
    const gate = room.gate(peer)
    const asked = Array.from({ length: 5 }, () => call(gate))
    let begun = 0
    const change = (signal = live()) =>
      gate.change(signal, async () => {
        begun++
        await new Promise(setImmediate)
      })
    await Promise.all([change(), change()])
    t.equal(begun, 2, 'beside four that are asked, and one that waits')
    peer.unread = 4 * FRAME
    const left = new AbortController()
    const [first, second] = [change(), change(left.signal)]
    left.abort(new AgentError('CANCELLED', 'cancelled'))
    await t.rejects(second, { code: 'CANCELLED' })
    t.equal(begun, 2)
    peer.unread = 3 * FRAME
    gate.look()
    await first
    t.equal(begun, 3, 'once a frame is read')
    const deaf = Array.from({ length: 20 }, () => {
      const other = new Peer()
      other.unread = 2 * FRAME
      return room.gate(other)
    })
    const [late, healthy] = [change(), room.gate(new Peer()).change(live(), () => Promise.resolve())]
    await healthy
    t.equal(begun, 3, 'others read nothing either')
    for (const other of deaf) other.close()
    gate.close()
    await t.rejects(late, { code: 'CANCELLED' })
    for (const { end } of asked) end()
    await Promise.allSettled(asked.map(({ over }) => over))
  },
)

await t.test(
  'a change that waits for its peer to read is refused before its effect, or done once',
  async (t) => {
    const { open, store, services } = await parts(t, { limits: { frameOutBytes: FRAME } })
    const peer = open()
    peer.unread = 4 * FRAME
    const make = (name: string) => peer.ask('token.create', { name, role: 'viewer' }, name)
    make('cancelled')
    make('done')
    t.match(await peer.call('rpc.cancel', { id: 'cancelled' }), { result: { cancelled: true } })
    t.equal((await peer.answer('cancelled')).error?.data.name, 'CANCELLED')
    t.strictSame(store.list(), [], 'nothing was begun')
    peer.drain()
    t.match(await peer.answer('done'), { result: { record: { name: 'done' } } })
    peer.unread = 4 * FRAME
    make('gone')
    peer.leave()
    const audited = async () =>
      (await services.audit.list({ limit: 9 })).records.map(({ subject, outcome }) => [subject?.[0], outcome])
    await until(async () => (await audited()).length === 3, 'the end of the last')
    t.strictSame(await audited(), [
      ['cancelled', 'CANCELLED'],
      ['done', 'ok'],
      ['gone', 'CANCELLED'],
    ])
    t.equal(store.list().length, 1)
  },
)

await t.test('an error that is larger than a frame goes out without its facts', async (t) => {
  const { open } = await parts(t, { limits: { frameOutBytes: 100 } })
  const { error } = await open().call('no.such')
  t.strictSame(error?.data, { name: 'METHOD_NOT_FOUND', retry: false, truncated: true })
})

await t.test('sixteen sessions that read nothing drive no daemon to its limit', async (t) => {
  const host = await supervisord(t, { programs: { web: { command: 'sleep 600', startsecs: 0 } } })
  await until(() => readFileSync(join(host.logDir, 'web.out')), 'the log')
  writeFileSync(join(host.logDir, 'web.out'), '\u0001'.repeat(300_000))
  const agent = await agentProcess(t, host)
  const admin = await connect({ url: `unix://${agent.runDir}/admin.sock`, reconnect: false })
  t.teardown(() => admin.close())
  const { token } = await admin.call('token.create', { name: 'v', role: 'viewer' }, { mutates: true })
  const url = await agent.address()
  const before = memoryOf(agent.pid)
  for (let n = 0; n < 16; n++) {
    const socket = new WebSocket(url, { headers: { Authorization: `Bearer ${token}` } })
    t.teardown(() => socket.terminate())
    socket.on('error', () => undefined)
    await once(socket, 'open')
    socket.pause()
    for (let id = 0; id < 32; id++)
      socket.send(
        JSON.stringify({
          jsonrpc: '2.0',
          id,
          method: 'log.tail',
          params: { process: 'web', bytes: 262_144 },
        }),
      )
  }
  let most = 0
  for (let n = 0; n < 40; n++) {
    const { text } = await admin.call('log.tail', { process: 'web', bytes: 1000 })
    t.equal(text.length, 1000, 'one that reads is answered')
    most = Math.max(most, memoryOf(agent.pid))
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  t.ok(most - before < 200, `${Math.round(most - before)} MiB more`)
})

/** Resident memory in MiB. */
function memoryOf(pid: number): number {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8')
  return Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]) / 1024
}
