// Subscribers on plain sockets that count the frames they get by their headers.
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'

interface Start {
  port: number
  tokens: string[]
  subscribers: number
}

const TELL_MS = 5

const counters: FrameCounter[] = []

/** Counts whole frames of a stream that a server sends: unmasked, at most 64 KiB each. */
class FrameCounter {
  frames = 0
  #left = 0
  #head: Buffer = Buffer.alloc(0)

  take(data: Buffer): void {
    let at = 0
    while (at < data.length) {
      if (this.#left > 0) {
        const step = Math.min(this.#left, data.length - at)
        this.#left -= step
        at += step
        if (this.#left === 0) this.frames++
        continue
      }
      const head =
        this.#head.length > 0 ? Buffer.concat([this.#head, data.subarray(at, at + 4)]) : data.subarray(at)
      const short = (head[1] ?? 0) & 0x7f
      const size = short < 126 ? 2 : 4
      if (head.length < size) {
        this.#head = Buffer.from(head)
        return
      }
      at += size - this.#head.length
      this.#head = Buffer.alloc(0)
      this.#left = short < 126 ? short : head.readUInt16BE(2)
    }
  }
}

process.on('message', (message: Start | 'count') => {
  if (message === 'count') process.send?.({ count: counters.reduce((sum, { frames }) => sum + frames, 0) })
  else void begin(message)
})

async function begin({ port, tokens, subscribers }: Start): Promise<void> {
  for (let i = 0; i < subscribers; i++) await subscribe(port, tokens[i % tokens.length] ?? '')
  process.send?.('ready')
  setInterval(() => process.send?.({ slowest: Math.min(...counters.map(({ frames }) => frames)) }), TELL_MS)
}

async function subscribe(port: number, token: string): Promise<void> {
  const socket = connect(port, '127.0.0.1')
  await once(socket, 'connect')
  socket.write(
    `GET /ws HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n` +
      `Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nAuthorization: Bearer ${token}\r\n\r\n`,
  )
  await heard(socket, '"method":"hello"')
  socket.write(masked('{"jsonrpc":"2.0","id":1,"method":"event.subscribe","params":{}}'))
  await heard(socket, '"id":1,')
  const counter = new FrameCounter()
  counters.push(counter)
  socket.on('data', (data) => counter.take(data))
}

/** Reads until a text has come; what comes with it is whole frames, as nothing is published yet. */
async function heard(socket: Socket, text: string): Promise<void> {
  let all = ''
  while (!all.includes(text)) {
    const [data] = (await once(socket, 'data')) as [Buffer]
    all += data.toString('latin1')
  }
  if (!text.includes('hello')) return
  if (!all.startsWith('HTTP/1.1 101')) throw new Error(all.slice(0, 100))
}

/** A client's frame with a mask of zeros. */
function masked(text: string): Buffer {
  const length = Buffer.byteLength(text)
  if (length > 125) throw new Error('too long')
  return Buffer.concat([Buffer.from([0x81, 0x80 | length, 0, 0, 0, 0]), Buffer.from(text)])
}
