import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { createServer as createHttpServer } from 'node:http'
import { createServer as createTcpServer, type Socket } from 'node:net'
import { join } from 'node:path'
import t from 'tap'
import { WebSocketServer } from 'ws'
import { type ConnectionError, connect } from '../../src/client/index.ts'
import { formatToken } from '../../src/protocol/token.ts'
import { startAgent } from '../fixtures/daemon.ts'
import { supervisord } from '../fixtures/supervisord.ts'
import { until } from '../fixtures/wait.ts'
import { certificate } from '../transports/support.ts'
import { proxy } from './proxy.ts'

const supervisor = await supervisord(t, { programs: { web: { command: 'sleep 600', startsecs: 0 } } })
const agent = await startAgent(t, { supervisor, listener: true })
const quick = { minMs: 1, maxMs: 20 }

const failureOf = (opening: Promise<unknown>): Promise<ConnectionError> =>
  opening.then(
    () => t.fail('it connected') as never,
    (error: ConnectionError) => error,
  )

await t.test('the administrator connects by the unix socket, without a token', async (t) => {
  const opened = await connect({ url: agent.adminUrl })
  t.match(opened.hello.scopes, ['read', 'logs', 'control', 'program', 'cron', 'admin'])
  const { processes } = await opened.call('process.list', {})
  t.match(processes, [{ name: 'web' }])
  await opened.close()
})

await t.test('urls that cannot be right are refused before anything is sent', async (t) => {
  for (const url of [
    'http://127.0.0.1:1',
    'ws://agent.example:9877',
    'wss://user:secret@host',
    'wss://host/ws?token=x',
    'nonsense',
  ])
    t.match(await failureOf(connect({ url, token: 'x' })), { name: 'ConnectionError', isFinal: true }, url)
  t.match(await failureOf(connect({ url: 'wss://host', checkServerIdentity: () => undefined })), {
    isFinal: true,
  })
})

await t.test('a refused handshake says with what', async (t) => {
  const wrong = formatToken('a'.repeat(10), 'b'.repeat(43))
  t.match(await failureOf(connect({ url: agent.url, token: wrong })), {
    failure: 'refused',
    status: 401,
    isFinal: true,
  })
  t.match(await failureOf(connect({ url: agent.url })), { status: 401 })
  t.match(await failureOf(connect({ url: `${agent.url}/elsewhere`, token: wrong })), {
    status: 404,
    isFinal: false,
  })
  t.match(await failureOf(connect({ url: `unix://${join(agent.folder, 'no.sock')}` })), {
    failure: 'unreachable',
    message: /ENOENT/,
  })
  t.match(await failureOf(connect({ url: 'ws://127.0.0.1:1', token: wrong })), {
    failure: 'unreachable',
    message: /ECONNREFUSED/,
  })
})

await t.test('a certificate of its own is trusted by ca alone, and no other gets the token', async (t) => {
  const [own, other] = [await certificate(t), await certificate(t)]
  const files = { cert: join(agent.folder, 'cert.pem'), key: join(agent.folder, 'key.pem') }
  writeFileSync(files.cert, own.cert)
  writeFileSync(files.key, own.key)
  const host = await startAgent(t, { supervisor, config: { listen: { tls: files } } })
  const token = await host.token('viewer')
  const url = host.url.replace('ws:', 'wss:')
  const opened = await connect({ url, token, ca: own.cert })
  t.equal(opened.hello.agent, 'test-host')
  await opened.close()
  t.match(await failureOf(connect({ url, token })), { failure: 'unreachable', message: /self-signed/ })
  t.match(await failureOf(connect({ url, token, ca: other.cert })), { failure: 'unreachable' })
  const hosts: string[] = []
  const checkServerIdentity = (name: string): Error | undefined => {
    hosts.push(name)
    return hosts.length > 1 ? new Error('not this one') : undefined
  }
  const named = await connect({ url, token, ca: own.cert, checkServerIdentity })
  await named.close()
  t.match(await failureOf(connect({ url, token, ca: own.cert, checkServerIdentity })), {
    message: /not this one/,
  })
  t.equal(host.logged.filter(({ msg }) => msg === 'session opened').length, 2, 'the others brought no token')
})

await t.test('an address that brought too many wrong tokens is told how long to wait', async (t) => {
  const host = await startAgent(t, { supervisor })
  const wrong = formatToken('a'.repeat(10), 'b'.repeat(43))
  for (let round = 0; round < 5; round++) await failureOf(connect({ url: host.url, token: wrong }))
  const error = await failureOf(connect({ url: host.url, token: wrong }))
  t.match(error, { status: 429, isFinal: false })
  t.ok((error.retryAfterMs ?? 0) > 10_000)
})

await t.test('a token that is revoked ends the client for good', async (t) => {
  const token = await agent.token('viewer', { name: 'short-lived' })
  const cable = await proxy(t, () => agent.port)
  const opened = await connect({ url: cable.url, token, reconnect: quick })
  const states: string[] = []
  opened.onState((state, reason) => states.push(`${state} ${reason?.closeCode ?? ''}`))
  const feed = opened.events()
  await feed.next()
  const ended = t.rejects(feed.next(), { name: 'ConnectionError', closeCode: 4401 })
  await agent.revoke('short-lived')
  await ended
  t.strictSame(states, ['closed 4401'])
  await t.rejects(opened.call('process.list', {}), { name: 'ConnectionError', closeCode: 4401 })
  t.equal(cable.connections, 1, 'no further attempt')
})

await t.test('a token revoked while the cable is cut is asked for once', async (t) => {
  const token = await agent.token('viewer', { name: 'cut-off' })
  const cable = await proxy(t, () => agent.port)
  const opened = await connect({ url: cable.url, token, reconnect: quick })
  cable.isDown = true
  cable.cut()
  await agent.revoke('cut-off')
  const before = cable.connections
  cable.isDown = false
  await until(() => opened.state === 'closed')
  t.ok(cable.connections > before)
  const after = cable.connections
  await t.rejects(opened.call('process.list', {}), { name: 'ConnectionError', status: 401 })
  t.equal(cable.connections, after)
})

await t.test('a restart of the agent is survived', async (t) => {
  const token = await agent.token('viewer')
  const opened = await connect({ url: agent.url, token, reconnect: quick })
  const local = await connect({ url: agent.adminUrl, reconnect: quick })
  t.teardown(() => Promise.all([opened.close(), local.close()]))
  const states: string[] = []
  opened.onState((state, reason) => states.push(`${state} ${reason?.closeCode ?? ''}`))
  const feed = opened.events()
  const { value: before } = await feed.next()
  const { epoch } = opened.hello
  await agent.restart()
  await until(() => states.length >= 2 && opened.state === 'connected')
  t.equal(states[0], 'reconnecting 1012')
  t.equal(opened.hello.epoch, epoch)
  t.match(await opened.call('process.list', {}), { processes: [{ name: 'web' }] })
  t.match(await local.call('process.list', {}), { processes: [{ name: 'web' }] })
  let last = before && 'seq' in before ? before.seq : 0
  for (;;) {
    const { value } = await feed.next()
    if (value?.kind !== 'event') continue
    t.equal(value.seq, ++last, 'the events go on where they were')
    if (value.type === 'agent.started') break
  }
})

const strangers = [
  { it: 'is no JSON', says: 'SSH-2.0-OpenSSH', message: /not JSON/ },
  {
    it: 'is no hello',
    says: '{"jsonrpc":"2.0","method":"welcome","params":{}}',
    message: /first frame is welcome/,
  },
  {
    it: 'is half a hello',
    says: '{"jsonrpc":"2.0","method":"hello","params":{"protocol":1}}',
    message: /hello: agent/,
  },
  {
    it: 'is of another protocol',
    says: '{"jsonrpc":"2.0","method":"hello","params":{"protocol":2}}',
    message: /speaks protocol 2/,
  },
]
for (const { it, says, message } of strangers)
  await t.test(`a peer whose first frame ${it} is left with a clear error`, async (t) => {
    const http = createHttpServer()
    const server = new WebSocketServer({ server: http })
    let code = 0
    server.on('connection', (socket) => {
      socket.send(says)
      socket.once('close', (with_) => (code = with_))
    })
    http.listen(0, '127.0.0.1')
    await once(http, 'listening')
    const { port } = http.address() as { port: number }
    t.match(await failureOf(connect({ url: `ws://127.0.0.1:${port}` })), { failure: 'protocol', message })
    await until(() => code !== 0)
    server.close()
    http.close()
  })

await t.test('connecting can be given up', async (t) => {
  const silent = createTcpServer((socket) => socket.resume())
  silent.listen(0, '127.0.0.1')
  await once(silent, 'listening')
  const { port } = silent.address() as { port: number }
  const abort = new AbortController()
  const failure = failureOf(connect({ url: `ws://127.0.0.1:${port}`, signal: abort.signal }))
  const [peer] = (await once(silent, 'connection')) as [Socket]
  abort.abort(new Error('enough'))
  t.match(await failure, { message: 'enough' })
  await once(peer, 'close')
  silent.close()
  await t.rejects(connect({ url: agent.adminUrl, signal: AbortSignal.abort(new Error('before')) }), {
    message: 'before',
  })
})

await t.test('nothing is left open after close', async (t) => {
  const token = await agent.token('viewer')
  const open = (): string[] =>
    process.getActiveResourcesInfo().filter((kind) => /Socket|Pipe|TCP|Timeout/.test(kind))
  const before = open().length
  for (const url of [agent.url, agent.adminUrl]) {
    const opened = await connect({ url, token })
    const feed = opened.events()
    await feed.next()
    const chunks = opened.follow({ select: ['web'] })
    const waiting = [feed.next(), chunks.next()]
    await opened.call('process.list', {})
    t.ok(open().length > before)
    await opened.close()
    t.match(await Promise.all(waiting), [{ done: true }, { done: true }])
  }
  await until(() => open().length <= before, 'everything to be closed')
})
