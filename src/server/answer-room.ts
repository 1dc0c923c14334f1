import { AgentError } from '../protocol/errors.ts'
import type { Limits } from './limits.ts'

/** Answers of one session that are being made or that nobody has read, in frames of the largest size. */
const FRAMES_A_SESSION = 4
/** Those of all sessions; over it each session gets one at a time, and none while it has not read the last. */
const FRAMES_A_HOST = 32

/** What a session has on its way out. */
interface Outgoing {
  bufferedBytes(): number
}

/** Memory for the answers of all sessions: readers that do not read cost tens of megabytes, however many they are. */
export class AnswerRoom {
  readonly #frameBytes: number
  readonly #gates = new Set<AnswerGate>()

  constructor({ frameOutBytes }: Pick<Limits, 'frameOutBytes'>) {
    this.#frameBytes = frameOutBytes
  }

  /** The gate of a new session, to be closed with it. */
  gate(link: Outgoing): AnswerGate {
    const gate: AnswerGate = new AnswerGate(link, (bytesOf) => this.#hasRoom(gate, bytesOf), {
      frameBytes: this.#frameBytes,
      onClosed: () => this.#gates.delete(gate),
    })
    this.#gates.add(gate)
    return gate
  }

  #hasRoom(own: AnswerGate, bytesOf: BytesOf): boolean {
    const ownBytes = bytesOf(own)
    if (ownBytes === 0) return true
    const next = this.#frameBytes
    if (ownBytes + next > FRAMES_A_SESSION * next) return false
    let bytes = next
    for (const gate of this.#gates) bytes += bytesOf(gate)
    return bytes <= FRAMES_A_HOST * next
  }
}

/** What counts of a gate. */
type BytesOf = (gate: AnswerGate) => number

const heldBytes: BytesOf = (gate) => gate.bytes
const unreadBytes: BytesOf = (gate) => gate.unreadBytes

/** Lets the calls of one session begin: each when there is room for the largest answer. */
export class AnswerGate {
  readonly #link: Outgoing
  readonly #hasRoom: (bytesOf: BytesOf) => boolean
  readonly #frameBytes: number
  readonly #onClosed: () => void
  /** Calls that only ask. */
  readonly #asking = new Set<() => void>()
  /** Those that change something. */
  readonly #changing = new Set<() => void>()
  readonly #closed = new AbortController()
  #entered = 0

  constructor(
    link: Outgoing,
    hasRoom: (bytesOf: BytesOf) => boolean,
    { frameBytes, onClosed }: { frameBytes: number; onClosed: () => void },
  ) {
    this.#link = link
    this.#hasRoom = hasRoom
    this.#frameBytes = frameBytes
    this.#onClosed = onClosed
  }

  /** What it holds: made answers as they are, those of calls that only ask and are under way at their largest. */
  get bytes(): number {
    return this.unreadBytes + this.#entered * this.#frameBytes
  }

  get unreadBytes(): number {
    return this.#link.bufferedBytes()
  }

  /** Runs a task that only asks and sends its answer, as soon as there is room. Rejects when it is told to end before. */
  async ask(signal: AbortSignal, task: () => Promise<void>): Promise<void> {
    if (this.#asking.size > 0 || !this.#hasRoom(heldBytes)) await this.#turn(this.#asking, signal)
    else this.#entered++
    try {
      await task()
    } finally {
      this.#entered--
      this.look()
    }
  }

  /**
   * Runs a task that changes something, as soon as enough is read of what was answered. It waits for no call that is
   * under way, and none waits for it: it may take an hour. Rejects when it is told to end before.
   */
  async change(signal: AbortSignal, task: () => Promise<void>): Promise<void> {
    if (this.#changing.size > 0 || !this.#hasRoom(unreadBytes)) await this.#turn(this.#changing, signal)
    await task()
  }

  /** Lets in those for whom there is room now. */
  look(): void {
    for (const enter of this.#changing) {
      if (!this.#hasRoom(unreadBytes)) break
      this.#changing.delete(enter)
      enter()
    }
    for (const enter of this.#asking) {
      if (!this.#hasRoom(heldBytes)) return
      this.#entered++
      this.#asking.delete(enter)
      enter()
    }
  }

  /** Nobody is let in any more. */
  close(): void {
    this.#closed.abort(new AgentError('CANCELLED', 'the connection ended'))
    this.#onClosed()
  }

  #turn(waiting: Set<() => void>, caller: AbortSignal): Promise<void> {
    const signal = AbortSignal.any([caller, this.#closed.signal])
    return new Promise((resolve, reject) => {
      const enter = () => {
        signal.removeEventListener('abort', leave)
        resolve()
      }
      const leave = () => {
        waiting.delete(enter)
        reject(signal.reason as Error)
      }
      if (signal.aborted) return leave()
      signal.addEventListener('abort', leave, { once: true })
      waiting.add(enter)
    })
  }
}
