import * as z from 'zod'
import { ERROR_CODES } from '../error-codes.ts'
import { until } from '../fixtures/wait.ts'
import { frame, type RawClient } from '../transports/support.ts'

const MARKER = 'after-all'

const Reply = z.looseObject({
  jsonrpc: z.literal('2.0'),
  id: z.union([z.string(), z.int(), z.null()]),
  result: z.record(z.string(), z.unknown()).optional(),
  error: z
    .strictObject({
      code: z.int(),
      message: z.string().max(2000),
      data: z.looseObject({ name: z.string(), retry: z.boolean() }),
    })
    .optional(),
})
export type Reply = z.infer<typeof Reply>

const Notification = z.looseObject({ method: z.string(), params: z.record(z.string(), z.unknown()) })
export type Notification = z.infer<typeof Notification>

/** An upgraded connection, written to as somebody would who keeps no rule. */
export class Wire {
  readonly client: RawClient
  isEnded = false
  #calls = 0

  constructor(client: RawClient) {
    this.client = client
    void client.ended.then(() => (this.isEnded = true))
  }

  write(...parts: (Buffer | string)[]): void {
    for (const part of parts) this.client.socket.write(part)
  }

  send(text: string): void {
    this.write(frame(1, text))
  }

  /** Whole text frames that came so far, read as JSON. */
  texts(): unknown[] {
    if (!this.client.bytes.includes('\r\n\r\n')) return []
    return this.client.frames().flatMap(({ opcode, payload }) => (opcode === 1 ? parsed(payload) : []))
  }

  /** The answers among lines of text, as a unix socket gives them. */
  static repliesOf(lines: string): Reply[] {
    const values = lines.split('\n').flatMap((line) => parsed(Buffer.from(line)))
    return values.flatMap((value) => Reply.safeParse(value).data ?? [])
  }

  replies(): Reply[] {
    return this.texts().flatMap((value) => Reply.safeParse(value).data ?? [])
  }

  notifications(method: string): Notification[] {
    return this.texts()
      .flatMap((value) => Notification.safeParse(value).data ?? [])
      .filter((notification) => notification.method === method)
  }

  async reply(id: string | number | null): Promise<Reply> {
    return await until(
      () => this.replies().find((reply) => reply.id === id) ?? this.#unlessEnded(),
      `the answer to ${id}`,
    )
  }

  /** Calls and gives the answer whole. */
  async ask(method: string, params: object): Promise<Reply> {
    const id = `c${++this.#calls}`
    this.send(JSON.stringify({ jsonrpc: '2.0', id, method, params }))
    return await this.reply(id)
  }

  async call(method: string, params: object): Promise<string> {
    return wordOf(await this.ask(method, params))
  }

  /** What answers those frames, each of them answered or not: what comes before the answer to a last good call. */
  async answers(...frames: Buffer[]): Promise<string> {
    const before = this.replies().length
    const last = `${MARKER}-${++this.#calls}`
    this.write(...frames)
    this.send(JSON.stringify({ jsonrpc: '2.0', id: last, method: 'rpc.cancel', params: { id: 'nobody' } }))
    await this.reply(last)
    const words = this.replies().slice(before, -1).map(wordOf)
    return words.join(', ') || 'nothing'
  }

  /** How the connection ends. Answers a close as it should be, and waits until the agent has ended it. */
  async close(): Promise<string> {
    await until(() => this.isEnded || this.client.closeCode !== undefined, 'the connection to end')
    this.write(frame(8))
    await until(() => this.isEnded, 'the connection to end')
    const { closeCode } = this.client
    return closeCode === undefined ? 'cut' : `close ${closeCode}`
  }

  #unlessEnded(): undefined {
    if (this.isEnded) throw new Error('the connection ended')
  }
}

/** `ok`, or the error by name and by the code that came. A code that is not that of the name is a failure. */
export function wordOf({ result, error }: Reply): string {
  if (error === undefined) return result === undefined ? 'neither result nor error' : 'ok'
  const { code, data } = error
  return ERROR_CODES[data.name] === code ? `${data.name} ${code}` : `${data.name} with the wrong code ${code}`
}

function parsed(payload: Buffer): unknown[] {
  try {
    return [JSON.parse(payload.toString())]
  } catch {
    return [] // the rest of it is on its way
  }
}
