import { lchownSync, lstatSync, unlinkSync } from 'node:fs'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { isoTime } from '../../lib/iso-time.ts'
import { processStart } from '../../lib/process-start.ts'
import { sleep } from '../../lib/sleep.ts'
import type { Logger } from '../../logger.ts'
import { AgentError } from '../../protocol/errors.ts'
import { FrameParser, type Hello, type ListenerEvent } from './listener-frames.ts'
import { type ListenerPosition, type PoolGap, PoolSequence } from './listener-sequence.ts'

const HELLO_MS = 5_000
const CLOSE_MS = 1_000
const READY = 'READY\n'
const RESULT = 'RESULT 2\nOK'

export interface ListenerStatus {
  connected: boolean
  /** Since when it is as `connected` says, ISO 8601. */
  since: string | null
  /** Events of our listener that never came, seen as holes in `poolserial`. */
  lost: number
  lastEventAt: string | null
  shimPid: number | null
  supervisordPid: number | null
  /** The last event that was dealt with; hand it to the next run as `position`. */
  position: ListenerPosition | null
}

export interface ListenerServerDeps {
  socketPath: string
  /** supervisord's uid, when it is not ours: it becomes the socket's owner. */
  uid?: number
  logger: Logger
  /** Where an earlier run of the agent stopped: no event up to there comes again, and a hole after it shows. */
  position?: ListenerPosition | null
  /** supervisord gets its answer, and then the next event, when this has ended; the position is then reached. */
  onEvent(event: ListenerEvent, position: ListenerPosition): void | Promise<void>
  onConnected(hello: Hello): void
  /** Events were missed: what is known of the processes must be read anew. */
  onGap(gap: PoolGap): void
  /** supervisord counts from the start again: it, or our listener's group, is a new one. */
  onReset?(): void
  onDisconnected(): void
}

/**
 * The agent's end of the event listener: speaks READY and RESULT to the shim on a unix socket. Each event is
 * passed on once per run of supervisord, in order, one at a time, and is answered only after it was dealt with.
 * One shim is served; a newer one takes its place.
 */
export class ListenerServer {
  readonly #deps: ListenerServerDeps
  readonly #sequence: PoolSequence
  #server: Server | null = null
  readonly #sockets = new Set<Socket>()
  #shim: { socket: Socket; hello: Hello } | null = null
  /** Events wait here, also across connections: one that is handed over again comes after its first time. */
  #queue: Promise<void> = Promise.resolve()
  #since: string | null = null
  #lastEventAt: string | null = null
  #stopping = false
  #arrived = () => {}
  readonly #arrival = new Promise<void>((resolve) => {
    this.#arrived = resolve
  })

  constructor(deps: ListenerServerDeps) {
    this.#deps = deps
    this.#sequence = new PoolSequence(deps.position ?? null)
  }

  /** @throws {AgentError} INTERNAL when the path is taken by a living agent or by something that is no socket */
  async start(): Promise<void> {
    await removeStaleSocket(this.#deps.socketPath)
    this.#stopping = false
    const server = createServer((socket) => this.#accept(socket))
    await listenPrivately(server, this.#deps.socketPath, this.#deps.uid)
    this.#server = server.on('error', (error) => this.#deps.logger.error({ err: error }, 'cannot accept'))
  }

  /** Ends the event in hand and closes. No READY goes out after this call: supervisord keeps what comes. */
  async stop(): Promise<void> {
    this.#stopping = true
    const server = this.#server
    this.#server = null
    if (!server) return
    const closed = new Promise<void>((resolve) => server.close(() => resolve()))
    await this.#queue
    const ends = Array.from(this.#sockets, async (socket) => {
      socket.end()
      socket.setTimeout(CLOSE_MS, () => socket.destroy())
      await new Promise((resolve) => socket.once('close', resolve))
    })
    await Promise.all([closed, ...ends])
  }

  /**
   * Waits for the shim when an earlier run knew one, so that what it kept is known before anything else: longer
   * while the supervisord of that run is alive, whose shim comes as soon as the host has time for it.
   * @returns true when it came and hands over all since then
   */
  async resumed(waits: { aliveMs: number; unseenMs: number }): Promise<boolean> {
    const { position } = this.#deps
    if (!position) return false
    const { supervisord, started } = position
    const isAlive = processStart(supervisord)?.startTicks === String(started)
    if (!this.#shim) await Promise.race([this.#arrival, sleep(isAlive ? waits.aliveMs : waits.unseenMs)])
    const hello = this.#shim?.hello
    return position.supervisord === hello?.supervisord && position.started === hello.started
  }

  status(): ListenerStatus {
    return {
      connected: this.#shim !== null,
      since: this.#since,
      lost: this.#sequence.lost,
      lastEventAt: this.#lastEventAt,
      shimPid: this.#shim?.hello.pid ?? null,
      supervisordPid: this.#shim?.hello.supervisord ?? null,
      position: this.#sequence.position,
    }
  }

  #accept(socket: Socket): void {
    this.#sockets.add(socket)
    const parser = new FrameParser({
      onHello: (hello) => {
        clearTimeout(patience)
        this.#greet(socket, hello)
      },
      onEvent: (event) => {
        this.#queue = this.#queue
          .then(() => this.#take(socket, event))
          .catch((error) => {
            socket.destroy(error)
          })
      },
    })
    const patience = setTimeout(() => socket.destroy(new Error('it did not say what it is')), HELLO_MS)
    socket.on('data', (chunk) => {
      try {
        parser.push(chunk)
      } catch (error) {
        socket.destroy(error instanceof Error ? error : new Error(String(error)))
      }
    })
    socket.on('error', (error) =>
      this.#deps.logger.warn({ reason: error.message }, 'event listener: connection failed'),
    )
    socket.on('close', () => {
      clearTimeout(patience)
      this.#sockets.delete(socket)
      if (this.#shim?.socket === socket) this.#leave()
    })
  }

  #greet(socket: Socket, hello: Hello): void {
    const before = this.#shim
    this.#shim = { socket, hello }
    before?.socket.destroy()
    this.#since = isoTime()
    this.#queue = this.#queue.then(() => this.#sequence.begin(hello))
    this.#deps.logger.info({ pid: hello.pid, supervisord: hello.supervisord }, 'event listener connected')
    this.#deps.onConnected(hello)
    this.#arrived()
    if (!hello.ready && !hello.pending) this.#answer(socket, READY)
  }

  #leave(): void {
    this.#shim = null
    this.#since = isoTime()
    this.#deps.logger.info('event listener disconnected')
    this.#deps.onDisconnected()
  }

  async #take(socket: Socket, event: ListenerEvent): Promise<void> {
    // Its answer could not go out, so it is not begun: the shim will hand it over again.
    if (this.#stopping || this.#shim?.socket !== socket) return
    const place = this.#sequence.place(event)
    if (place.kind !== 'duplicate') {
      this.#lastEventAt = isoTime()
      if (place.kind === 'reset') this.#deps.onReset?.()
      if (place.gap) this.#report(place.gap)
      await this.#pass(event)
      this.#sequence.done(event)
    }
    this.#answer(socket, this.#stopping ? RESULT : RESULT + READY)
  }

  /** A consumer that fails must not stop the stream: the event counts as lost. */
  async #pass(event: ListenerEvent): Promise<void> {
    try {
      await this.#deps.onEvent(event, this.#sequence.after(event))
    } catch (error) {
      this.#deps.logger.error(
        { err: error, event: event.name, serial: event.serial },
        'event listener: event failed',
      )
      this.#report(this.#sequence.drop(event))
    }
  }

  #report(gap: PoolGap): void {
    this.#deps.logger.warn({ ...gap }, 'event listener: events were lost')
    this.#deps.onGap(gap)
  }

  #answer(socket: Socket, tokens: string): void {
    if (this.#shim?.socket === socket && socket.writable && !(this.#stopping && tokens === READY))
      socket.write(tokens)
  }
}

/** Node binds within `listen`, so the umask rules over the socket from its first moment. */
async function listenPrivately(server: Server, path: string, uid?: number): Promise<void> {
  const umask = process.umask(0o177)
  try {
    server.listen(path)
  } finally {
    process.umask(umask)
  }
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.once('listening', () => {
      server.off('error', reject)
      resolve()
    })
  })
  if (uid !== undefined && process.getuid?.() === 0 && uid !== 0) lchownSync(path, uid, -1)
}

async function removeStaleSocket(path: string): Promise<void> {
  const found = lstatSync(path, { throwIfNoEntry: false })
  if (!found) return
  if (!found.isSocket())
    throw new AgentError('INTERNAL', `${path} is not a socket: move it away, the agent listens there`, {
      facts: { path },
    })
  if (await answers(path))
    throw new AgentError('INTERNAL', `another agent answers on ${path}: stop it first`, { facts: { path } })
  unlinkSync(path)
}

function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path)
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', (error: NodeJS.ErrnoException) =>
      resolve(error.code !== 'ECONNREFUSED' && error.code !== 'ENOENT'),
    )
  })
}
