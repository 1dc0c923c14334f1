import * as z from 'zod'
import { type AgentEvent, WireEvent } from '../../protocol/events.ts'
import type { Source } from './journal.ts'

const Recorded = WireEvent.omit({ subscription: true }).strict()
/** An event as it comes back from the journal: of a type that perhaps only an earlier version had. */
type Recorded = z.infer<typeof Recorded>
const RecordedGap = z.object({ epoch: z.string(), seq: z.int(), gap: z.literal(true) })

/** What the ring holds: an event, or a hole in what we know. */
export interface Stored {
  readonly seq: number
  /** Null for a hole. */
  readonly type: string | null
  /** The program it is about; null when it concerns the host. */
  readonly program: string | null
  readonly sizeBytes: number
  frame(subscription: string, withLogs: boolean): Buffer
  /** Its line in the journal, with where its source stood. */
  record(source: Source | null): string
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

  record(source: Source | null): string {
    return JSON.stringify({ epoch: this.#epoch, seq: this.seq, gap: true, ...(source ? { source } : {}) })
  }

  forgetFrames(): void {
    // it keeps none
  }
}

/** Subscriptions are counted per connection, so that nearly all share a handful of names. */
const FRAMES_MAX = 8

/** An event with its bytes: made once per variant, shared by every subscriber that may see that variant. */
export class StoredEvent implements Stored {
  readonly event: AgentEvent | Recorded
  readonly type: string
  readonly seq: number
  readonly program: string | null
  readonly sizeBytes: number
  readonly #frames = new Map<string, Buffer>()
  #framesMax = FRAMES_MAX
  readonly #json: string

  constructor(event: AgentEvent | Recorded) {
    this.event = event
    this.seq = event.seq
    this.type = event.type
    const { program } = event.payload as { program?: unknown }
    this.program = typeof program === 'string' ? program : null
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

  record(source: Source | null): string {
    return source ? `${this.#json.slice(0, -1)},"source":${JSON.stringify(source)}}` : this.#json
  }

  forgetFrames(): void {
    this.#framesMax = 0
    this.#frames.clear()
  }
}

function withoutTail(event: AgentEvent | Recorded): unknown {
  const { logTail: _logTail, ...payload } = event.payload as { logTail?: string }
  return { ...event, payload }
}

/** An event back from its line in the journal; null for a line that is none. */
export function storedOf(text: string): Stored | null {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return null
  }
  const gap = RecordedGap.safeParse(value)
  if (gap.success) return new StoredGap(gap.data.epoch, gap.data.seq)
  const { source: _source, ...event } = Object(value) as Record<string, unknown>
  const recorded = Recorded.safeParse(event)
  return recorded.success ? new StoredEvent(recorded.data) : null
}
