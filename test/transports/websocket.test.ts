import t from 'tap'
import { formatToken } from '../../src/protocol/token.ts'
import { until } from '../fixtures/wait.ts'
import { answered, bearer, listening, raw, upgraded, upgradeRequest } from './support.ts'

const protocols = (token: string) => ({ 'Sec-WebSocket-Protocol': `supervisor-agent.v1, bearer.${token}` })

await t.test('every upgrade is judged before it happens', async (t) => {
  const { port, token, record, tokens, sessions } = await listening(t, {
    allowedOrigins: ['https://panel.example'],
    limits: { connections: 1000, connectionsPerToken: 1000 },
    failuresNow: (() => {
      let at = 0
      return () => (at += 60_000) // no failure is ever recent: the bar has tests of its own
    })(),
  })
  const revoked = await tokens.create({ name: 'revoked', role: 'viewer' }, 'local:admin')
  await tokens.revoke('revoked')
  const other = token.endsWith('0') ? '1' : '0'
  const host = 'GET /ws HTTP/1.1'
  const cases: Array<{ it: string; headers: Record<string, string | null>; line?: string; status: number }> =
    [
      { it: 'a good token in the header', headers: bearer(token), status: 101 },
      { it: 'the scheme in another case', headers: { Authorization: `bearer ${token}` }, status: 101 },
      {
        it: 'a good token in the subprotocols and an allowed origin',
        headers: { ...protocols(token), Origin: 'https://panel.example' },
        status: 101,
      },
      { it: 'a good token in the subprotocols and no origin', headers: protocols(token), status: 101 },
      {
        it: 'a header and our subprotocol',
        headers: { ...bearer(token), 'Sec-WebSocket-Protocol': 'supervisor-agent.v1' },
        status: 101,
      },
      { it: 'no token', headers: {}, status: 401 },
      { it: 'Basic', headers: { Authorization: 'Basic YTpi' }, status: 401 },
      { it: 'a token without a scheme', headers: { Authorization: token }, status: 401 },
      { it: 'two spaces', headers: { Authorization: `Bearer  ${token}` }, status: 401 },
      { it: 'two tokens in one header', headers: { Authorization: `Bearer ${token} ${token}` }, status: 401 },
      { it: 'two headers', headers: { ...bearer(token), authorization: `Bearer ${token}` }, status: 401 },
      { it: 'header and subprotocol both', headers: { ...bearer(token), ...protocols(token) }, status: 401 },
      {
        it: 'a subprotocol token without our subprotocol',
        headers: { 'Sec-WebSocket-Protocol': `bearer.${token}` },
        status: 401,
      },
      {
        it: 'two subprotocol tokens',
        headers: { 'Sec-WebSocket-Protocol': `supervisor-agent.v1, bearer.${token}, bearer.${token}` },
        status: 401,
      },
      {
        it: 'our subprotocol alone',
        headers: { 'Sec-WebSocket-Protocol': 'supervisor-agent.v1' },
        status: 401,
      },
      { it: 'the token in the query', headers: {}, line: `GET /ws?token=${token} HTTP/1.1`, status: 401 },
      { it: 'a good token and any query', headers: bearer(token), line: 'GET /ws?a=b HTTP/1.1', status: 401 },
      { it: 'an empty query', headers: bearer(token), line: 'GET /ws? HTTP/1.1', status: 401 },
      { it: 'a bad checksum', headers: bearer(token.slice(0, -1) + other), status: 401 },
      { it: 'an unknown id', headers: bearer(formatToken('0123456789', 'a'.repeat(43))), status: 401 },
      { it: 'a wrong secret', headers: bearer(formatToken(record.id, 'a'.repeat(43))), status: 401 },
      { it: 'a revoked token', headers: bearer(revoked.token), status: 401 },
      { it: 'a foreign origin', headers: { ...bearer(token), Origin: 'https://evil.example' }, status: 403 },
      { it: 'the origin null', headers: { ...bearer(token), Origin: 'null' }, status: 403 },
      {
        it: 'an origin that begins like ours',
        headers: { ...bearer(token), Origin: 'https://panel.example.evil.com' },
        status: 403,
      },
      {
        it: 'our origin in another scheme',
        headers: { ...bearer(token), Origin: 'http://panel.example' },
        status: 403,
      },
      {
        it: 'two origins',
        headers: { ...bearer(token), Origin: 'https://panel.example', origin: 'https://panel.example' },
        status: 403,
      },
      { it: 'another path', headers: bearer(token), line: 'GET /v1/../admin HTTP/1.1', status: 404 },
      { it: 'a path that ends in a slash', headers: bearer(token), line: 'GET /ws/ HTTP/1.1', status: 404 },
      {
        it: 'an absolute target',
        headers: bearer(token),
        line: 'GET http://127.0.0.1/ws HTTP/1.1',
        status: 404,
      },
      { it: 'an upgrade of /healthz', headers: bearer(token), line: 'GET /healthz HTTP/1.1', status: 400 },
      { it: 'POST', headers: bearer(token), line: 'POST /ws HTTP/1.1', status: 405 },
      { it: 'an upgrade to h2c', headers: { ...bearer(token), Upgrade: 'h2c' }, status: 426 },
      { it: 'no upgrade', headers: { ...bearer(token), Upgrade: null, Connection: null }, status: 426 },
      { it: 'version 12', headers: { ...bearer(token), 'Sec-WebSocket-Version': '12' }, status: 400 },
      { it: 'version 8', headers: { ...bearer(token), 'Sec-WebSocket-Version': '8' }, status: 400 },
      { it: 'a short key', headers: { ...bearer(token), 'Sec-WebSocket-Key': 'c2hvcnQ=' }, status: 400 },
      { it: 'no key', headers: { ...bearer(token), 'Sec-WebSocket-Key': null }, status: 400 },
      { it: 'no Host', headers: { ...bearer(token), Host: null }, status: 400 },
      { it: 'HTTP/1.0', headers: bearer(token), line: 'GET /ws HTTP/1.0', status: 400 },
      {
        it: 'a broken list of subprotocols',
        headers: { ...bearer(token), 'Sec-WebSocket-Protocol': 'a,,b' },
        status: 400,
      },
    ]
  for (const { it, headers, line = host, status } of cases)
    await t.test(`${it} is ${status}`, async (t) => {
      const before = sessions.length
      const client = await answered(raw(t, port, upgradeRequest(headers, line)))
      t.equal(client.status, status)
      if (status === 101) {
        t.equal(
          client.header('Sec-WebSocket-Protocol'),
          headers['Sec-WebSocket-Protocol'] && 'supervisor-agent.v1',
        )
        await until(() => client.frames()[0]?.payload.toString() === 'hello')
        return
      }
      await client.ended
      t.equal(client.header('Connection'), 'close')
      t.equal(sessions.length, before, 'no session was opened')
      t.notMatch(client.bytes.toString(), token.slice(15, 58))
    })
})

await t.test('an expired token is 401', async (t) => {
  const { port, tokens } = await listening(t)
  const expiresAt = new Date(Date.now() + 100).toISOString()
  const { token, record } = await tokens.create({ name: 'brief', role: 'viewer', expiresAt }, 'local:admin')
  await until(() => !tokens.admits(record))
  t.equal((await answered(raw(t, port, upgradeRequest(bearer(token))))).status, 401)
})

await t.test('no compression is agreed on', async (t) => {
  const { port, token } = await listening(t)
  const headers = {
    ...bearer(token),
    'Sec-WebSocket-Extensions': 'permessage-deflate; client_max_window_bits',
  }
  const client = await answered(raw(t, port, upgradeRequest(headers)))
  t.equal(client.status, 101)
  t.equal(client.header('Sec-WebSocket-Extensions'), undefined)
})

await t.test('the sixth token that does not verify is barred with its address', async (t) => {
  let at = 0
  const { port, token, record } = await listening(t, { failuresNow: () => at })
  const wrong = formatToken(record.id, 'a'.repeat(43))
  const attempt = async (text: string, from: string) => {
    const client = await answered(raw(t, port, upgradeRequest(bearer(text)), from))
    return client.header('Retry-After')
      ? `${client.status} after ${client.header('Retry-After')}`
      : client.status
  }
  for (let i = 0; i < 10; i++)
    t.equal(await attempt('agt_malformed', '127.0.0.2'), 401, 'what is no token does not count')
  for (let i = 0; i < 5; i++) t.equal(await attempt(wrong, '127.0.0.2'), 401)
  at = 10_000
  t.equal(await attempt(wrong, '127.0.0.2'), '429 after 50')
  t.equal(await attempt(token, '127.0.0.2'), '429 after 50', 'even a good token')
  t.equal(await attempt(token, '127.0.0.3'), 101, 'from elsewhere it is good')
  at = 60_000
  t.equal(await attempt(token, '127.0.0.2'), 101, 'and after a minute')
})

await t.test('an address with a live session is not barred, and is when the session has ended', async (t) => {
  const { port, token, record, webSocket } = await listening(t, { failuresNow: () => 0 })
  const live = await upgraded(t, port, token)
  const wrong = upgradeRequest(bearer(formatToken(record.id, 'a'.repeat(43))))
  for (let i = 0; i < 7; i++) t.equal((await answered(raw(t, port, wrong))).status, 401)
  const second = await upgraded(t, port, token)
  live.socket.destroy()
  second.socket.destroy()
  await until(() => webSocket.sessions === 0)
  t.equal((await answered(raw(t, port, upgradeRequest(bearer(token))))).status, 429)
})

await t.test('/metrics counts failures too', async (t) => {
  const { port, record } = await listening(t, { failuresNow: () => 0 })
  const headers = { authorization: `Bearer ${formatToken(record.id, 'a'.repeat(43))}` }
  const statuses = []
  for (let i = 0; i < 6; i++)
    statuses.push((await fetch(`http://127.0.0.1:${port}/metrics`, { headers })).status)
  t.strictSame(statuses, [401, 401, 401, 401, 401, 429])
})

await t.test('behind a trusted proxy the client is barred, not the proxy', async (t) => {
  const { port, token, record, sessions } = await listening(t, {
    failuresNow: () => 0,
    trustedProxies: ['127.0.0.9'],
  })
  const attempt = async (text: string, client: string) =>
    (
      await answered(
        raw(t, port, upgradeRequest({ ...bearer(text), 'X-Forwarded-For': client }), '127.0.0.9'),
      )
    ).status
  for (let i = 0; i < 5; i++) await attempt(formatToken(record.id, 'a'.repeat(43)), '203.0.113.1')
  t.equal(await attempt(token, '203.0.113.1'), 429)
  t.equal(
    await attempt(token, '127.0.0.1, 203.0.113.1'),
    429,
    'what the client itself claims changes nothing',
  )
  t.equal(await attempt(token, '203.0.113.2'), 101)
  t.equal(sessions[0]?.link.remote, '203.0.113.2')
})

await t.test('connections over the limits are 503, of one token and of all', async (t) => {
  const { port, token, tokens, webSocket } = await listening(t, {
    limits: { connections: 5, connectionsPerToken: 3 },
  })
  const second = (await tokens.create({ name: 'second', role: 'viewer' }, 'local:admin')).token
  const statusesOf = async (text: string) => {
    const clients = await Promise.all(
      Array.from({ length: 6 }, () => answered(raw(t, port, upgradeRequest(bearer(text))))),
    )
    return clients.map(({ status }) => status).toSorted((a, b) => a - b)
  }
  t.strictSame(await statusesOf(token), [101, 101, 101, 503, 503, 503])
  t.strictSame(await statusesOf(second), [101, 101, 503, 503, 503, 503])
  t.equal(webSocket.sessions, 5)
})

await t.test('the log has no token in it', async (t) => {
  const { port, token, record, lines, webSocket } = await listening(t)
  const wrong = formatToken(record.id, 'a'.repeat(43))
  const client = await upgraded(t, port, token)
  await answered(raw(t, port, upgradeRequest(bearer(wrong))))
  await answered(raw(t, port, upgradeRequest({}, `GET /ws?token=${token} HTTP/1.1`)))
  client.socket.destroy()
  await until(() => webSocket.sessions === 0)
  t.ok(lines.some((line) => line.includes('session opened')))
  t.notOk(lines.some((line) => line.includes(token.slice(15, 58)) || line.includes('a'.repeat(43))))
})
