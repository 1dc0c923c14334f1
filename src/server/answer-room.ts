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
    const gate = new AnswerGate(link, (own) => this.#hasRoom(own), {
      frameBytes: this.#frameBytes,
      onClosed: () => this.#gates.delete(gate),
    })
    this.#gates.add(gate)
    return gate
  }

  #hasRoom(ownBytes: number): boolean {
    if (ownBytes === 0) return true
    const next = this.#frameBytes
    if (ownBytes + next > FRAMES_A_SESSION * next) return false
    let bytes = next
    for (const gate of this.#gates) bytes += gate.bytes
    return bytes <= FRAMES_A_HOST * next
  }
}

/** Lets the calls of one session begin that only ask: each when there is room for the largest answer. */
export class AnswerGate {
  readonly #link: Outgoing
  readonly #hasRoom: (ownBytes: number) => boolean
  readonly #frameBytes: number
  readonly #onClosed: () => void
  readonly #waiting = new Set<() => void>()
  readonly #closed = new AbortController()
  #entered = 0

  constructor(
    link: Outgoing,
    hasRoom: (ownBytes: number) => boolean,
    { frameBytes, onClosed }: { frameBytes: number; onClosed: () => void },
  ) {
    this.#link = link
    this.#hasRoom = hasRoom
    this.#frameBytes = frameBytes
    this.#onClosed = onClosed
  }

  /** What it holds: made answers as they are, those to come at their largest. */
  get bytes(): number {
    return this.#link.bufferedBytes() + this.#entered * this.#frameBytes
  }

  /** Runs a task, which sends its answer, as soon as there is room. Rejects when it is told to end before. */
  async run(signal: AbortSignal, task: () => Promise<void>): Promise<void> {
    if (this.#waiting.size > 0 || !this.#hasRoom(this.bytes))
      await this.#turn(AbortSignal.any([signal, this.#closed.signal]))
    else this.#entered++
    try {
      await task()
    } finally {
      this.#entered--
      this.look()
    }
  }

  /** Lets in those for whom there is room now. */
  look(): void {
    for (const enter of this.#waiting) {
      if (!this.#hasRoom(this.bytes)) return
      this.#entered++
      this.#waiting.delete(enter)
      enter()
    }
  }

  /** Nobody is let in any more. */
  close(): void {
    this.#closed.abort(new AgentError('CANCELLED', 'the connection ended'))
    this.#onClosed()
  }

  #turn(signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const enter = () => {
        signal.removeEventListener('abort', leave)
        resolve()
      }
      const leave = () => {
        this.#waiting.delete(enter)
        reject(signal.reason as Error)
      }
      if (signal.aborted) return leave()
      signal.addEventListener('abort', leave, { once: true })
      this.#waiting.add(enter)
    })
  }
}
