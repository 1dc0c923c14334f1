import type { Principal } from '../core/access/principal.ts'
import { anyGlob } from '../lib/glob.ts'
import type { Logger } from '../logger.ts'
import type { EventFilter, LogStreamRequest, Services, Streams } from '../methods/context.ts'
import { AgentError, toWireError } from '../protocol/errors.ts'
import type { Scope } from '../protocol/scopes.ts'
import { notification } from './event-frames.ts'
import { EventStream } from './event-stream.ts'
import type { Limits } from './limits.ts'
import { LogStream } from './log-stream.ts'
import type { Outlet } from './outlet.ts'

/** The subscriptions of one session, to events and to logs. */
export class SessionStreams implements Streams {
  readonly #services: Services
  readonly #principal: Principal
  readonly #limits: Limits
  readonly #outlet: Outlet
  readonly #logger: Logger
  readonly #events = new Map<string, EventStream>()
  readonly #logs = new Map<string, LogStream>()
  #made = 0

  constructor(deps: {
    services: Services
    principal: Principal
    limits: Limits
    outlet: Outlet
    logger: Logger
  }) {
    this.#services = deps.services
    this.#principal = deps.principal
    this.#limits = deps.limits
    this.#outlet = deps.outlet
    this.#logger = deps.logger
  }

  subscribe(filter: EventFilter): {
    subscription: string
    mode: 'resumed' | 'snapshot'
    epoch: string
    seq: number
  } {
    const { bus } = this.#services
    const { eventSubscriptions } = this.#limits
    if (this.#events.size >= eventSubscriptions) throw tooMany(`${eventSubscriptions} event subscriptions`)
    const { since } = filter
    const isHeld = since?.epoch === bus.epoch && since.seq <= bus.seq && since.seq + 1 >= bus.oldestKept
    const after = isHeld && since ? since.seq : bus.seq
    const stream = new EventStream({
      id: `e${++this.#made}`,
      bus,
      outlet: this.#outlet,
      principal: this.#principal,
      filter,
      after,
      onError: (error) => this.#logger.error({ err: error }, 'the journal of events cannot be read'),
    })
    this.#events.set(stream.id, stream)
    // the answer leaves in the microtasks of this tick
    setImmediate(() => stream.start())
    return { subscription: stream.id, mode: isHeld ? 'resumed' : 'snapshot', epoch: bus.epoch, seq: after }
  }

  unsubscribe(subscription: string): void {
    this.#events.get(subscription)?.stop()
    this.#events.delete(subscription)
  }

  follow({ entries, channels, lines, cursors }: LogStreamRequest): string {
    const { logs } = this.#services
    const { logStreams } = this.#limits
    const principal = this.#principal
    if (this.#logs.size >= logStreams) throw tooMany(`${logStreams} log streams`)
    const id = `l${++this.#made}`
    const stream = new LogStream({
      id,
      logs,
      outlet: this.#outlet,
      logger: this.#logger,
      isAllowed: ({ program }) => principal.scopes.has('logs') && anyGlob(principal.programs)(program),
      onOver: () => void this.#logs.delete(id),
    })
    const sources = logs.sources(entries, channels)
    this.#logs.set(stream.id, stream)
    setImmediate(() => {
      for (const { entry, channel } of sources) {
        const cursor = cursors[`${entry.name}/${channel}`] ?? cursors[entry.name]
        stream.follow(entry, channel, { lines, ...(cursor === undefined ? {} : { cursor }) })
      }
    })
    return stream.id
  }

  unfollow(subscription: string): void {
    this.#logs.get(subscription)?.stop()
    this.#logs.delete(subscription)
  }

  /** Rights have changed: ends what nobody may see any more, and says so. */
  rightsChanged(): void {
    this.#endWithout('read', this.#events)
    this.#endWithout('logs', this.#logs)
  }

  /** Sends new events to every subscription. */
  pump(): void {
    for (const stream of this.#events.values()) stream.pump()
  }

  bookmark(): void {
    for (const stream of this.#events.values()) stream.bookmark()
  }

  /** Ends all of them. */
  stop(): void {
    for (const stream of this.#logs.values()) stream.stop()
    for (const stream of this.#events.values()) stream.stop()
    this.#outlet.release()
    this.#events.clear()
    this.#logs.clear()
  }

  #endWithout(scope: Scope, streams: Map<string, EventStream | LogStream>): void {
    if (this.#principal.scopes.has(scope)) return
    const facts = { rule: 'scope', scope }
    const error = toWireError(new AgentError('FORBIDDEN', `the right to ${scope} has ended`, { facts }))
    for (const [subscription, stream] of streams) {
      stream.stop()
      streams.delete(subscription)
      this.#outlet.send(notification('unsubscribed', { subscription, error }))
    }
  }
}

function tooMany(what: string): AgentError {
  return new AgentError('TOO_MANY_SUBSCRIPTIONS', `this connection has ${what}, the most it may have`)
}
