import t from 'tap'
import { LIMITS } from '../../src/protocol/limits.ts'
import type { Scope } from '../../src/protocol/scopes.ts'
import { supervisord } from '../fixtures/supervisord.ts'
import { until } from '../fixtures/wait.ts'
import { type Peer, parts, type Sent, somebody } from './support.ts'

const viewer = () => somebody({ scopes: new Set(['read', 'logs']) })
const nameOf = ({ error }: Sent) => error?.data.name
const errors = (peer: Peer, name: string) => peer.frames.filter((frame) => nameOf(frame) === name)

await t.test('the first frame is hello', async (t) => {
  const { open, bus, services } = await parts(t)
  const peer = open(viewer())
  t.strictSame(peer.frames, [
    {
      jsonrpc: '2.0',
      method: 'hello',
      params: {
        protocol: 1,
        agent: 'web-1',
        version: '0.0.0',
        epoch: bus.epoch,
        seq: bus.seq,
        scopes: ['read', 'logs'],
        policyDigest: services.policy.digest,
        limits: LIMITS,
      },
    },
  ])
})

await t.test('a request without id has no effect and no answer, good or bad', async (t) => {
  const { open, store } = await parts(t)
  const peer = open()
  peer.say({ jsonrpc: '2.0', method: 'token.create', params: { name: 'ghost', role: 'admin' } })
  peer.say({ jsonrpc: '2.0', method: 'no.such' })
  peer.say({ jsonrpc: '2.0', method: 'token.create', params: { x: 1 } })
  await peer.call('token.list')
  t.equal(peer.frames.length, 2, 'hello and one answer')
  t.strictSame(store.list(), [])
})

await t.test('the 25th malformed frame closes with 1008', async (t) => {
  const { open } = await parts(t)
  const peer = open()
  for (let i = 0; i < 24; i++) peer.say(i % 2 ? 'not json' : [])
  t.equal(peer.closedWith, null)
  t.match(await peer.call('agent.info'), { result: {} }, 'until then it works')
  await peer.call('no.such')
  await peer.call('agent.info', { unknown: 1 })
  t.equal(peer.closedWith, null, 'a wrong method or parameter is not malformed')
  peer.say('{')
  t.equal(peer.closedWith, 1008)
  t.equal(
    peer.frames.filter(({ error }) => error && error.code < -32_599 && error.code !== -32_602).length,
    26,
  )
})

await t.test('over the rate each message is refused, far over it the connection is closed', async (t) => {
  const { open } = await parts(t)
  const peer = open()
  const ask = async (count: number) => {
    for (let i = 0; i < count; i++) {
      peer.ask('rpc.cancel', { id: 'none' })
      if (i % 20 === 19) await new Promise(setImmediate)
    }
  }
  await ask(100)
  t.equal(errors(peer, 'TOO_MANY_REQUESTS').length, 0, 'the burst passes')
  await ask(100)
  t.ok(errors(peer, 'TOO_MANY_REQUESTS').length > 50, 'what comes over it does not')
  t.equal(peer.closedWith, null)
  await ask(400)
  t.equal(peer.closedWith, 4429)
  const refused = errors(peer, 'TOO_MANY_REQUESTS').length
  t.equal(refused, 200, 'were refused before')
})

await t.test('what nobody answers any more is in the audit', async (t) => {
  const limits = { requestsPerSecond: 1, requestsBurst: 5, overRateClose: 5, stalledMs: 200 }
  const { open, lines, services } = await parts(t, {
    limits: { ...limits, highWaterBytes: 2000, lowWaterBytes: 500 },
  })
  const revoke = (peer: Peer, token: string) => peer.ask('token.revoke', { token })
  const told = async (token: string) => {
    const { records } = await services.audit.list({ limit: 100 })
    return records.filter(({ method, subject }) => method === 'token.revoke' && subject?.includes(token))
  }
  const hasty = open()
  let sent = 0
  for (; hasty.closedWith === null; sent++) revoke(hasty, 'hasty')
  t.equal(hasty.closedWith, 4429)
  await until(async () => (await told('hasty')).length === sent, 'all of them to be there')
  const refused = (await told('hasty')).filter(({ outcome }) => outcome === 'TOO_MANY_REQUESTS')
  t.equal(refused.length, errors(hasty, 'TOO_MANY_REQUESTS').length + 1, 'that which closed it too')

  const deaf = open()
  deaf.isStuck = true
  await deaf.call('rpc.discover')
  await until(() => lines.some((line) => line.includes('reader stalled')), 'it to be noticed')
  const { length } = deaf.frames
  revoke(deaf, 'deaf')
  t.match(await told('deaf'), [{ outcome: 'TOO_MANY_REQUESTS' }])
  t.equal(deaf.frames.length, length)
})

await t.test('an answer over the frame limit is refused with a way out', async (t) => {
  const { open } = await parts(t, { limits: { frameOutBytes: 2000 } })
  const peer = open()
  t.match(await peer.call('rpc.discover'), { error: { code: -32602, message: /over 2000 bytes/ } })
  t.match(await peer.call('agent.info'), { result: {} })
})

await t.test('a reader that stalls', async (t) => {
  const stalled = (peer: Peer) => until(() => peer.closedWith === 4408 && peer.isTerminated, '4408')

  await t.test('under a stream is closed with 4408', async (t) => {
    const { open, bus } = await parts(t, {
      limits: { stalledMs: 200, highWaterBytes: 2000, lowWaterBytes: 500 },
    })
    const peer = open(viewer())
    await peer.call('event.subscribe')
    peer.isStuck = true
    for (let i = 0; i < 100; i++) bus.publish('agent.started', { version: '1' })
    t.ok(peer.unread < 3000, 'and costs little memory')
    await stalled(peer)
  })

  await t.test('under answers too', async (t) => {
    const { open } = await parts(t, { limits: { stalledMs: 200, highWaterBytes: 2000, lowWaterBytes: 500 } })
    const peer = open(viewer())
    peer.isStuck = true
    await peer.call('rpc.discover')
    await stalled(peer)
  })

  await t.test('and reads again soon after hears why, and nothing else any more', async (t) => {
    const { open, bus, lines, sessions } = await parts(t, {
      limits: { stalledMs: 2500, highWaterBytes: 2000, lowWaterBytes: 500 },
    })
    const peer = open(viewer())
    await peer.call('event.subscribe')
    peer.isStuck = true
    for (let i = 0; i < 100; i++) bus.publish('agent.started', { version: '1' })
    await until(() => lines.some((line) => line.includes('reader stalled')), 'it to be noticed')
    t.strictSame([peer.closedWith, peer.isTerminated], [null, false], 'what is on the way comes first')
    peer.ask('agent.info')
    const { length } = peer.frames
    peer.drain()
    t.strictSame([peer.closedWith, peer.isTerminated, peer.frames.length], [4408, false, length])
    peer.leave()
    t.equal(sessions.count, 0)
  })

  await t.test('gets no more answers of size meanwhile', async (t) => {
    const { open } = await parts(t, { limits: { highWaterBytes: 20_000, lowWaterBytes: 500 } })
    const peer = open(viewer())
    const { length } = JSON.stringify(await peer.call('rpc.discover'))
    peer.isStuck = true
    for (let i = 0; i < 20; i++) await peer.call('rpc.discover')
    t.ok(peer.unread < 20_000 * 4 + 1.1 * length, `${peer.unread} bytes wait`)
    t.match(await peer.call('agent.info'), { error: { data: { name: 'TOO_MANY_REQUESTS' } } })
    t.match(await peer.call('rpc.cancel', { id: 'none' }), { result: {} }, 'what makes room is let in')
    peer.drain()
    t.match(await peer.call('agent.info'), { result: {} })
  })

  await t.test('and reads again gets what it missed', async (t) => {
    const { open, bus } = await parts(t, { limits: { highWaterBytes: 2000, lowWaterBytes: 500 } })
    const peer = open(viewer())
    await peer.call('event.subscribe')
    const before = bus.seq
    await new Promise(setImmediate) // the stream begins after its answer
    peer.isStuck = true
    for (let i = 0; i < 100; i++) bus.publish('agent.started', { version: '1' })
    peer.drain()
    t.strictSame(
      peer.notes('event').map(({ seq }) => seq),
      Array.from({ length: 100 }, (_, index) => before + index + 1),
    )
  })
})

await t.test('rights are asked for at every call', async (t) => {
  const { open, store } = await parts(t)
  const { token, record } = await store.create({ name: 'a', role: 'viewer' }, 'local:admin')
  const peer = open(store.toPrincipal(record))
  t.match(await peer.call('agent.info'), { result: {} })
  t.equal(store.verify(token)?.id, record.id)
  await store.revoke('a')
  t.match(await peer.call('agent.info'), { error: { data: { name: 'FORBIDDEN', rule: 'scope' } } })
})

await t.test('with a real supervisord', async (t) => {
  const host = await supervisord(t, {
    programs: {
      slow: { command: 'sleep 60', startsecs: 40, autostart: false },
      web: {
        command: 'sleep 60',
        process_name: '%(program_name)s_%(process_num)d',
        numprocs: 3,
        startsecs: 0,
      },
      chatty: { command: 'sh -c "while :; do echo line; sleep 0.02; done"', startsecs: 0 },
    },
  })
  const make = (limits: Parameters<typeof parts>[1] = {}) => parts(t, { url: host.url, ...limits })
  const { open, sessions, services } = await make()
  /** Begins a call that lasts. */
  const wait = (peer: Peer, id?: string) => peer.ask('process.start', { select: ['slow'] }, id)
  const reset = () => open().call('process.stop', { select: ['slow'] })
  const isStarting = () =>
    until(async () => (await host.ctl('status', 'slow')).stdout.includes('STARTING'), 'slow to be starting')

  await t.test('33 calls at once are one too many', async (t) => {
    const peer = open()
    const ids = Array.from({ length: 33 }, () => wait(peer))
    await until(() => errors(peer, 'TOO_MANY_REQUESTS').length > 0)
    t.strictSame(
      errors(peer, 'TOO_MANY_REQUESTS').map(({ id }) => id),
      ids.slice(32),
    )
    peer.leave()
    await reset()
  })

  await t.test('an id in flight cannot be used again, one that was answered can', async (t) => {
    const peer = open()
    wait(peer, 'same')
    peer.ask('agent.info', {}, 'same')
    t.equal(nameOf(await peer.answer('same')), 'INVALID_REQUEST')
    await peer.call('rpc.cancel', { id: 'same' })
    await until(() => errors(peer, 'CANCELLED').length === 1, 'the first call to end')
    peer.ask('agent.info', {}, 'same')
    await until(() => peer.frames.some(({ id, result }) => id === 'same' && result), 'the answer')
    await reset()
  })

  await t.test('rpc.cancel ends a call of this connection, and only of this one', async (t) => {
    const [peer, other] = [open(), open()]
    wait(peer, 'mine')
    await isStarting()
    t.match(await other.call('rpc.cancel', { id: 'mine' }), { result: { cancelled: false } })
    t.match(await peer.call('rpc.cancel', { id: 'mine' }), { result: { cancelled: true } })
    t.equal(nameOf(await peer.answer('mine')), 'CANCELLED')
    t.match(await peer.call('rpc.cancel', { id: 'mine' }), { result: { cancelled: false } })
    await reset()
  })

  await t.test('rpc.cancel of a call that waits for its like ends the wait alone', async (t) => {
    const [peer, other] = [open(), open()]
    const params = { select: ['slow'], idempotencyKey: 'joined-by-another' }
    peer.ask('process.start', params, 'first')
    await isStarting()
    other.ask('process.start', params, 'second')
    await new Promise(setImmediate)
    t.match(await other.call('rpc.cancel', { id: 'second' }), { result: { cancelled: true } })
    t.equal(nameOf(await other.answer('second')), 'CANCELLED')
    t.match(await other.call('process.list', { select: ['slow'] }), {
      result: { processes: [{ state: 'STARTING' }] },
    })
    const isAnswered = peer.frames.some(({ id }) => id === 'first')
    t.notOk(isAnswered, 'the other one goes on')
    other.ask('process.start', params, 'third')
    await peer.call('rpc.cancel', { id: 'first' })
    const [first, third] = [await peer.answer('first'), await other.answer('third')]
    t.strictSame([nameOf(first), nameOf(third)], ['CANCELLED', 'CANCELLED'])
    t.equal(third.error?.data['replayed'], true)
    await reset()
  })

  await t.test('a call on several tells its progress up to the last', async (t) => {
    const peer = open()
    const { result } = await peer.call('process.restart', { select: ['web:*'] })
    t.match(result, { results: [{ ok: true }, { ok: true }, { ok: true }] })
    const progress = peer.notes('progress')
    t.match(progress.at(-1), { id: 'c1', done: 3, total: 3, text: String })
    const last = peer.frames.findIndex(({ id }) => id === 'c1')
    t.ok(peer.frames.findLastIndex(({ method }) => method === 'progress') < last, 'before the answer')
  })

  await t.test('the end of a connection ends its calls and streams', async (t) => {
    const peer = open(somebody({ scopes: new Set(['read', 'logs', 'control']), isRemote: false }))
    await peer.call('event.subscribe')
    await peer.call('log.follow', { select: ['chatty'] })
    await until(() => peer.notes('log').length > 0)
    wait(peer, 'last')
    await isStarting()
    const open0 = sessions.count
    peer.leave()
    t.equal(sessions.count, open0 - 1)
    t.equal(nameOf(await peer.answer('last')), 'CANCELLED')
    const { length } = peer.frames
    services.bus.publish('agent.started', { version: '1' })
    const watcher = open(viewer())
    await watcher.call('log.follow', { select: ['chatty'] })
    await until(() => watcher.notes('log').length > 3, 'another follower to get more')
    t.equal(peer.frames.length, length, 'nothing is sent any more')
    await reset()
  })

  await t.test('a follower gets its log until the right to it ends, and is told', async (t) => {
    let programs = ['*']
    const scopes: ReadonlySet<Scope> = new Set(['read', 'logs'])
    const principal = {
      ...viewer(),
      scopes,
      get programs() {
        return programs
      },
    }
    const peer = open(principal)
    t.match(await peer.call('log.follow', { select: ['chatty'], lines: 0 }), {
      result: { subscription: 'l1' },
    })
    await until(() => peer.notes('log').some(({ text }) => text !== ''), 'a piece of the log')
    const piece = peer.notes('log').find(({ text }) => text !== '')
    t.match(piece, { subscription: 'l1', process: 'chatty', channel: 'stdout', text: /line\n/ })
    programs = ['web']
    await until(() => peer.notes('log').some(({ ended }) => ended), 'the end')
    const ended = peer.notes('log').at(-1)
    t.match(ended, { subscription: 'l1', process: 'chatty', text: '', ended: /right/ })
  })

  await t.test(
    'no log comes before the answer that names the subscription, none after unfollow',
    async (t) => {
      const peer = open(viewer())
      const id = peer.ask('log.follow', { select: ['chatty'] })
      await until(() => peer.notes('log').length > 0)
      const first = peer.frames.findIndex(({ method }) => method === 'log')
      t.ok(peer.frames.findIndex((frame) => frame.id === id) < first)
      await peer.call('log.unfollow', { subscription: 'l1' })
      const { length } = peer.notes('log')
      await peer.call('log.follow', { select: ['chatty'] })
      await until(() => peer.notes('log').some(({ subscription }) => subscription === 'l2'))
      t.equal(peer.notes('log').filter(({ subscription }) => subscription === 'l1').length, length)
    },
  )

  await t.test('32 log streams are the most', async (t) => {
    const peer = open(viewer())
    for (let i = 0; i < 32; i++) t.ok((await peer.call('log.follow', { select: ['web:web_0'] })).result)
    t.equal(nameOf(await peer.call('log.follow', { select: ['web:web_0'] })), 'TOO_MANY_SUBSCRIPTIONS')
    await peer.call('log.unfollow', { subscription: 'l7' })
    t.ok((await peer.call('log.follow', { select: ['web:web_0'] })).result)
    peer.leave()
  })

  await t.test('an agent that stops answers what runs and what comes', async (t) => {
    const own = await make()
    const peer = own.open()
    wait(peer, 'running')
    await isStarting()
    const stopped = own.sessions.stop()
    const late = own.open()
    t.strictSame([late.closedWith, late.frames], [1012, []], 'and takes nobody in')
    await stopped
    t.equal(
      peer.frames.find(({ id }) => id === 'running')?.error?.data.name,
      'SHUTTING_DOWN',
      'before stop returns',
    )
    t.equal(nameOf(await peer.call('agent.info')), 'SHUTTING_DOWN')
    await reset()
  })
})
