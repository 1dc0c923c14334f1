import { once } from 'node:events'
import { existsSync, readFileSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { createServer } from 'node:net'
import t from 'tap'
import { panelFrame, proofText } from '../../src/protocol/panel.ts'
import { newKey, proof } from '../core/panel/support.ts'
import { until } from '../fixtures/wait.ts'
import { dialling, JOIN, type Peer, scriptedPanel } from './dialout-support.ts'

await t.test('after both have proved themselves it is a session of the panel', async (t) => {
  const panel = await scriptedPanel(t, { on: (peer) => peer.accept() })
  const { sessions, dialOut, tokenFile, joinTokenFile } = await dialling(t, panel)
  const peer = await panel.peer(0)
  await until(() => peer.frames[2] === 'hello', 'the hello of the session')
  t.match(dialOut.state(), { state: 'connected', lastClose: undefined })
  const { actor, id, isRemote, isAbovePolicy, scopes } = sessions[0]?.principal ?? {}
  t.match(
    { actor, id, isRemote, isAbovePolicy },
    { actor: 'panel', id: 'panel', isRemote: true, isAbovePolicy: false },
  )
  t.strictSame([...(scopes ?? [])], ['read', 'logs', 'control'])
  peer.socket.send('a frame')
  t.equal(await peer.frame(3), 'a frame')
  await until(() => !existsSync(joinTokenFile), 'the join token to be removed')
  const { token } = JSON.parse(readFileSync(tokenFile, 'utf8')) as { token: string }
  t.notMatch(panel.received(), token, 'the credential itself did not leave when it joined')
})

await t.test('no byte of HTTP reaches a panel with another certificate', async (t) => {
  const [panel, other] = [
    await scriptedPanel(t, { on: (peer) => peer.accept() }),
    await scriptedPanel(t, { on: () => undefined }),
  ]
  const { lastReason, dialOut } = await dialling(t, { url: panel.url, pins: other.pins })
  await lastReason(/its certificate is not the one that panel.pin names/)
  await until(() => panel.connections() >= 5, 'it to be tried again and again')
  t.equal(panel.received(), '', 'not even a request')
  t.equal(panel.peers.length, 0)
  t.equal(dialOut.state().state, 'connecting')
})

await t.test('a panel without the pin of a certificate is not dialled over TLS', async (t) => {
  const panel = await scriptedPanel(t, { on: (peer) => peer.accept() })
  const { lastReason } = await dialling(t, { url: panel.url, pins: null })
  await lastReason(/its certificate is not/)
  t.equal(panel.received(), '')
})

await t.test('TLS below 1.3 is not spoken', async (t) => {
  const panel = await scriptedPanel(t, { on: (peer) => peer.accept(), maxVersion: 'TLSv1.2' })
  const { lastReason } = await dialling(t, panel)
  await lastReason(/version/i)
  t.equal(panel.received(), '')
})

const REQUEST = JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'process.stop', params: { select: ['all'] } })
const key = newKey()
const welcome = panelFrame('panel.welcome', {})

/** What a panel sends after the challenge that ends the connection before anything is shown or dispatched. */
const unproven: Record<string, (challenge: string) => (string | Buffer)[]> = {
  'a request': () => [REQUEST],
  'a welcome': () => [welcome],
  'a proof by another key than it shows': (challenge) => [
    panelFrame('panel.proof', { ...proof(challenge, newKey()), publicKey: proof(challenge, key).publicKey }),
  ],
  'a signature of something else': (challenge) => [
    panelFrame(
      'panel.proof',
      proof(challenge, key, (nonce) => `${proofText(nonce)} `),
    ),
  ],
  'a proof, and a request at once': (challenge) => [
    panelFrame(
      'panel.proof',
      proof(challenge, newKey(), (n) => n),
    ),
    REQUEST,
  ],
  'a proof with one more key': (challenge) => [
    JSON.stringify({
      jsonrpc: '2.0',
      method: 'panel.proof',
      params: { ...proof(challenge, key), admin: true },
    }),
  ],
  'a proof as a request': (challenge) => [
    JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'panel.proof', params: proof(challenge, key) }),
  ],
  'a proof in bytes': (challenge) => [Buffer.from(panelFrame('panel.proof', proof(challenge, key)))],
  'a proof in more than 4096 characters': (challenge) => [
    panelFrame('panel.proof', proof(challenge, key)) + ' '.repeat(4096),
  ],
  'two frames in one': (challenge) => [`[${panelFrame('panel.proof', proof(challenge, key))}]`],
  'no JSON': () => ['proof'],
  'a number': () => ['7'],
}
for (const [it, frames] of Object.entries(unproven))
  await t.test(`shows nothing to a panel that sends ${it}, and dispatches nothing`, async (t) => {
    const on = async (peer: Peer) => {
      for (const frame of frames(await peer.frame(0))) peer.socket.send(frame)
      peer.socket.send(REQUEST)
      peer.socket.send(welcome)
    }
    const panel = await scriptedPanel(t, { on })
    const { sessions, log, tokenFile } = await dialling(t, panel, { times: { minMs: 60_000, maxMs: 60_000 } })
    const peer = await panel.peer(0)
    await until(() => peer.closed, 'the agent to end it')
    t.equal(peer.closed?.code, 1008)
    t.equal(peer.frames.length, 1, 'the challenge alone was sent')
    t.equal(sessions.length, 0)
    t.notMatch(panel.received(), JOIN)
    t.notMatch(log(), JOIN)
    t.notOk(existsSync(tokenFile), 'nothing is pinned')
  })

await t.test('a request between the proof and the welcome ends it, undone', async (t) => {
  const on = async (peer: Peer) => {
    peer.socket.send(panelFrame('panel.proof', proof(await peer.frame(0), key)))
    peer.socket.send(REQUEST)
  }
  const panel = await scriptedPanel(t, { on })
  const { sessions, lastReason } = await dialling(t, panel)
  const peer = await panel.peer(0)
  await until(() => peer.closed, 'the agent to end it')
  t.equal(peer.closed?.code, 1008)
  t.equal(sessions.length, 0)
  await lastReason(/the panel sent something else/)
})

await t.test('what comes in the same packet as the welcome belongs to the session', async (t) => {
  const on = async (peer: Peer) => {
    peer.socket.send(panelFrame('panel.proof', proof(await peer.frame(0), key)))
    await peer.frame(1)
    peer.socket.send(welcome)
    for (const text of ['one', 'two', 'three']) peer.socket.send(text)
  }
  const panel = await scriptedPanel(t, { on })
  const { sessions } = await dialling(t, panel)
  await until(() => sessions[0]?.received.length === 3, 'three frames')
  t.strictSame(sessions[0]?.received, ['one', 'two', 'three'])
})

const refusals = [
  { it: 'nobody listens', reason: /ECONNREFUSED/ },
  {
    it: 'a panel that never answers the handshake',
    on: () => undefined,
    reason: /did not finish the handshake within/,
  },
  {
    it: 'a panel that takes long to say welcome',
    on: async (peer: Peer) => peer.socket.send(panelFrame('panel.proof', proof(await peer.frame(0), key))),
    reason: /did not finish the handshake within/,
  },
  { it: 'a panel of another protocol', subprotocol: false as const, reason: /subprotocol/ },
  {
    it: 'a panel that refuses the credential',
    on: async (peer: Peer) => {
      peer.socket.send(panelFrame('panel.proof', proof(await peer.frame(0), key)))
      await peer.frame(1)
      peer.socket.close(4401, 'credential\u0007 revoked')
    },
    reason: /^the panel closed the connection: credential revoked$/,
    code: 4401,
  },
  {
    it: 'a panel that goes',
    on: (peer: Peer) => peer.socket.close(1001, 'going'),
    reason: /closed the connection: going/,
    code: 1001,
  },
  {
    it: 'a panel that breaks off',
    on: (peer: Peer) => peer.socket.terminate(),
    reason: /the connection broke/,
    code: 1006,
  },
]
for (const { it, on = () => undefined, subprotocol, reason, code } of refusals)
  await t.test(`says why there is no link, and tries again: ${it}`, async (t) => {
    const panel = await scriptedPanel(t, { on, ...(subprotocol === undefined ? {} : { subprotocol }) })
    if (it === 'nobody listens') {
      panel.server.close()
      await once(panel.server, 'close')
    }
    const { lastReason, dialOut } = await dialling(t, panel, { handshakeMs: 200 })
    const close = await lastReason(reason)
    t.match(close, { at: /^\d{4}-.*Z$/, ...(code === undefined ? {} : { code }) })
    const first = close.at
    await until(() => dialOut.state().lastClose?.at !== first, 'another attempt')
    t.equal(dialOut.state().state, 'connecting')
  })

await t.test('a panel that takes the connection and says nothing is given up', async (t) => {
  const silent = createServer((socket) => void socket.on('error', () => undefined).resume())
  await once(silent.listen(0, '127.0.0.1'), 'listening')
  t.teardown(() => silent.close())
  const { port } = silent.address() as AddressInfo
  const { lastReason } = await dialling(
    t,
    { url: `ws://127.0.0.1:${port}`, pins: null },
    { times: { connectMs: 200 } },
  )
  await lastReason(/did not answer in time/)
})

await t.test('redirections are not followed', async (t) => {
  const target = await scriptedPanel(t, { on: (peer) => peer.accept(), tls: false })
  const panel = await scriptedPanel(t, { on: () => undefined, tls: false })
  panel.server.removeAllListeners('upgrade')
  panel.server.on('upgrade', (_request, socket) =>
    socket.end(`HTTP/1.1 302 Found\r\nLocation: ${target.url}\r\nConnection: close\r\n\r\n`),
  )
  const { lastReason } = await dialling(t, panel)
  await lastReason(/302/)
  t.equal(target.connections(), 0)
})

await t.test('each connection has a nonce of its own', async (t) => {
  const panel = await scriptedPanel(t, {
    on: (peer) => void peer.frame(0).then(() => peer.socket.close(1000)),
  })
  await dialling(t, panel)
  await until(() => panel.peers.length >= 8, 'eight connections')
  const nonces = panel.peers.slice(0, 7).map(({ frames: [challenge] }) => challenge)
  t.equal(new Set(nonces).size, 7)
})

await t.test('comes back after every break, quickly where sessions were stable', async (t) => {
  const panel = await scriptedPanel(t, {
    on: async (peer) => {
      await peer.accept(key)
      peer.socket.close(1012, 'restarting')
    },
  })
  // a delay that was never reset would be hours by then
  const { sessions, dialOut } = await dialling(t, panel, { times: { minMs: 1, maxMs: 2 ** 40, stableMs: 0 } })
  await until(() => sessions.length >= 40, 'forty sessions', 60_000)
  t.match(dialOut.state().lastClose, { code: 1012, reason: 'the panel closed the connection: restarting' })
  t.ok(sessions.slice(0, -1).every(({ closed }) => closed === 1))
})

await t.test('a panel that is gone without a word is found', async (t) => {
  const panel = await scriptedPanel(t, { on: (peer) => peer.accept(key), tls: false })
  const { sessions, dialOut, lastReason } = await dialling(t, panel, {
    times: { pingMs: 50, deadMs: 300, minMs: 60_000, maxMs: 60_000 },
  })
  await until(() => sessions.length === 1, 'a session')
  const peer = await panel.peer(0)
  let pings = 0
  peer.socket.on('ping', () => pings++)
  await until(() => pings >= 20, 'more pings than a silent peer would get')
  t.equal(dialOut.state().state, 'connected', 'one that only answers pings lives')
  peer.socket.pause()
  await lastReason(/no sign of life/)
  t.equal(sessions[0]?.closed, 1)
  t.equal(dialOut.state().state, 'connecting')
})

await t.test('stop ends it whatever it is at', async (t) => {
  const cases = [
    { it: 'in a session', on: (peer: Peer) => peer.accept(key), wait: 3 },
    { it: 'in the handshake', on: () => undefined, wait: 1 },
  ]
  for (const { it, on, wait } of cases)
    await t.test(it, async (t) => {
      const panel = await scriptedPanel(t, { on })
      const { dialOut } = await dialling(t, panel)
      const peer = await panel.peer(0)
      await peer.frame(wait - 1)
      await dialOut.stop()
      await until(() => peer.closed, 'the end')
      if (wait === 3) t.match(peer.closed, { code: 1012, reason: 'restarting' })
      const count = panel.connections()
      await dialOut.stop()
      t.equal(panel.connections(), count)
    })
  await t.test('between two attempts', async (t) => {
    const panel = await scriptedPanel(t, { on: (peer) => peer.socket.terminate() })
    const { dialOut, lastReason } = await dialling(t, panel, { times: { minMs: 600_000, maxMs: 600_000 } })
    await lastReason(/broke/)
    await dialOut.stop()
    t.pass('at once')
  })
  await t.test('while it connects', async (t) => {
    const silent = createServer((socket) => void socket.on('error', () => undefined).resume())
    await once(silent.listen(0, '127.0.0.1'), 'listening')
    t.teardown(() => silent.close())
    const { port } = silent.address() as AddressInfo
    const asked = once(silent, 'connection')
    const { dialOut } = await dialling(t, { url: `ws://127.0.0.1:${port}`, pins: null })
    await asked
    await dialOut.stop()
    t.pass('at once')
  })
})
