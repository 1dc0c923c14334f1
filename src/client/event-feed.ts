import * as z from 'zod'
import { anyGlob } from '../lib/glob.ts'
import { AgentError, ERRORS } from '../protocol/errors.ts'
import type { AgentEvent } from '../protocol/events.ts'
import { WireEvent } from '../protocol/events.ts'
import { Bookmark, Gap } from '../protocol/frames.ts'
import type { Process } from '../protocol/process.ts'
import type { Connection, Result } from './connection.ts'
import { ConnectionError } from './connection-error.ts'
import type { Source } from './feed.ts'
import type { Inbox } from './inbox.ts'
import { checked } from './incoming.ts'

/** A place in the agent's events: of that epoch, all up to and with `seq` were seen. */
export interface Position {
  epoch: string
  seq: number
}

/** All processes as they were after the event of that number. It replaces what was known. */
export interface SnapshotItem extends Position {
  kind: 'snapshot'
  processes: Process[]
}
/** Events that will not come; a snapshot follows. */
export interface GapItem {
  kind: 'gap'
  epoch: string
  from: number
  to: number
}
/** A newer agent may send types that are not named here. */
export type EventItem = { kind: 'event' } & AgentEvent
export type FeedItem = EventItem | SnapshotItem | GapItem

export interface EventOptions {
  /** Globs on event types; default all. */
  types?: readonly string[]
  /** Globs on programs, for events and snapshots; default all. */
  programs?: readonly string[]
  /** Go on after this position; without it the feed begins with a snapshot. */
  since?: Position
  signal?: AbortSignal
}

const Listed = z.looseObject({
  epoch: z.string(),
  seq: z.int(),
  processes: z.array(z.looseObject({ program: z.string() })),
})
const Subscribed = z.looseObject({
  mode: z.enum(['resumed', 'snapshot']),
  epoch: z.string(),
  seq: z.int(),
  snapshot: Listed.pick({ processes: true }).optional(),
})
const RETRY_MS = 1_000

/** Where a reader of events is, and what it must ask for. Every event comes once, in order. */
export class EventSource implements Source {
  readonly #options: EventOptions
  readonly #inbox: Inbox<FeedItem>
  readonly #isWanted: (program: string) => boolean
  #position: Position | undefined
  #connection: Connection | null = null
  /** Gaps so far, and how many of them a snapshot has answered. */
  #gaps = 0
  #healed = 0
  #isAsking = false

  constructor(options: EventOptions, inbox: Inbox<FeedItem>) {
    this.#options = options
    this.#inbox = inbox
    this.#position = options.since
    this.#isWanted = options.programs ? anyGlob(options.programs) : () => true
  }

  subscription(): { method: string; params: Record<string, unknown>; undo: string } {
    const { types, programs } = this.#options
    const since = this.#position && { epoch: this.#position.epoch, seq: this.#position.seq }
    const params = { ...(types && { types }), ...(programs && { programs }), ...(since && { since }) }
    return { method: 'event.subscribe', params, undo: 'event.unsubscribe' }
  }

  started(result: Result, connection: Connection): void {
    const { mode, epoch, seq, snapshot } = checked(Subscribed, result, 'event.subscribe')
    this.#connection = connection
    if (mode === 'snapshot') {
      this.#position = { epoch, seq }
      this.#healed = this.#gaps
      this.#inbox.push(this.#snapshot({ epoch, seq, processes: snapshot?.processes ?? [] }))
    } else if (this.#healed < this.#gaps) this.#ask(connection)
  }

  receive(method: string, params: Record<string, unknown>): void {
    if (method === 'event') {
      const { subscription: _subscription, ...event } = checked(WireEvent, params, method)
      // the payload's shape is promised by its type; a newer agent may add to it
      if (this.#advance(event)) this.#inbox.push({ kind: 'event', ...event } as unknown as EventItem)
    } else if (method === 'bookmark') this.#advance(checked(Bookmark, params, method))
    else if (method === 'gap') {
      const { epoch, from, to } = checked(Gap, params, method)
      if (!this.#advance({ epoch, seq: to })) return
      this.#inbox.push({ kind: 'gap', epoch, from, to })
      this.#gaps++
      if (this.#connection) this.#ask(this.#connection)
    }
  }

  /** @returns false for what was seen before */
  #advance({ epoch, seq }: Position): boolean {
    if (this.#position?.epoch === epoch && seq <= this.#position.seq) return false
    this.#position = { epoch, seq }
    return true
  }

  /** Asks for a snapshot until there is one that is newer than every gap. A break leaves it to the next connection. */
  #ask(connection: Connection): void {
    if (this.#isAsking) return
    this.#isAsking = true
    const gaps = this.#gaps
    connection.request('process.list', {}).then(
      (result) => {
        this.#isAsking = false
        this.#healed = gaps
        const snapshot = this.#snapshot(checked(Listed, result, 'process.list'))
        const isLater = (other: FeedItem): boolean =>
          (other.kind === 'gap' ? other.to : other.seq) > snapshot.seq || other.epoch !== snapshot.epoch
        this.#inbox.insert(snapshot, isLater)
        if (this.#healed < this.#gaps) this.#ask(connection)
      },
      (error: unknown) => {
        this.#isAsking = false
        if (error instanceof ConnectionError) return
        if (!(error instanceof AgentError) || !ERRORS[error.code].retry) return this.#inbox.fail(error)
        setTimeout(() => this.#connection === connection && this.#ask(connection), RETRY_MS)
      },
    )
  }

  #snapshot({ epoch, seq, processes }: z.infer<typeof Listed>): SnapshotItem {
    const wanted = processes.filter(({ program }) => this.#isWanted(program))
    return { kind: 'snapshot', epoch, seq, processes: wanted as unknown as Process[] }
  }
}
