import { X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { createServer as createPlainServer } from 'node:http'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { type WebSocket, WebSocketServer } from 'ws'
import { Enrolment } from '../../src/core/panel/enrolment.ts'
import { panelPrincipal } from '../../src/core/panel/panel-principal.ts'
import { Pins } from '../../src/core/panel/pins.ts'
import { createLogger } from '../../src/logger.ts'
import { PANEL_SUBPROTOCOL, panelFrame } from '../../src/protocol/panel.ts'
import { DialOut, type DialOutTimes } from '../../src/transports/dialout.ts'
import { files, newKey, proof } from '../core/panel/support.ts'
import { until } from '../fixtures/wait.ts'
import { certificate, echoes } from './support.ts'

interface Test {
  teardown(undo: () => unknown): void
}

/** One connection of an agent, as a panel sees it. */
export class Peer {
  readonly socket: WebSocket
  readonly frames: string[] = []
  closed: { code: number; reason: string } | null = null

  constructor(socket: WebSocket) {
    this.socket = socket
    socket.on('message', (data: Buffer) => this.frames.push(data.toString()))
    socket.on('error', () => undefined)
    socket.on('close', (code, reason) => {
      this.closed = { code, reason: reason.toString() }
    })
  }

  /** A frame of the agent; `closed` when it ended before that one. */
  async frame(index: number): Promise<string> {
    return await until(
      () => this.frames[index] ?? (this.closed ? 'closed' : ''),
      `frame ${index} of the agent`,
    )
  }

  /** Proves to be the panel, takes whatever the agent shows, and bids it welcome. */
  async accept(key = newKey()): Promise<void> {
    this.socket.send(panelFrame('panel.proof', proof(await this.frame(0), key)))
    await this.frame(1)
    this.socket.send(panelFrame('panel.welcome', {}))
    await this.frame(2)
  }
}

interface PanelOptions {
  /** What it does with each connection. */
  on: (peer: Peer) => Promise<void> | void
  tls?: boolean
  maxVersion?: 'TLSv1.2'
  subprotocol?: string | false
}

/** A panel in this process that does what a test says, and notes every byte that it gets of an agent. */
export async function scriptedPanel(t: Test, options: PanelOptions) {
  const pair = options.tls === false ? null : await certificate(t)
  const { maxVersion } = options
  const server = pair ? createServer({ ...pair, ...(maxVersion ? { maxVersion } : {}) }) : createPlainServer()
  const bytes: Buffer[] = []
  let connections = 0
  server.on('connection', () => connections++)
  server.on(pair ? 'secureConnection' : 'connection', (socket) => {
    socket.prependListener('data', (chunk: Buffer) => bytes.push(chunk))
  })
  const sockets = new WebSocketServer({
    server,
    handleProtocols: (offered) =>
      options.subprotocol ?? (offered.has(PANEL_SUBPROTOCOL) && PANEL_SUBPROTOCOL),
  })
  const peers: Peer[] = []
  sockets.on('connection', (socket) => {
    const peer = new Peer(socket)
    peers.push(peer)
    // what breaks off is seen by the test in what the agent does then
    void Promise.resolve(options.on(peer)).catch(() => undefined)
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  t.teardown(() => {
    for (const { socket } of peers) socket.terminate()
    server.closeAllConnections()
    server.close()
  })
  const { port } = server.address() as AddressInfo
  return {
    url: `${pair ? 'wss' : 'ws'}://127.0.0.1:${port}/agents`,
    pins: pair && Pins.parse(new X509Certificate(pair.cert).fingerprint256),
    peers,
    server,
    connections: () => connections,
    received: () => Buffer.concat(bytes).toString('latin1'),
    peer: (index: number) => until(() => peers[index], `connection ${index}`),
  }
}

export const JOIN = 'agj_a-join-token-that-must-not-leak'

const QUICK: Partial<DialOutTimes> = { minMs: 10, maxMs: 50 }

/** A dial-out with a join token, and echoing sessions. */
export async function dialling(
  t: Test,
  address: { url: string; pins: Pins | null },
  options: { times?: Partial<DialOutTimes>; handshakeMs?: number; joinToken?: boolean } = {},
) {
  const paths = await files(t)
  if (options.joinToken !== false) writeFileSync(paths.joinTokenFile, JOIN, { mode: 0o600 })
  const { sessions, open } = echoes()
  const lines: string[] = []
  const dialOut = new DialOut({
    address,
    enrolment: new Enrolment({ files: paths, agent: 'web-1', version: '1.0.0' }),
    principal: panelPrincipal({ role: 'operator', scopes: [], programs: ['*'], users: [] }),
    open,
    logger: createLogger('debug', { write: (line) => void lines.push(line) }),
    times: { ...QUICK, ...options.times },
    ...(options.handshakeMs === undefined ? {} : { limits: { handshakeMs: options.handshakeMs } }),
  })
  t.teardown(() => dialOut.stop())
  dialOut.start()
  return {
    dialOut,
    sessions,
    ...paths,
    log: () => lines.join(''),
    lastReason: async (wanted: RegExp) =>
      await until(
        () => {
          const { lastClose } = dialOut.state()
          return wanted.test(lastClose?.reason ?? '') ? lastClose : null
        },
        `a close for ${wanted}; it is ${JSON.stringify(dialOut.state())}`,
      ),
  }
}
