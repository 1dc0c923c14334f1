import { once } from 'node:events'
import { WebSocket } from 'ws'
import type { EventItem, FeedItem, GapItem, Process } from '../../src/client/index.ts'
import { Trail } from './trail.ts'

interface Frame {
  method?: string
  params: Omit<EventItem, 'kind'> | Omit<GapItem, 'kind'>
  result?: { epoch: string; seq: number; snapshot: { processes: Process[] } }
}

/** A subscriber to all events that sees every frame as it is sent; the typed client would hide one that comes twice. */
export class RawWatch {
  readonly trail = new Trail()
  readonly #socket: WebSocket
  #isOpen = true

  private constructor(socket: WebSocket) {
    this.#socket = socket
    socket.on('message', (data: Buffer) => this.#take(JSON.parse(data.toString())))
    socket.on('close', () => (this.#isOpen = false))
  }

  static async open(url: string, token: string): Promise<RawWatch> {
    const socket = new WebSocket(url, { headers: { Authorization: `Bearer ${token}` } })
    const watch = new RawWatch(socket)
    await once(socket, 'open')
    socket.send('{"jsonrpc":"2.0","id":1,"method":"event.subscribe","params":{}}')
    return watch
  }

  /** False once the connection has ended; it is not made anew. */
  get isOpen(): boolean {
    return this.#isOpen
  }

  close(): void {
    this.#socket.terminate()
  }

  #take({ method, params, result }: Frame): void {
    if (result) this.trail.take({ kind: 'snapshot', ...result, processes: result.snapshot.processes })
    else if (method === 'event' || method === 'gap') this.trail.take({ kind: method, ...params } as FeedItem)
  }
}
