import * as z from 'zod'
import { type AgentEvent, GUARDED_FIELDS, guardOf, WireEvent } from '../../protocol/events.ts'
import type { Principal } from '../access/principal.ts'
import type { Source } from './journal-end.ts'

const Recorded = WireEvent.omit({ subscription: true }).strict()
/** An event as it comes back from the journal: of a type that perhaps only an earlier version had. */
type Recorded = z.infer<typeof Recorded>
const RecordedGap = z.object({
  epoch: z.string(),
  seq: z.int(),
  gap: z.literal(true),
  to: z.int().optional(),
})
/** How lines of the journal begin, up to the type where it is an event. */
const HEAD = /^\{(?:"epoch":"[^"]*",)?"seq":(\d+)[,}](?:"at":"[^"]*","type":"([^"]*)")?/

/** Rights that decide which fields are shown. */
type Viewer = Pick<Principal, 'scopes' | 'users'>

/** What a subscriber is told: an event, or a hole in what we know. */
export interface Sendable {
  readonly seq: number
  /** A hole can be wider than one number. */
  readonly last: number
  /** Null for a hole. */
  readonly type: string | null
  /** The program it is about; null when it concerns the host. */
  readonly program: string | null
  /** As it was published; null for a hole. */
  readonly payload: Readonly<Record<string, unknown>> | null
  frame(subscription: string, viewer: Viewer): Buffer
}

/** What the ring holds. */
export interface Stored extends Sendable {
  readonly sizeBytes: number
  /** Its line in the journal, with where its source stood. */
  record(source: Source | null): string
  /** Gives up the ready bytes, and keeps none from now on: few subscribers are that far behind. */
  forgetFrames(): void
}

/** Something happened that we cannot tell: subscribers must take a snapshot. */
export class StoredGap implements Stored {
  readonly seq: number
  readonly last: number
  readonly type = null
  readonly program = null
  readonly payload = null
  readonly sizeBytes = 100
  readonly #epoch: string

  constructor(epoch: string, seq: number, last: number = seq) {
    this.#epoch = epoch
    this.seq = seq
    this.last = last
  }

  frame(subscription: string): Buffer {
    const params = { subscription, epoch: this.#epoch, from: this.seq, to: this.last }
    return Buffer.from(JSON.stringify({ jsonrpc: '2.0', method: 'gap', params }))
  }

  record(source: Source | null): string {
    const { seq, last } = this
    return JSON.stringify({
      epoch: this.#epoch,
      seq,
      gap: true,
      ...(last > seq ? { to: last } : {}),
      ...(source ? { source } : {}),
    })
  }

  forgetFrames(): void {
    // it keeps none
  }
}

type GuardedField = keyof typeof GUARDED_FIELDS
const GUARDED = Object.keys(GUARDED_FIELDS) as GuardedField[]

/** Subscriptions are counted per connection, so that nearly all share a handful of names. */
const FRAMES_MAX = 8

/** An event with its bytes: made once per variant, shared by every subscriber that may see that variant. */
export class StoredEvent implements Stored {
  readonly event: AgentEvent | Recorded
  readonly type: string
  readonly seq: number
  readonly last: number
  readonly program: string | null
  readonly sizeBytes: number
  readonly #frames = new Map<string, Buffer>()
  readonly #guarded: readonly GuardedField[]
  #framesMax = FRAMES_MAX
  readonly #json: string

  constructor(event: AgentEvent | Recorded) {
    this.event = event
    this.seq = event.seq
    this.last = event.seq
    this.type = event.type
    const { program } = event.payload as { program?: unknown }
    this.program = typeof program === 'string' ? program : null
    this.#guarded = GUARDED.filter((field) => field in event.payload)
    this.#json = JSON.stringify(event)
    this.sizeBytes = this.#json.length + 200
  }

  get payload(): Readonly<Record<string, unknown>> {
    return this.event.payload
  }

  /** The notification for a subscription, without what its rights do not show. */
  frame(subscription: string, viewer: Viewer): Buffer {
    const hidden = this.#guarded.filter((field) => !this.#shows(field, viewer))
    const key = hidden.length === 0 ? subscription : `${hidden.join()}-${subscription}`
    const known = this.#frames.get(key)
    if (known) return known
    const json = hidden.length === 0 ? this.#json : JSON.stringify(without(this.event, hidden))
    const frame = Buffer.from(
      `{"jsonrpc":"2.0","method":"event","params":{"subscription":${JSON.stringify(subscription)},${json.slice(1)}}`,
    )
    if (this.#frames.size < this.#framesMax) this.#frames.set(key, frame)
    return frame
  }

  #shows(field: GuardedField, { scopes, users }: Viewer): boolean {
    const { scope, isOfUser } = guardOf(this.type, field)
    const { user } = this.event.payload as { user?: unknown }
    return scopes.has(scope) && (!isOfUser || users.some((one) => one === '*' || one === user))
  }

  record(source: Source | null): string {
    return source ? `${this.#json.slice(0, -1)},"source":${JSON.stringify(source)}}` : this.#json
  }

  forgetFrames(): void {
    this.#framesMax = 0
    this.#frames.clear()
  }
}

function without(event: AgentEvent | Recorded, hidden: readonly string[]): unknown {
  const payload = Object.entries(event.payload).filter(([field]) => !hidden.includes(field))
  return { ...event, payload: Object.fromEntries(payload) }
}

/** An event in its line of the journal. The line is parsed when more than number and type is wanted. */
class PastEvent implements Sendable {
  readonly seq: number
  readonly last: number
  readonly type: string
  readonly #line: { epoch: string; text: string }
  #parsed: Sendable | null = null

  constructor(seq: number, type: string, line: { epoch: string; text: string }) {
    this.seq = seq
    this.last = seq
    this.type = type
    this.#line = line
  }

  get program(): string | null {
    return this.#open().program
  }

  get payload(): Readonly<Record<string, unknown>> | null {
    return this.#open().payload
  }

  frame(subscription: string, viewer: Viewer): Buffer {
    return this.#open().frame(subscription, viewer)
  }

  #open(): Sendable {
    if (this.#parsed) return this.#parsed
    const { epoch, text } = this.#line
    const { source: _source, ...event } = Object(valueOf(text)) as Record<string, unknown>
    const { data } = Recorded.safeParse(event)
    // one that was damaged is a hole
    this.#parsed = data ? new StoredEvent(data) : new StoredGap(epoch, this.seq)
    return this.#parsed
  }
}

/** The number of a line of the journal by its beginning; null when that is none. */
export function numberOf(head: string): number | null {
  const number = HEAD.exec(head)?.[1]
  return number === undefined ? null : Number(number)
}

/** What a line of the journal tells of numbers from one on; null when that is nothing. */
export function pastOf(line: { epoch: string; text: string }, from: number): Sendable | null {
  const [, number, type] = HEAD.exec(line.text) ?? []
  if (number === undefined) return null
  if (type !== undefined) return Number(number) < from ? null : new PastEvent(Number(number), type, line)
  const { data: gap } = RecordedGap.safeParse(valueOf(line.text))
  if (!gap) return null
  const { epoch, seq, to = seq } = gap
  return to < from ? null : new StoredGap(epoch, Math.max(from, seq), to)
}

function valueOf(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return null
  }
}
