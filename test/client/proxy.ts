import { once } from 'node:events'
import { connect, createServer, type Server, type Socket } from 'node:net'

interface Scope {
  teardown(task: () => unknown): void
}

/** A TCP proxy of loopback whose connections a test can cut or freeze. */
export class Proxy {
  readonly #port: () => number
  readonly #server: Server
  readonly #pairs = new Set<[Socket, Socket]>()
  /** New connections are cut at once while this is true. */
  isDown = false
  connections = 0

  constructor(port: () => number) {
    this.#port = port
    this.#server = createServer((client) => this.#accept(client))
  }

  get url(): string {
    return `ws://127.0.0.1:${(this.#server.address() as { port: number }).port}`
  }

  async start(): Promise<void> {
    this.#server.listen(0, '127.0.0.1')
    await once(this.#server, 'listening')
  }

  /** Ends every connection without a word. */
  cut(): void {
    for (const pair of this.#pairs) for (const socket of pair) socket.destroy()
  }

  /** Passes no byte any more, or none of the agent's, and ends nothing: as when a cable is pulled. */
  freeze(what: 'all' | 'answers' = 'all'): void {
    for (const [client, agent] of this.#pairs)
      for (const socket of what === 'all' ? [client, agent] : [agent]) {
        socket.unpipe()
        socket.resume()
      }
  }

  async stop(): Promise<void> {
    const closed = once(this.#server, 'close')
    this.#server.close()
    this.cut()
    await closed
  }

  #accept(client: Socket): void {
    this.connections++
    if (this.isDown) return void client.destroy()
    const agent = connect(this.#port(), '127.0.0.1')
    const pair: [Socket, Socket] = [client, agent]
    this.#pairs.add(pair)
    for (const socket of pair) {
      socket.on('error', () => undefined)
      socket.once('close', () => {
        this.#pairs.delete(pair)
        for (const other of pair) other.destroy()
      })
    }
    client.pipe(agent)
    agent.pipe(client)
  }
}

export async function proxy(t: Scope, port: () => number): Promise<Proxy> {
  const started = new Proxy(port)
  await started.start()
  t.teardown(() => started.stop())
  return started
}
