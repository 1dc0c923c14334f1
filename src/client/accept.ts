// The panel's half of a connection that an agent opened. Once both have proved themselves, the agent is the server of
// it and this side the client, as if this side had dialled.
import { createHash, createPrivateKey, createPublicKey, type KeyObject, sign } from 'node:crypto'
import { CLOSE, LIMITS } from '../protocol/limits.ts'
import { type PanelMessage, panelFrame, proofText, readPanelFrame } from '../protocol/panel.ts'
import { parseToken } from '../protocol/token.ts'
import { type AgentClient, openClient } from './client.ts'
import { ConnectionError } from './connection-error.ts'
import { type NodeSocket, wireOf } from './node-wire.ts'
import { closedWith } from './refusals.ts'
import type { Dial } from './wire.ts'

/** Who says to be at the other end. */
export interface AgentClaim {
  /** Names the credential; not secret. */
  id: string
  /** SHA-256 of the credential, hex: what a panel keeps of it. */
  hash: string
  /** The agent's own name and version: as it says. */
  agent: string
  version: string
}

export interface AcceptOptions {
  /** The panel's Ed25519 key, which agents pin when they join; PEM (PKCS #8) or a key object. */
  key: string | KeyObject
  /** True when this credential is in force. Compare hashes in constant time. */
  login(claim: AgentClaim): boolean | Promise<boolean>
  /**
   * True when the join token is good, which it must never be again; the claim's credential is in force from then on.
   * What is kept must be on the disk before this returns.
   */
  join(claim: AgentClaim, joinToken: string): boolean | Promise<boolean>
  /** Longest handshake. Default 5 000. */
  timeoutMs?: number
}

export interface AcceptedAgent extends AgentClaim {
  client: AgentClient
}

/**
 * Takes over a WebSocket that an agent opened. Call it in the tick in which the socket was accepted.
 * @throws {ConnectionError} when the handshake fails; the socket is closed then
 */
export async function acceptAgent(socket: NodeSocket, options: AcceptOptions): Promise<AcceptedAgent> {
  const inbox = new Frames(socket)
  const timer = setTimeout(() => socket.terminate(), options.timeoutMs ?? LIMITS.handshakeMs)
  try {
    const { nonce } = expected(readPanelFrame(await inbox.next(), 'panel.challenge')).params
    socket.send(proofOf(nonce, options.key))
    const shown = expected(readPanelFrame(await inbox.next(), 'panel.login', 'panel.join'))
    const claim = claimOf(shown)
    const isTaken =
      shown.method === 'panel.join'
        ? await options.join(claim, shown.params.joinToken)
        : await options.login(claim)
    if (!isTaken) throw new Refusal(CLOSE.tokenEnded, 'the credential is unknown, used, expired or revoked')
    const client = await openClient(inbox.dial(panelFrame('panel.welcome', {})), { reconnect: false })
    return { ...claim, client }
  } catch (error) {
    const { code, message } = error instanceof Refusal ? error : new Refusal(CLOSE.goingAway, 'no session')
    socket.close(code, message)
    throw error instanceof ConnectionError
      ? error
      : new ConnectionError('protocol', `the agent was not accepted: ${String(error)}`, { cause: error })
  } finally {
    clearTimeout(timer)
  }
}

/** The public half of a panel's key, as agents keep it. */
export function panelKeyOf(key: string | KeyObject): string {
  const { x } = createPublicKey(privateKey(key)).export({ format: 'jwk' })
  if (x === undefined) throw new TypeError('a panel has an Ed25519 key')
  return x
}

class Refusal extends Error {
  readonly code: number

  constructor(code: number, message: string) {
    super(message)
    this.code = code
  }
}

function expected<T>(message: T | null): T {
  if (message === null) throw new Refusal(CLOSE.malformed, 'another message was expected')
  return message
}

function proofOf(nonce: string, key: string | KeyObject): string {
  const signature = sign(null, Buffer.from(proofText(nonce)), privateKey(key)).toString('base64url')
  return panelFrame('panel.proof', { publicKey: panelKeyOf(key), signature })
}

function privateKey(key: string | KeyObject): KeyObject {
  return typeof key === 'string' ? createPrivateKey(key) : key
}

function claimOf(
  shown:
    | { method: 'panel.join'; params: PanelMessage<'panel.join'> }
    | { method: 'panel.login'; params: PanelMessage<'panel.login'> },
): AgentClaim {
  const { agent, version } = shown.params
  if (shown.method === 'panel.join') return { id: shown.params.id, hash: shown.params.hash, agent, version }
  const parts = parseToken(shown.params.token)
  if (parts === null) throw new Refusal(CLOSE.malformed, 'the credential is malformed')
  return { id: parts.id, hash: createHash('sha256').update(shown.params.token).digest('hex'), agent, version }
}

/** The frames of the handshake one by one, and all later ones to the client. */
class Frames {
  readonly #socket: NodeSocket
  readonly #early: string[] = []
  #waiter: { resolve(frame: string): void; reject(error: Error): void } | null = null
  #ended: ConnectionError | null = null
  #take: ((frame: string) => void) | null = null

  constructor(socket: NodeSocket) {
    this.#socket = socket
    socket.on('message', (data, isBinary) => {
      if (isBinary) socket.close(CLOSE.binary)
      else this.#receive(String(data))
    })
    socket.on('error', () => undefined) // the close tells
    socket.on('close', (code) => {
      this.#ended = closedWith(Number(code))
      this.#waiter?.reject(this.#ended)
    })
  }

  next(): Promise<string> {
    const early = this.#early.shift()
    if (early !== undefined) return Promise.resolve(early)
    return new Promise((resolve, reject) => {
      if (this.#ended) throw this.#ended
      this.#waiter = { resolve, reject }
    })
  }

  /** A wire over the socket as it is; `welcome` is sent when somebody listens for what it brings. */
  dial(welcome: string): Dial {
    return async (user) => {
      if (this.#ended) throw this.#ended
      this.#take = (frame) => user.text(frame)
      this.#socket.on('ping', () => user.alive())
      this.#socket.on('close', (code) => user.closed(closedWith(Number(code))))
      this.#socket.send(welcome)
      return wireOf(this.#socket)
    }
  }

  #receive(frame: string): void {
    const waiter = this.#waiter
    if (this.#take) return this.#take(frame)
    if (!waiter) return void (this.#early.length < 2 ? this.#early.push(frame) : this.#socket.terminate())
    this.#waiter = null
    waiter.resolve(frame)
  }
}
