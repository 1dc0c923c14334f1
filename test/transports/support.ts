import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { AuthFailures } from '../../src/core/access/auth-failures.ts'
import { ClientAddresses } from '../../src/core/access/client-address.ts'
import type { Principal } from '../../src/core/access/principal.ts'
import { TokenStore } from '../../src/core/access/tokens.ts'
import { createLogger } from '../../src/logger.ts'
import type { Limits } from '../../src/server/limits.ts'
import type { Link, LinkUser } from '../../src/server/link.ts'
import { Gate } from '../../src/transports/gate.ts'
import { type Health, HttpTransport, type ListenOptions } from '../../src/transports/http.ts'
import { WebSocketTransport } from '../../src/transports/websocket.ts'
import { until } from '../fixtures/wait.ts'

interface Test {
  teardown(undo: () => unknown): void
}

export async function folder(t: Test): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'tr-'))
  t.teardown(() => rm(path, { recursive: true, force: true }))
  return path
}

/** A session that sends back what it receives, and what became of it. */
export interface Echo {
  link: Link
  principal: Principal
  received: string[]
  drained: number
  inputEnded: number
  closed: number
}

/** `open` for a transport: echoing sessions, collected in the order of opening. */
export function echoes(): { sessions: Echo[]; open: (link: Link, principal: Principal) => LinkUser } {
  const sessions: Echo[] = []
  return {
    sessions,
    open(link, principal) {
      const echo: Echo = { link, principal, received: [], drained: 0, inputEnded: 0, closed: 0 }
      sessions.push(echo)
      link.send(Buffer.from('hello'))
      return {
        receive(text) {
          echo.received.push(text)
          if (text === 'throw') throw new Error('a defect')
          link.send(Buffer.from(text))
        },
        drained: () => void echo.drained++,
        inputEnded: () => {
          echo.inputEnded++
          link.close(1001, 'nothing more comes')
        },
        closed: () => void echo.closed++,
      }
    },
  }
}

interface Options {
  limits?: Partial<Limits>
  listen?: Partial<ListenOptions>
  health?: () => Health
  metrics?: () => string
  metricsOpenOnLoopback?: boolean
  allowedOrigins?: string[]
  trustedProxies?: string[]
  /** In place of echoing sessions. */
  open?: (link: Link, principal: Principal) => LinkUser
  /** Moves the minute in which failures are counted. */
  failuresNow?: () => number
}

/** Token store, HTTP and WebSocket on a free port, with echoing sessions and a token of every right. */
export async function listening(t: Test, options: Options = {}) {
  const lines: string[] = []
  const logger = createLogger('debug', { write: (line) => void lines.push(line) })
  const tokensPath = join(await folder(t), 'tokens.json')
  const tokens = new TokenStore({ path: tokensPath, logger })
  await tokens.start()
  const { token, record } = await tokens.create({ name: 'panel', role: 'admin' }, 'local:admin')
  const failures = new AuthFailures(options.failuresNow ? { now: options.failuresNow } : {})
  const addresses = new ClientAddresses({ trustedProxies: options.trustedProxies ?? [] })
  const gate = new Gate({ tokens, failures, addresses, logger })
  const limits = options.limits ?? {}
  const http = new HttpTransport({
    listen: { host: '127.0.0.1', port: 0, ...options.listen },
    gate,
    health: options.health ?? (() => 'ok'),
    metrics: options.metrics ?? (() => 'up 1\n'),
    metricsOpenOnLoopback: options.metricsOpenOnLoopback ?? false,
    logger,
    limits,
  })
  const { sessions, open: echo } = echoes()
  const { allowedOrigins = [], open = echo } = options
  const webSocket = new WebSocketTransport({
    http,
    gate,
    tokens,
    failures,
    allowedOrigins,
    open,
    logger,
    limits,
  })
  webSocket.start()
  await http.start()
  t.teardown(async () => {
    await webSocket.stop()
    await http.stop()
    await tokens.stop()
  })
  return {
    tokens,
    tokensPath,
    token,
    record,
    failures,
    http,
    webSocket,
    sessions,
    lines,
    port: http.address()?.port ?? 0,
  }
}

/** A TCP connection that keeps what it is sent. Gathers errors: a reset is a way to end. */
export class RawClient {
  readonly socket: Socket
  bytes = Buffer.alloc(0)
  readonly ended: Promise<void>

  constructor(socket: Socket) {
    this.socket = socket
    socket.on('data', (chunk) => {
      this.bytes = Buffer.concat([this.bytes, chunk])
    })
    socket.on('error', () => undefined)
    this.ended = new Promise((resolve) => socket.once('close', () => resolve()))
  }

  get status(): number {
    return Number(/^HTTP\/1\.1 (\d{3})/.exec(this.bytes.toString('latin1'))?.[1] ?? 0)
  }

  header(name: string): string | undefined {
    return new RegExp(`^${name}: (.*)\\r$`, 'im').exec(this.bytes.toString('latin1'))?.[1]
  }

  /** What the agent sent after the upgrade; masked where it is the one that dialled. */
  frames(): Array<{ opcode: number; payload: Buffer }> {
    let rest = this.bytes.subarray(this.bytes.indexOf('\r\n\r\n') + 4)
    const frames = []
    while (rest.length >= 2) {
      const [first = 0, second = 0] = rest
      const [isMasked, short] = [second >= 128, second & 127]
      const wide = short === 126 ? 2 : short === 127 ? 8 : 0
      if (rest.length < 2 + wide) break
      const length = wide === 0 ? short : wide === 2 ? rest.readUInt16BE(2) : Number(rest.readBigUInt64BE(2))
      const at = 2 + wide + (isMasked ? 4 : 0)
      const payload = rest.subarray(at, at + length)
      const mask = rest.subarray(at - 4, at)
      frames.push({
        opcode: first & 15,
        payload: isMasked
          ? Buffer.from(payload.map((byte, index) => byte ^ (mask[index % 4] ?? 0)))
          : payload,
      })
      rest = rest.subarray(at + length)
    }
    return frames
  }

  get closeCode(): number | undefined {
    const close = this.frames().find(({ opcode }) => opcode === 8)
    return close && close.payload.length >= 2 ? close.payload.readUInt16BE(0) : undefined
  }
}

/** Connects from `localAddress` and writes; anything of 127.0.0.0/8 serves as another client. */
export function raw(t: Test, port: number, text: string | Buffer, localAddress = '127.0.0.1'): RawClient {
  const client = new RawClient(connect({ port, host: '127.0.0.1', localAddress }))
  t.teardown(() => client.socket.destroy())
  client.socket.write(text)
  return client
}

/** An upgrade request; a header of null is left out, others replace or add. */
export function upgradeRequest(
  headers: Record<string, string | null> = {},
  line = 'GET /ws HTTP/1.1',
): string {
  const all = {
    Host: '127.0.0.1',
    Connection: 'Upgrade',
    Upgrade: 'websocket',
    'Sec-WebSocket-Version': '13',
    'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ==',
    ...headers,
  }
  const lines = Object.entries(all).flatMap(([name, value]) => (value === null ? [] : [`${name}: ${value}`]))
  return `${[line, ...lines].join('\r\n')}\r\n\r\n`
}

export const bearer = (token: string) => ({ Authorization: `Bearer ${token}` })

/** Resolves once the answer's head is there. */
export async function answered(client: RawClient): Promise<RawClient> {
  await until(() => client.bytes.includes('\r\n\r\n'), 'an answer')
  return client
}

/** A client after its upgrade. */
export async function upgraded(t: Test, port: number, token: string, from?: string): Promise<RawClient> {
  const client = await answered(raw(t, port, upgradeRequest(bearer(token)), from))
  if (client.status !== 101) throw new Error(`not upgraded: ${client.status}`)
  return client
}

interface FrameOptions {
  fin?: boolean
  reserved?: number
  masked?: boolean
  /** What the header claims, in place of the payload's length. */
  claims?: bigint
}

/** A frame as a client sends it; the mask is zero, so that the payload stays readable. */
export function frame(opcode: number, payload: Buffer | string = '', options: FrameOptions = {}): Buffer {
  const { fin = true, reserved = 0, masked = true, claims } = options
  const body = Buffer.from(payload)
  const length = claims ?? BigInt(body.length)
  const size = length < 126n ? Buffer.alloc(0) : length < 65536n ? Buffer.alloc(2) : Buffer.alloc(8)
  if (size.length === 2) size.writeUInt16BE(Number(length))
  if (size.length === 8) size.writeBigUInt64BE(length)
  const short = size.length === 0 ? Number(length) : size.length === 2 ? 126 : 127
  const head = Buffer.from([(fin ? 0x80 : 0) | reserved | opcode, (masked ? 0x80 : 0) | short])
  return Buffer.concat([head, size, ...(masked ? [Buffer.alloc(4)] : []), body])
}

/** A self-signed certificate for 127.0.0.1 and localhost, PEM. */
export async function certificate(t: Test): Promise<{ cert: string; key: string }> {
  const dir = await folder(t)
  const [keyPath, certPath] = [join(dir, 'key.pem'), join(dir, 'cert.pem')]
  const subject = [
    '-subj',
    '/CN=localhost',
    '-addext',
    'subjectAltName=IP:127.0.0.1,DNS:localhost',
    '-days',
    '2',
  ]
  const form = ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes']
  await promisify(execFile)('openssl', [...form, '-keyout', keyPath, '-out', certPath, ...subject])
  return { cert: await readFile(certPath, 'utf8'), key: await readFile(keyPath, 'utf8') }
}
