import { once } from 'node:events'
import { request as httpsRequest } from 'node:https'
import { connect, createServer } from 'node:net'
import t from 'tap'
import type { Health } from '../../src/transports/http.ts'
import { assertSafeListen } from '../../src/transports/http.ts'
import { certificate, listening, RawClient, raw } from './support.ts'

const get = (path: string, headers = '') => `GET ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\n${headers}\r\n`

await t.test('a request is answered by path and method', async (t) => {
  const { port } = await listening(t)
  const cases = [
    { text: get('/healthz'), status: 200 },
    { text: get('/healthz?from=probe'), status: 200 },
    { text: get('/ws'), status: 426 },
    { text: get('/ws?token=x'), status: 401 },
    { text: get('/ws?'), status: 401 },
    { text: get('/metrics'), status: 401 },
    { text: get('/'), status: 404 },
    { text: get('/ws/'), status: 404 },
    { text: get('/healthz/'), status: 404 },
    { text: get('/v1/../healthz'), status: 404 },
    { text: get('http://127.0.0.1/healthz'), status: 404 },
    { text: get('/healthz').replace('GET', 'POST'), status: 405 },
    { text: get('/healthz').replace('GET', 'HEAD'), status: 405 },
    { text: get('/ws').replace('GET', 'PUT'), status: 405 },
    { text: get('/metrics').replace('GET', 'DELETE'), status: 405 },
    { text: get('/nowhere').replace('GET', 'POST'), status: 404 },
  ]
  for (const { text, status } of cases)
    await t.test(`${text.split(' HTTP')[0]} is ${status}`, async (t) => {
      const client = raw(t, port, text)
      await client.ended
      t.equal(client.status, status)
      t.equal(client.header('Connection'), 'close')
      t.equal(client.header('Server'), undefined)
      if (status === 405) t.equal(client.header('Allow'), 'GET')
      if (status === 426) t.equal(client.header('Upgrade'), 'websocket')
      if (status >= 400 && !text.startsWith('HEAD'))
        t.match(client.bytes.toString(), /\{"error":"[A-Za-z ]+"\}$/)
    })
})

const healths = [
  { health: 'ok', status: 200 },
  { health: 'starting', status: 503 },
  { health: 'stopping', status: 503 },
] as const
for (const { health, status } of healths)
  await t.test(`/healthz while ${health} is ${status}`, async (t) => {
    const { port } = await listening(t, { health: (): Health => health })
    const response = await fetch(`http://127.0.0.1:${port}/healthz`)
    t.equal(response.status, status)
    t.strictSame(await response.json(), { status: health })
  })

await t.test('/metrics needs a token with read that sees every program', async (t) => {
  const { port, tokens, token } = await listening(t)
  const make = async (name: string, wish: object) =>
    (await tokens.create({ name, ...wish }, 'local:admin')).token
  const cases = [
    { it: 'no token', authorization: undefined, status: 401 },
    { it: 'Basic', authorization: 'Basic YTpi', status: 401 },
    { it: 'a token of another host', authorization: `Bearer ${token.slice(0, -1)}`, status: 401 },
    {
      it: 'a token for some programs',
      authorization: `Bearer ${await make('a', { role: 'viewer', programs: ['web-*'] })}`,
      status: 403,
    },
    {
      it: 'a token without read',
      authorization: `Bearer ${await make('b', { scopes: ['logs'] })}`,
      status: 403,
    },
    { it: 'a viewer', authorization: `Bearer ${await make('c', { role: 'viewer' })}`, status: 200 },
  ]
  for (const { it, authorization, status } of cases)
    await t.test(`${it} gets ${status}`, async (t) => {
      const headers = authorization === undefined ? {} : { authorization }
      const response = await fetch(`http://127.0.0.1:${port}/metrics`, { headers })
      t.equal(response.status, status)
      if (status !== 200) return
      t.equal(await response.text(), 'up 1\n')
      t.match(response.headers.get('content-type'), /^text\/plain; version=0\.0\.4/)
    })
})

const openCases = [
  { it: 'from this host', headers: '', status: 200 },
  { it: 'from this host by the name localhost', headers: 'Host: localhost:9877\r\n', status: 200 },
  { it: 'led here by another name', headers: 'Host: evil.example:9877\r\n', status: 401 },
  { it: 'behind a proxy on this host', headers: 'X-Forwarded-For: 203.0.113.9\r\n', status: 401 },
  { it: 'behind a proxy that says Forwarded', headers: 'Forwarded: for=203.0.113.9\r\n', status: 401 },
]
for (const { it, headers, status } of openCases)
  await t.test(`with metricsOpenOnLoopback a request ${it} is ${status}`, async (t) => {
    const { port } = await listening(t, { metricsOpenOnLoopback: true })
    const host = headers.startsWith('Host') ? '' : 'Host: 127.0.0.1\r\n'
    const client = raw(t, port, `GET /metrics HTTP/1.1\r\n${host}${headers}\r\n`)
    await client.ended
    t.equal(client.status, status)
  })

await t.test('metrics that cannot be rendered are 500 without a word of why', async (t) => {
  const metrics = () => {
    throw new Error('/etc/secret')
  }
  const { port, token, lines } = await listening(t, { metrics })
  const response = await fetch(`http://127.0.0.1:${port}/metrics`, {
    headers: { authorization: `Bearer ${token}` },
  })
  t.equal(response.status, 500)
  t.strictSame(await response.json(), { error: 'Internal Server Error' })
  t.ok(
    lines.some((line) => line.includes('/etc/secret')),
    'the log has it',
  )
  t.notOk(
    lines.some((line) => line.includes(token)),
    'but never a token',
  )
})

const malformed = [
  {
    it: 'Content-Length and Transfer-Encoding at once',
    text: get('/healthz', 'Content-Length: 5\r\nTransfer-Encoding: chunked\r\n'),
    status: 400,
  },
  { it: 'no Host', text: 'GET /healthz HTTP/1.1\r\n\r\n', status: 400 },
  { it: 'garbage', text: 'garbage\r\n\r\n', status: 400 },
  { it: 'a TLS hello', text: Buffer.from('16030100c8010000c40303', 'hex'), status: 400 },
  { it: 'a header of 12 KiB', text: get('/healthz', `X-A: ${'a'.repeat(12 * 1024)}\r\n`), status: 431 },
]
for (const { it, text, status } of malformed)
  await t.test(`${it} is ${status}`, async (t) => {
    const { port } = await listening(t)
    const client = raw(t, port, text)
    await client.ended
    t.equal(client.status, status)
  })

await t.test('silent, half-sent and trickling requests end after the handshake time', async (t) => {
  const { port } = await listening(t, { limits: { handshakeMs: 1000 } })
  const trickle = raw(t, port, 'GET /healthz HTTP/1.1\r\nX: ')
  const drip = setInterval(() => trickle.socket.write('a'), 50)
  t.teardown(() => clearInterval(drip))
  const body = `POST /ws HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nabc`
  const clients = [raw(t, port, ''), raw(t, port, 'GET /healthz HTT'), trickle, raw(t, port, body)]
  const started = performance.now()
  await Promise.all(clients.map(({ ended }) => ended))
  t.ok(performance.now() - started < 1900, 'sooner than the time for a whole request')
  t.strictSame(
    clients.map(({ status }) => status),
    [408, 408, 408, 405],
  )
})

const listens = [
  { host: '127.0.0.1', tls: false, ok: true },
  { host: '127.1.2.3', tls: false, ok: true },
  { host: '::1', tls: false, ok: true },
  { host: 'localhost', tls: false, ok: true },
  { host: '0.0.0.0', tls: false, ok: false },
  { host: '::', tls: false, ok: false },
  { host: '', tls: false, ok: false },
  { host: '192.0.2.1', tls: false, ok: false },
  { host: 'localhost.evil.example', tls: false, ok: false },
  { host: '127.evil.example', tls: false, ok: false },
  { host: '0.0.0.0', tls: true, ok: true },
]
for (const { host, tls, ok } of listens)
  await t.test(
    `listening on ${host || 'nothing'} ${tls ? 'with' : 'without'} TLS is ${ok ? 'safe' : 'refused'}`,
    async (t) => {
      const listen = () => assertSafeListen({ host, tls: tls ? { cert: '', key: '' } : undefined })
      if (ok) t.doesNotThrow(listen)
      else t.throws(listen, /not loopback.*listen\.tls/)
    },
  )

await t.test('it does not start in the clear on every address', async (t) => {
  await t.rejects(listening(t, { listen: { host: '0.0.0.0' } }), /not loopback/)
})

await t.test('an address that is taken is told', async (t) => {
  const other = createServer().listen(0, '127.0.0.1')
  await once(other, 'listening')
  t.teardown(() => other.close())
  const { port } = other.address() as { port: number }
  await t.rejects(listening(t, { listen: { port } }), {
    message: /^listen\.host .*, listen\.port \d+: .*EADDRINUSE/,
  })
})

await t.test('stop ends connections that do nothing, and the port is free again', async (t) => {
  const { http, port } = await listening(t)
  const idle = raw(t, port, '')
  await once(idle.socket, 'connect')
  await http.stop()
  await idle.ended
  t.equal(http.address(), null)
  const after = new RawClient(connect(port, '127.0.0.1'))
  await after.ended
  t.equal(after.status, 0)
})

await t.test('with TLS', async (t) => {
  const server = await certificate(t)
  const client = await certificate(t)
  const status = (port: number, options: object) =>
    new Promise<number | string>((resolve) => {
      const request = httpsRequest({ host: '127.0.0.1', port, path: '/healthz', ca: server.cert, ...options })
      request.on('response', (response) => resolve(response.resume().statusCode ?? 0))
      request.on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message))
      request.end()
    })

  await t.test('1.3 is served, 1.2 is not', async (t) => {
    const { port } = await listening(t, { listen: { tls: server } })
    t.equal(await status(port, {}), 200)
    t.match(await status(port, { maxVersion: 'TLSv1.2' }), /PROTOCOL_VERSION|EPROTO|ECONNRESET/)
  })

  await t.test('a client authority lets in its own certificates only', async (t) => {
    const stranger = await certificate(t)
    const { port } = await listening(t, { listen: { tls: { ...server, clientCa: client.cert } } })
    t.equal(await status(port, client), 200)
    t.match(await status(port, {}), /CERTIFICATE_REQUIRED|ECONNRESET/)
    t.match(await status(port, stranger), /UNKNOWN_CA|ECONNRESET/)
  })

  await t.test('a connection that sends nothing ends after the handshake time', async (t) => {
    const { port } = await listening(t, { listen: { tls: server }, limits: { handshakeMs: 300 } })
    const started = performance.now()
    await raw(t, port, '').ended
    t.ok(performance.now() - started < 5000)
  })
})
