import { once } from 'node:events'
import { readFile, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { connect as connectTls } from 'node:tls'
import t from 'tap'
import { WebSocket } from 'ws'
import { until } from '../fixtures/wait.ts'
import { answered, bearer, certificate, frame, listening, raw, upgraded, upgradeRequest } from './support.ts'

const hex = (text: string) => Buffer.from(text, 'hex')
const max = 1000
const framing: Array<{ it: string; bytes: Buffer[]; code: number }> = [
  { it: 'an unmasked frame', bytes: [frame(1, 'a', { masked: false })], code: 1002 },
  { it: 'opcode 3', bytes: [frame(3, 'a')], code: 1002 },
  { it: 'RSV1', bytes: [frame(1, 'a', { reserved: 0x40 })], code: 1002 },
  { it: 'one byte too many', bytes: [frame(1, 'a'.repeat(max + 1))], code: 1009 },
  { it: 'a claim of 2^53-1 bytes', bytes: [frame(1, '', { claims: 2n ** 53n - 1n })], code: 1009 },
  { it: 'a claim of 2^63 bytes', bytes: [frame(1, '', { claims: 2n ** 63n })], code: 1009 },
  {
    it: 'fragments that add up to too much',
    bytes: [frame(1, 'a'.repeat(600), { fin: false }), frame(0, 'a'.repeat(600))],
    code: 1009,
  },
  {
    it: '70 fragments of one byte',
    bytes: [
      frame(1, 'a', { fin: false }),
      ...Array.from({ length: 70 }, () => frame(0, 'a', { fin: false })),
    ],
    code: 1008,
  },
  { it: 'a continuation of nothing', bytes: [frame(0, 'a')], code: 1002 },
  { it: 'a message inside a message', bytes: [frame(1, 'a', { fin: false }), frame(1, 'b')], code: 1002 },
  { it: 'a ping in fragments', bytes: [frame(9, 'a', { fin: false })], code: 1002 },
  { it: 'a ping of 126 bytes', bytes: [frame(9, 'a'.repeat(126))], code: 1002 },
  { it: 'text C3 28', bytes: [frame(1, hex('c328'))], code: 1007 },
  { it: 'an overlong slash', bytes: [frame(1, hex('c0af'))], code: 1007 },
  { it: 'a surrogate', bytes: [frame(1, hex('eda080'))], code: 1007 },
  { it: 'bad UTF-8 in a close reason', bytes: [frame(8, hex('03e8c328'))], code: 1007 },
  { it: 'a binary frame', bytes: [frame(2, 'a')], code: 1003 },
  { it: 'a close body of one byte', bytes: [frame(8, 'a')], code: 1002 },
  { it: 'close code 1005 on the wire', bytes: [frame(8, hex('03ed'))], code: 1002 },
]
await t.test('frames against the rules close the connection', async (t) => {
  const { port, token, sessions } = await listening(t, { limits: { frameInBytes: max } })
  for (const { it, bytes, code } of framing)
    await t.test(`${it}: ${code}`, async (t) => {
      const client = await upgraded(t, port, token)
      const session = sessions.at(-1)
      client.socket.write(Buffer.concat([...bytes, frame(1, 'after')]))
      await until(() => client.closeCode, 'a close frame')
      t.equal(client.closeCode, code)
      await client.ended
      await until(() => session?.closed)
      t.strictSame(session?.received, [], 'nothing of it was delivered')
    })
})

await t.test('frames within the rules are delivered in order, also in pieces and many at once', async (t) => {
  const { port, token, sessions } = await listening(t, { limits: { frameInBytes: max } })
  const client = await upgraded(t, port, token)
  const texts = ['', 'ä', 'x'.repeat(max), ...Array.from({ length: 100 }, (_, i) => `m${i}`)]
  const parts = [frame(1, 'fra', { fin: false }), frame(9, 'ping'), frame(0, 'gments')]
  const bytes = Buffer.concat([...texts.map((text) => frame(1, text)), ...parts])
  for (let at = 0; at < bytes.length; at += 7) client.socket.write(bytes.subarray(at, at + 7))
  await until(() => sessions[0]?.received.length === texts.length + 1)
  t.strictSame(sessions[0]?.received, [...texts, 'fragments'])
  const answers = () => client.frames().filter(({ opcode }) => opcode === 1)
  await until(() => answers().length === texts.length + 2)
  t.strictSame(
    answers().map(({ payload }) => payload.toString()),
    ['hello', ...texts, 'fragments'],
  )
  t.ok(client.frames().some(({ opcode, payload }) => opcode === 10 && payload.toString() === 'ping'))
})

await t.test('what one turn sends arrives in order, whatever its size, before the close frame', async (t) => {
  const { port, token, sessions } = await listening(t)
  const client = new WebSocket(`ws://127.0.0.1:${port}/ws`, { headers: bearer(token) })
  const got: string[] = []
  client.on('message', (data: Buffer) => got.push(data.toString()))
  await once(client, 'open')
  await until(() => got.length === 1, 'the first frame')
  const sizes = [0, 1, 125, 126, 4096, 4097, 65_535, 65_536, 300_000]
  // large ones wait in the socket, so that the second round goes another way than the first
  const texts = [...sizes, ...sizes.toReversed(), ...sizes].map((size, at) =>
    'ä'.repeat(size >> 1).padEnd(size - (size >> 1), `${at}`),
  )
  const link = sessions.at(-1)?.link
  const sent = (texts.length / 3) * 2
  client.pause()
  // more than the kernel holds for the two of us
  const fill = 'f'.repeat(12_000_000)
  texts.unshift(fill)
  link?.send(Buffer.from(fill))
  for (const text of texts.slice(1, sent)) link?.send(Buffer.from(text))
  t.ok((link?.bufferedBytes() ?? 0) >= 800_000, 'what waits for the end of the turn is counted')
  await new Promise(setImmediate)
  t.ok((link?.bufferedBytes() ?? 0) > 0, 'and so is what waits in the socket')
  for (const text of texts.slice(sent)) link?.send(Buffer.from(text))
  link?.close(1000, 'done')
  link?.send(Buffer.from('too late'))
  client.resume()
  const [code] = (await once(client, 'close')) as [number]
  t.equal(code, 1000)
  t.same(
    got.slice(1).map((text) => text.length),
    texts.map((text) => text.length),
  )
  t.ok(
    texts.every((text, at) => text === got[at + 1]),
    'byte for byte',
  )
})

await t.test('a flood of pings whose answers nobody reads ends the connection', async (t) => {
  const { port, token, webSocket } = await listening(t)
  const client = await upgraded(t, port, token)
  client.socket.pause()
  const pings = Buffer.concat(Array.from({ length: 1000 }, () => frame(9, 'a'.repeat(125))))
  const flood = setInterval(() => client.socket.destroyed || client.socket.write(pings), 1)
  t.teardown(() => clearInterval(flood))
  await until(() => webSocket.sessions === 0, 'the end')
})

await t.test('a peer that answers no ping is cut off; one that does stays', async (t) => {
  const { port, token, tokens, sessions, webSocket } = await listening(t, {
    limits: { pingMs: 40, deadMs: 200 },
  })
  const silent = await upgraded(t, port, token)
  const lively = new WebSocket(`ws://127.0.0.1:${port}/ws`, { headers: bearer(token) })
  await once(lively, 'open')
  await silent.ended
  t.ok(silent.frames().filter(({ opcode }) => opcode === 9).length >= 4, 'it was pinged')
  await until(() => sessions[0]?.closed === 1)
  let pings = 0
  lively.on('ping', () => pings++)
  await until(() => pings > 8, 'more pings than a dead peer gets')
  t.equal(webSocket.sessions, 1)
  t.ok(tokens.list()[0]?.lastUsedAt)
})

await t.test('a FIN or a reset right after the upgrade releases the connection', async (t) => {
  const { port, token, sessions, webSocket } = await listening(t)
  const finished = raw(t, port, upgradeRequest(bearer(token)))
  finished.socket.end()
  const reset = await upgraded(t, port, token)
  reset.socket.resetAndDestroy()
  await until(() => webSocket.sessions === 0 && sessions.every(({ closed }) => closed === 1))
  t.pass()
})

await t.test('a peer that does not answer our close is cut off', async (t) => {
  const { port, token, sessions } = await listening(t)
  const client = await upgraded(t, port, token)
  sessions[0]?.link.close(1013, 'overload')
  const started = performance.now()
  await client.ended
  t.equal(client.closeCode, 1013)
  t.ok(performance.now() - started < 4000)
  await until(() => sessions[0]?.closed === 1)
})

await t.test('nothing is delivered after the agent decided to close', async (t) => {
  const { port, token, sessions } = await listening(t)
  const client = await upgraded(t, port, token)
  sessions[0]?.link.close(1008, 'malformed')
  client.socket.write(frame(1, 'late'))
  client.socket.write(frame(8, hex('03e8')))
  await client.ended
  t.strictSame(sessions[0]?.received, [])
})

await t.test('bytes that nobody reads are counted, and their going is told', async (t) => {
  const { port, token, sessions } = await listening(t)
  const client = await upgraded(t, port, token)
  const [session] = sessions
  client.socket.pause()
  const chunk = Buffer.alloc(1 << 20, 'a')
  for (let i = 0; i < 20; i++) session?.link.send(chunk)
  t.ok((session?.link.bufferedBytes() ?? 0) > 4 << 20)
  t.equal(session?.drained, 0)
  client.socket.resume()
  await until(() => session?.drained === 1)
  t.equal(session?.link.bufferedBytes(), 0)
})

for (const isTls of [false, true])
  await t.test(`bytes taken of one large write are seen before it is complete, TLS: ${isTls}`, async (t) => {
    const { port, token, sessions } = await listening(
      t,
      isTls ? { listen: { tls: await certificate(t) } } : {},
    )
    const address = { port, host: '127.0.0.1' }
    const socket = isTls ? connectTls({ ...address, rejectUnauthorized: false }) : connect(address)
    t.teardown(() => socket.destroy())
    socket.write(upgradeRequest(bearer(token)))
    const link = (await until(() => sessions[0])).link
    for (let i = 0; i < 64; i++) link.send(Buffer.alloc(1 << 20, 'a'))
    const before = link.takenBytes()
    let seen = 0
    socket.on('data', () => {
      if (link.bufferedBytes() > 0 && link.takenBytes() > before) seen = link.takenBytes()
    })
    await until(() => sessions[0]?.drained, 'the end of the write')
    t.ok(seen > before, `${before} before, ${seen} during the write`)
  })

await t.test('terminate ends a peer that does not read', async (t) => {
  const { port, token, sessions } = await listening(t)
  const client = await upgraded(t, port, token)
  client.socket.pause()
  for (let i = 0; i < 16; i++) sessions[0]?.link.send(Buffer.alloc(1 << 20, 'a'))
  sessions[0]?.link.terminate()
  await until(() => sessions[0]?.closed === 1)
  sessions[0]?.link.send(Buffer.from('late'))
  t.equal(sessions[0]?.link.bufferedBytes(), 0)
})

await t.test('a session that throws ends alone', async (t) => {
  const { port, token, sessions, webSocket } = await listening(t)
  const clients = [await upgraded(t, port, token), await upgraded(t, port, token)]
  clients[0]?.socket.write(frame(1, 'throw'))
  await clients[0]?.ended
  await until(() => sessions[0]?.closed === 1)
  t.equal(webSocket.sessions, 1)
})

await t.test('revoking a token closes its sessions with 4401, others stay, and it opens none', async (t) => {
  const { port, token, tokens, webSocket } = await listening(t)
  const other = await tokens.create({ name: 'other', role: 'viewer' }, 'local:admin')
  const client = new WebSocket(`ws://127.0.0.1:${port}/ws`, { headers: bearer(token) })
  await once(client, 'open')
  await upgraded(t, port, other.token)
  const closed = once(client, 'close')
  await tokens.revoke('panel')
  const [code, reason] = await closed
  t.equal(code, 4401)
  t.equal(String(reason), 'token revoked or expired')
  t.equal((await answered(raw(t, port, upgradeRequest(bearer(token)), '127.0.0.2'))).status, 401)
  t.equal(webSocket.sessions, 1)
})

await t.test('a peer that ignores 4401 is cut off after a second', async (t) => {
  const { port, token, tokens } = await listening(t)
  const client = await upgraded(t, port, token)
  await tokens.revoke('panel')
  const started = performance.now()
  await client.ended
  t.equal(client.closeCode, 4401)
  t.ok(performance.now() - started < 1800, 'sooner than the time of an ordinary close')
})

await t.test('a token that expires in a session ends it with 4401', async (t) => {
  const { port, tokens } = await listening(t)
  const expiresAt = new Date(Date.now() + 1000).toISOString()
  const { token } = await tokens.create({ name: 'brief', role: 'viewer', expiresAt }, 'local:admin')
  const client = await upgraded(t, port, token)
  await until(() => client.closeCode === 4401)
})

await t.test(
  'a token removed from the file by hand ends its sessions, a downgraded one keeps them with less',
  async (t) => {
    const { port, token, tokens, tokensPath, record, sessions } = await listening(t)
    const path = tokensPath
    const gone = await upgraded(
      t,
      port,
      (await tokens.create({ name: 'gone', role: 'viewer' }, 'local:admin')).token,
    )
    const kept = await upgraded(t, port, token)
    const file = JSON.parse(await readFile(path, 'utf8'))
    await writeFile(path, JSON.stringify({ ...file, tokens: [{ ...record, scopes: ['read'] }] }))
    await until(() => gone.closeCode === 4401)
    t.strictSame([...(sessions[1]?.principal.scopes ?? [])], ['read'])
    kept.socket.write(frame(1, 'still there'))
    await until(() => sessions[1]?.received.includes('still there'))
  },
)

await t.test('a session lives as long as the text it came with', async (t) => {
  const { port, token, tokens, webSocket } = await listening(t)
  const old = await upgraded(t, port, token)
  const next = await tokens.rotate('panel', { graceMs: 60_000 })
  await upgraded(t, port, next.token)
  await upgraded(t, port, token)
  t.equal(webSocket.sessions, 3, 'both texts open sessions')
  await tokens.rotate('panel', { graceMs: 0 })
  await old.ended
  t.equal(old.closeCode, 4401)
  await until(() => webSocket.sessions === 0, 'the end of all')
  t.equal((await answered(raw(t, port, upgradeRequest(bearer(token)), '127.0.0.2'))).status, 401)
})

await t.test('the grace of a former text ends by itself, and its sessions with it', async (t) => {
  const { port, token, tokens, webSocket } = await listening(t)
  const old = await upgraded(t, port, token)
  const next = await tokens.rotate('panel', { graceMs: 1000 })
  await upgraded(t, port, next.token)
  await until(() => old.closeCode === 4401, 'the end of the session')
  await until(() => webSocket.sessions === 1)
  t.equal((await answered(raw(t, port, upgradeRequest(bearer(token)), '127.0.0.2'))).status, 401)
})

await t.test(
  'stop closes with 1012, cuts off who does not answer, and answers 503 from then on',
  async (t) => {
    const { port, token, webSocket, sessions } = await listening(t)
    const polite = new WebSocket(`ws://127.0.0.1:${port}/ws`, { headers: bearer(token) })
    await once(polite, 'open')
    const rude = await upgraded(t, port, token)
    const closed = once(polite, 'close')
    const started = performance.now()
    await webSocket.stop()
    t.ok(performance.now() - started < 1800)
    t.equal((await closed)[0], 1012)
    t.equal(rude.closeCode, 1012)
    t.ok(sessions.every((session) => session.closed === 1))
    t.equal((await answered(raw(t, port, upgradeRequest(bearer(token))))).status, 503)
  },
)

await t.test('over TLS it is the same', async (t) => {
  const tls = await certificate(t)
  const { port, token, tokens } = await listening(t, { listen: { tls } })
  const client = new WebSocket(`wss://127.0.0.1:${port}/ws`, { headers: bearer(token), ca: tls.cert })
  const [hello] = await once(client, 'message')
  t.equal(String(hello), 'hello')
  client.send('a')
  t.equal(String((await once(client, 'message'))[0]), 'a')
  const closed = once(client, 'close')
  await tokens.revoke('panel')
  t.equal((await closed)[0], 4401)
})
