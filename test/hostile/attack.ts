import { randomBytes } from 'node:crypto'
import { until } from '../fixtures/wait.ts'
import { answered, bearer, frame, type RawClient, raw, upgradeRequest } from '../transports/support.ts'
import type { Target } from './target.ts'
import { Wire } from './wire.ts'

/** One thing that somebody may send, and what the outside must see of it. */
export interface Case {
  it: string
  /** `401`; `close 1009`; `INVALID_PARAMS -32602`; `ok`; `nothing`; several are joined by `, `. */
  expect: string
  send(attack: Attack): Promise<string>
  /** Takes seconds: it is sent once only. */
  isSlow?: true
}

/** Where a case starts from: addresses, keys and connections of its own, which end with it. */
export class Attack {
  readonly target: Target
  readonly #undo: (() => unknown)[] = []
  readonly #number: number

  /** `number` sets it apart from all others of the run. */
  constructor(target: Target, number: number) {
    this.target = target
    this.#number = number
  }

  get tokens(): Target['tokens'] {
    return this.target.tokens
  }

  /** Of loopback, of this case alone: failures of others do not bar it. */
  get address(): string {
    return `127.7.${this.#number >> 8}.${this.#number & 255}`
  }

  key(): string {
    return `hostile-${randomBytes(8).toString('hex')}`
  }

  teardown(task: () => unknown): void {
    this.#undo.push(task)
  }

  /** Ends every connection of the case. */
  async end(): Promise<void> {
    for (const task of this.#undo.splice(0)) await task()
  }

  bytes(content: string | Buffer, from = this.address): RawClient {
    const client = raw(this, this.target.port, content, from)
    client.socket.setNoDelay(true)
    return client
  }

  /** The status of the answer; `cut` when the connection ended without one. */
  async status(content: string | Buffer, from?: string): Promise<string> {
    const client = this.bytes(content, from)
    let isEnded = false
    void client.ended.then(() => (isEnded = true))
    await until(() => isEnded || client.bytes.includes('\r\n\r\n'), 'an answer')
    if (client.status === 101) return '101'
    await until(() => isEnded, 'the connection to end')
    return client.status === 0 ? 'cut' : String(client.status)
  }

  /** Resolves once the head of an answer is there. */
  async answered(client: RawClient): Promise<void> {
    await answered(client)
  }

  upgrade(headers: Record<string, string | null>, line?: string, from?: string): Promise<string> {
    return this.status(upgradeRequest(headers, line), from)
  }

  /** A session, after its hello. */
  async session(token: string): Promise<Wire> {
    const wire = new Wire(this.bytes(upgradeRequest(bearer(token))))
    await until(() => wire.texts().length > 0 || wire.isEnded, 'hello')
    if (wire.isEnded) throw new Error(`no session: ${wire.client.bytes.toString('latin1').slice(0, 80)}`)
    return wire
  }

  /** What becomes of one call. */
  async call(token: string, method: string, params: object): Promise<string> {
    return (await this.session(token)).call(method, params)
  }

  /** A call that restarts a process: what follows a bad frame must not be run. */
  trap(): Buffer {
    const params = { select: ['db'], idempotencyKey: this.key() }
    return frame(1, JSON.stringify({ jsonrpc: '2.0', id: 'trap', method: 'process.restart', params }))
  }
}
