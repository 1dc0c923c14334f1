import type { AgentEvent } from '../../protocol/events.ts'

/** What the ring holds: an event, or a hole in what we know. */
export interface Stored {
  readonly seq: number
  /** Null for a hole. */
  readonly type: string | null
  /** The program it is about; null when it concerns the host. */
  readonly program: string | null
  readonly sizeBytes: number
  frame(subscription: string, withLogs: boolean): Buffer
  /** Gives up the ready bytes, and keeps none from now on: few subscribers are that far behind. */
  forgetFrames(): void
}

/** Something happened that we cannot tell: subscribers must take a snapshot. */
export class StoredGap implements Stored {
  readonly seq: number
  readonly type = null
  readonly program = null
  readonly sizeBytes = 100
  readonly #epoch: string

  constructor(epoch: string, seq: number) {
    this.#epoch = epoch
    this.seq = seq
  }

  frame(subscription: string): Buffer {
    const { seq } = this
    const params = { subscription, epoch: this.#epoch, from: seq, to: seq }
    return Buffer.from(JSON.stringify({ jsonrpc: '2.0', method: 'gap', params }))
  }

  forgetFrames(): void {
    // it keeps none
  }
}

/** Subscriptions are counted per connection, so that nearly all share a handful of names. */
const FRAMES_MAX = 8

/** An event with its bytes: made once per variant, shared by every subscriber that may see that variant. */
export class StoredEvent implements Stored {
  readonly event: AgentEvent
  readonly type: string
  readonly seq: number
  readonly program: string | null
  readonly sizeBytes: number
  readonly #frames = new Map<string, Buffer>()
  #framesMax = FRAMES_MAX
  readonly #json: string

  constructor(event: AgentEvent) {
    this.event = event
    this.seq = event.seq
    this.type = event.type
    this.program = 'program' in event.payload ? event.payload.program : null
    this.#json = JSON.stringify(event)
    this.sizeBytes = this.#json.length + 200
  }

  /** The notification for a subscription; without `logs` the log tail is left out. */
  frame(subscription: string, withLogs: boolean): Buffer {
    const hasTail = 'logTail' in this.event.payload
    const key = hasTail && !withLogs ? `-${subscription}` : subscription
    const known = this.#frames.get(key)
    if (known) return known
    const json = key === subscription ? this.#json : JSON.stringify(withoutTail(this.event))
    const frame = Buffer.from(
      `{"jsonrpc":"2.0","method":"event","params":{"subscription":${JSON.stringify(subscription)},${json.slice(1)}}`,
    )
    if (this.#frames.size < this.#framesMax) this.#frames.set(key, frame)
    return frame
  }

  forgetFrames(): void {
    this.#framesMax = 0
    this.#frames.clear()
  }
}

function withoutTail(event: AgentEvent): unknown {
  const { logTail: _logTail, ...payload } = event.payload as { logTail?: string }
  return { ...event, payload }
}
