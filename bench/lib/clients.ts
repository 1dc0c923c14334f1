// The barest clients, so that what is measured is the other side.
import { once } from 'node:events'
import { Agent, request } from 'node:http'
import { connect } from 'node:net'
import { WebSocket } from 'ws'

const NEWLINE = 0x0a

/** Sends one JSON-RPC request and resolves with the answer as text, unparsed. */
export interface Asker {
  ask(method: string, params?: Record<string, unknown>): Promise<string>
  close(): void
}

/** Over a unix socket of the agent, one frame a line. */
export async function localAsker(path: string): Promise<Asker> {
  const socket = connect(path)
  await once(socket, 'connect')
  let pending: { prefix: string; resolve: (text: string) => void } | null = null
  let ids = 0
  let pieces: Buffer[] = []
  socket.on('data', (chunk: Buffer) => {
    pieces.push(chunk)
    if (chunk.at(-1) !== NEWLINE) return
    const text = Buffer.concat(pieces).toString()
    pieces = []
    if (pending?.prefix !== undefined && text.includes(pending.prefix)) pending.resolve(text)
  })
  return {
    ask: (method, params = {}) =>
      new Promise((resolve) => {
        const id = `q${++ids}`
        pending = { prefix: `"id":"${id}"`, resolve }
        socket.write(`${JSON.stringify({ jsonrpc: '2.0', id, method, params })}\n`)
      }),
    close: () => socket.destroy(),
  }
}

/** Over a WebSocket; `onFrame` gets every frame that is no answer. */
export async function webSocketAsker(
  { url, token }: { url: string; token: string },
  onFrame: (frame: string) => void = () => undefined,
): Promise<Asker> {
  const socket = new WebSocket(`${url}/ws`, {
    headers: { Authorization: `Bearer ${token}` },
    perMessageDeflate: false,
  })
  const answers = new Map<string, (text: string) => void>()
  let ids = 0
  socket.on('message', (data: Buffer) => {
    const text = data.toString()
    const id = /^\{"jsonrpc":"2.0","id":"(q\d+)"/.exec(text)?.[1]
    if (id === undefined) return onFrame(text)
    answers.get(id)?.(text)
    answers.delete(id)
  })
  await once(socket, 'open')
  return {
    ask: (method, params = {}) =>
      new Promise((resolve) => {
        const id = `q${++ids}`
        answers.set(id, resolve)
        socket.send(JSON.stringify({ jsonrpc: '2.0', id, method, params }))
      }),
    close: () => socket.terminate(),
  }
}

/** Calls supervisord by plain HTTP over its unix socket, on a kept connection; the answer is read, not parsed. */
export class RawRpc {
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 1 })
  readonly #socketPath: string

  constructor(socketPath: string) {
    this.#socketPath = socketPath
  }

  /** @returns bytes of the answer */
  call(method: string): Promise<number> {
    const body = `<?xml version="1.0"?><methodCall><methodName>${method}</methodName><params/></methodCall>`
    return new Promise((resolve, reject) => {
      const post = request(
        {
          socketPath: this.#socketPath,
          path: '/RPC2',
          method: 'POST',
          agent: this.#agent,
          headers: { 'Content-Type': 'text/xml', 'Content-Length': Buffer.byteLength(body) },
        },
        (answer) => {
          let bytes = 0
          answer.on('data', (chunk: Buffer) => (bytes += chunk.length))
          answer.on('end', () => resolve(bytes))
          answer.on('error', reject)
        },
      )
      post.on('error', reject)
      post.end(body)
    })
  }

  close(): void {
    this.#agent.destroy()
  }
}
