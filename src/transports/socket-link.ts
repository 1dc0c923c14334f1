import type { Socket } from 'node:net'
import type { RawData, WebSocket } from 'ws'
import type { Logger } from '../logger.ts'
import { CLOSE } from '../protocol/limits.ts'
import type { Link, LinkUser } from '../server/link.ts'
import { writeTextFrames } from './frame-writer.ts'
import { takenBytes } from './taken-bytes.ts'

/** A link over a WebSocket. Delivers nothing after its end was decided, by whichever side. */
export class SocketLink implements Link {
  readonly remote: string
  readonly #webSocket: WebSocket
  readonly #socket: Socket
  readonly #isServer: boolean
  readonly #logger: Logger
  #isEnding = false
  #ending: string | null = null
  /** What this turn of the event loop has sent. */
  #turn: Buffer[] = []
  #turnBytes = 0
  #bytesSeen = 0
  #aliveAt = 0

  constructor(deps: {
    remote: string
    webSocket: WebSocket
    socket: Socket
    /** A client has to mask what it sends (RFC 6455 5.3), which is left to `ws`. */
    isServer: boolean
    logger: Logger
  }) {
    this.#isServer = deps.isServer
    this.remote = deps.remote
    this.#webSocket = deps.webSocket
    this.#socket = deps.socket
    this.#logger = deps.logger
  }

  /** Why this side ended it; null when it did not. */
  get ending(): string | null {
    return this.#ending
  }

  /**
   * Delivers to whom `open` names from now on. Pings every `pingMs`; a peer that sends no byte for `deadMs` is cut off.
   * `onAlive` is called at each ping that finds signs of life since the last one.
   */
  serve(
    open: (link: Link) => LinkUser,
    times: { pingMs: number; deadMs: number },
    onAlive: () => void,
  ): void {
    this.#webSocket.on('error', (error) => this.#logger.debug({ reason: error.message }, 'bad frame'))
    const user = this.#guarded(() => open(this))
    if (user === undefined) return
    this.#aliveAt = performance.now()
    const heartbeat = setInterval(() => this.#beat(times.deadMs, onAlive), times.pingMs)
    heartbeat.unref()
    const drained = (): void => {
      if (!this.#isEnding) this.#guarded(() => user.drained())
    }
    this.#socket.on('drain', drained)
    this.#webSocket.on('message', (data, isBinary) => this.#deliver(user, data, isBinary))
    this.#webSocket.once('close', () => {
      this.#isEnding = true
      clearInterval(heartbeat)
      this.#socket.off('drain', drained)
      this.#guarded(() => user.closed())
    })
  }

  send(frame: Buffer): void {
    // in any other state `ws` would only count the bytes
    if (this.#webSocket.readyState !== this.#webSocket.OPEN) return
    if (this.#turn.length === 0) process.nextTick(() => this.#flush())
    this.#turn.push(frame)
    this.#turnBytes += frame.length
  }

  bufferedBytes(): number {
    return this.#turnBytes + this.#webSocket.bufferedAmount
  }

  takenBytes(): number {
    return takenBytes(this.#socket)
  }

  close(code: number, reason: string): void {
    this.#isEnding = true
    this.#ending ??= reason
    this.#flush()
    this.#webSocket.close(code, reason)
  }

  terminate(): void {
    this.#isEnding = true
    this.#webSocket.terminate()
  }

  /** What is sent in one turn of the event loop leaves in one write: a call of the kernel costs more than a frame. */
  #flush(): void {
    const frames = this.#turn
    this.#turn = []
    this.#turnBytes = 0
    // nothing may follow the close frame
    if (frames.length === 0 || this.#webSocket.readyState !== this.#webSocket.OPEN) return
    if (this.#isServer) return writeTextFrames(this.#socket, frames)
    this.#socket.cork()
    for (const frame of frames) this.#webSocket.send(frame, { binary: false })
    this.#socket.uncork()
  }

  #deliver(user: LinkUser, data: RawData, isBinary: boolean): void {
    if (this.#isEnding) return
    if (isBinary) return this.close(CLOSE.binary, 'text frames only')
    this.#guarded(() => user.receive((data as Buffer).toString()))
  }

  /** A defect of one session ends that session, not the agent. */
  #guarded<T>(task: () => T): T | undefined {
    try {
      return task()
    } catch (error) {
      this.#logger.error({ err: error }, 'a session failed')
      this.#ending ??= 'the session failed'
      this.terminate()
      return undefined
    }
  }

  #beat(deadMs: number, onAlive: () => void): void {
    const { bytesRead } = this.#socket
    if (bytesRead !== this.#bytesSeen) {
      this.#bytesSeen = bytesRead
      this.#aliveAt = performance.now()
      onAlive()
    } else if (performance.now() - this.#aliveAt >= deadMs) {
      this.#logger.info('no sign of life')
      this.#ending ??= `no sign of life for ${Math.round(deadMs / 1000)} s`
      return this.terminate()
    }
    if (!this.#isEnding) this.#webSocket.ping()
  }
}
