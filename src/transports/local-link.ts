import type { Socket } from 'node:net'
import type { Logger } from '../logger.ts'
import type { Link, LinkUser } from '../server/link.ts'
import { LineReader } from './line-reader.ts'
import { takenBytes } from './taken-bytes.ts'

const CLOSE_MS = 2000
const NEWLINE = Buffer.from('\n')

/** A link over a unix socket: a line is a frame. Delivers nothing after its end was decided, by whichever side. */
export class LocalLink implements Link {
  readonly remote: string
  readonly #socket: Socket
  readonly #logger: Logger
  #isEnding = false

  constructor(deps: { remote: string; socket: Socket; logger: Logger }) {
    this.remote = deps.remote
    this.#socket = deps.socket
    this.#logger = deps.logger
  }

  /**
   * Delivers to whom `open` names from now on. A line over `maxBytes` or not of UTF-8 ends the connection.
   * Resolves when the connection has ended and its user was told.
   */
  async serve(open: (link: Link) => LinkUser, maxBytes: number): Promise<void> {
    this.#socket.on('error', (error) =>
      this.#logger.debug({ reason: error.message }, 'local connection failed'),
    )
    const closed = new Promise((resolve) => this.#socket.once('close', resolve))
    const user = this.#guarded(() => open(this))
    if (user !== undefined) {
      const reader = new LineReader(maxBytes)
      this.#socket.on('data', (chunk: Buffer) => this.#guarded(() => this.#deliver(user, reader, chunk)))
      this.#socket.once('end', () => this.#guarded(() => this.#inputEnded(user)))
      this.#socket.on('drain', () => this.#isEnding || this.#guarded(() => user.drained()))
    }
    await closed
    this.#isEnding = true
    this.#guarded(() => user?.closed())
  }

  send(frame: Buffer): void {
    if (this.#isEnding || !this.#socket.writable) return
    this.#socket.cork()
    this.#socket.write(frame)
    this.#socket.write(NEWLINE)
    this.#socket.uncork()
  }

  bufferedBytes(): number {
    return this.#socket.writableLength
  }

  takenBytes(): number {
    return takenBytes(this.#socket)
  }

  /** A unix socket has no close codes: what was sent arrives, then the end. */
  close(): void {
    if (this.#isEnding) return
    this.#isEnding = true
    this.#socket.end()
    setTimeout(() => this.#socket.destroy(), CLOSE_MS).unref()
  }

  terminate(): void {
    this.#isEnding = true
    this.#socket.destroy()
  }

  #deliver(user: LinkUser, reader: LineReader, chunk: Buffer): void {
    if (this.#isEnding) return
    for (const line of this.#lines(reader, chunk)) {
      user.receive(line)
      if (this.#isEnding) return
    }
  }

  /**
   * The peer has shut down its writing side, or has gone: only a write tells which. A blank is white space before the
   * next answer to the one, and fails with the other.
   */
  #inputEnded(user: LinkUser): void {
    if (this.#isEnding) return
    user.inputEnded()
    if (!this.#isEnding) this.#socket.write(' ')
  }

  /** The lines of a chunk; a bad one ends the connection and the lines. */
  *#lines(reader: LineReader, chunk: Buffer): Generator<string> {
    try {
      yield* reader.push(chunk)
    } catch (error) {
      this.#logger.warn({ reason: String(error) }, 'local connection cut off')
      this.terminate()
    }
  }

  /** A defect of one session ends that session, not the agent. */
  #guarded<T>(task: () => T): T | undefined {
    try {
      return task()
    } catch (error) {
      this.#logger.error({ err: error }, 'a session failed')
      this.terminate()
      return undefined
    }
  }
}
