import { once } from 'node:events'
import { chmod, lchown, lstat, unlink } from 'node:fs/promises'
import { createConnection, createServer, type Server, type Socket } from 'node:net'
import type { Principal } from '../core/access/principal.ts'
import { seldom } from '../lib/seldom.ts'
import type { Logger } from '../logger.ts'
import { LIMITS } from '../protocol/limits.ts'
import type { Limits } from '../server/limits.ts'
import type { Link, LinkUser } from '../server/link.ts'
import { LocalLink } from './local-link.ts'

const END_MS = 1000
const ACCEPT_MS = 60_000
const SAME_OWNER = -1

/**
 * Serves a unix socket: one JSON-RPC object per line, each way. Whoever may open the socket is the principal,
 * so the file's mode is the authentication; at no moment is it more open than `mode`.
 */
export class LocalTransport {
  readonly #path: string
  readonly #mode: number
  readonly #gid: number | undefined
  readonly #principal: Principal
  readonly #open: (link: Link, principal: Principal) => LinkUser
  readonly #logger: Logger
  readonly #limits: Limits
  readonly #server: Server
  readonly #links = new Map<LocalLink, Promise<void>>()

  constructor(deps: {
    path: string
    mode: number
    gid?: number | undefined
    principal: Principal
    open: (link: Link, principal: Principal) => LinkUser
    logger: Logger
    limits?: Partial<Limits>
  }) {
    this.#path = deps.path
    this.#mode = deps.mode
    this.#gid = deps.gid
    this.#principal = deps.principal
    this.#open = deps.open
    this.#logger = deps.logger
    this.#limits = { ...LIMITS, ...deps.limits }
    // a peer that has said all may still read the answers
    this.#server = createServer({ allowHalfOpen: true })
  }

  /**
   * Makes the socket; one that a dead agent left behind is replaced. Where the group may not be given, a warning is
   * logged and it stays with the agent's own.
   * @throws {Error} when another agent answers on it, or something else is in its place
   */
  async start(): Promise<void> {
    await clearStale(this.#path)
    this.#server.maxConnections = this.#limits.connections
    this.#server.on('connection', (socket) => this.#begin(socket))
    const before = process.umask(0o177)
    try {
      this.#server.listen(this.#path) // binds before it returns: the umask is back before anything else runs
    } finally {
      process.umask(before)
    }
    await once(this.#server, 'listening')
    const failed = (error: Error) => this.#logger.error({ err: error }, 'cannot accept')
    this.#server.on('error', seldom(ACCEPT_MS, failed)) // comes again at once, as long as somebody waits
    if (this.#gid !== undefined) await this.#giveTo(this.#gid)
    await chmod(this.#path, this.#mode)
  }

  /** Sessions that live. */
  get sessions(): number {
    return this.#links.size
  }

  /** Ends every session in order, by force after a second, and removes the socket. */
  async stop(): Promise<void> {
    if (!this.#server.listening) return
    const closed = once(this.#server, 'close')
    this.#server.close()
    for (const link of this.#links.keys()) link.close()
    const timer = setTimeout(() => {
      for (const link of this.#links.keys()) link.terminate()
    }, END_MS)
    await Promise.all([closed, ...this.#links.values()])
    clearTimeout(timer)
  }

  async #giveTo(gid: number): Promise<void> {
    try {
      await lchown(this.#path, SAME_OWNER, gid)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EPERM') throw error
      this.#logger.warn(
        { path: this.#path, gid },
        'the socket stays with the own group: only root and members may give it to that one',
      )
    }
  }

  #begin(socket: Socket): void {
    const link = new LocalLink({ remote: this.#path, socket, logger: this.#logger })
    const ended = link.serve((peer) => this.#open(peer, this.#principal), this.#limits.frameInBytes)
    this.#links.set(
      link,
      ended.then(() => void this.#links.delete(link)),
    )
  }
}

async function clearStale(path: string): Promise<void> {
  const found = await lstat(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return null
    throw error
  })
  if (found === null) return
  if (!found.isSocket()) throw new Error(`${path} is in the way: it is not a socket`)
  if (await answers(path)) throw new Error(`${path}: another agent runs`)
  await unlink(path)
}

async function answers(path: string): Promise<boolean> {
  const socket = createConnection(path)
  try {
    await once(socket, 'connect')
    return true
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ECONNREFUSED' || code === 'ENOENT') return false
    throw error
  } finally {
    socket.destroy()
  }
}
