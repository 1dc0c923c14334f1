import type { Principal } from '../core/access/principal.ts'
import type { EventBus } from '../core/events/bus.ts'
import type { Sendable } from '../core/events/stored-event.ts'
import { anyGlob } from '../lib/glob.ts'
import type { EventFilter } from '../methods/context.ts'
import { gapFrame, isVisible, notification } from './event-frames.ts'
import type { Outlet } from './outlet.ts'

/**
 * One subscription: a position in the bus and a filter. It holds no events of its own; what has left the ring it reads
 * from the journal, and where that does not reach it says which numbers it missed and goes on with what is there.
 */
export class EventStream {
  readonly id: string
  readonly #bus: EventBus
  readonly #outlet: Outlet
  readonly #principal: Principal
  readonly #isType: (type: string) => boolean
  readonly #isProgram: (program: string) => boolean
  #rights: { programs: readonly string[]; test: (program: string) => boolean }
  #next: number
  #hidden = 0
  #isStarted = false
  #isReading = false
  readonly #end = new AbortController()
  readonly #onError: (error: unknown) => void

  constructor(deps: {
    id: string
    bus: EventBus
    outlet: Outlet
    principal: Principal
    filter: EventFilter
    /** Number of the last event that the subscriber has. */
    after: number
    /** The journal could not be read. */
    onError: (error: unknown) => void
  }) {
    this.id = deps.id
    this.#bus = deps.bus
    this.#outlet = deps.outlet
    this.#principal = deps.principal
    this.#isType = deps.filter.types ? anyGlob(deps.filter.types) : () => true
    this.#isProgram = deps.filter.programs ? anyGlob(deps.filter.programs) : () => true
    this.#rights = { programs: deps.principal.programs, test: anyGlob(deps.principal.programs) }
    this.#next = deps.after + 1
    this.#onError = deps.onError
  }

  /** Begins to send; not before the answer that names the subscription is out. */
  start(): void {
    this.#isStarted = true
    this.pump()
  }

  stop(): void {
    this.#end.abort()
  }

  /** Sends what there is to send, as far as the outlet takes it. */
  pump(): void {
    if (!this.#isStarted || this.#isReading || this.#end.signal.aborted) return
    const bus = this.#bus
    while (this.#next <= bus.seq && this.#outlet.isOpen) {
      if (this.#next < bus.oldestSeq) {
        if (bus.oldestKept < bus.oldestSeq) return void this.#readOn()
        this.#skipTo(bus.oldestSeq)
        continue
      }
      const stored = bus.at(this.#next)
      if (stored) this.#pass(stored)
    }
  }

  /** Goes on from the journal until memory has what follows. */
  async #readOn(): Promise<void> {
    const { signal } = this.#end
    this.#isReading = true
    try {
      while (this.#next < this.#bus.oldestSeq && !signal.aborted) {
        if (this.#outlet.isOpen) await this.#readSome(signal)
        else await this.#outlet.opened()
      }
    } catch (error) {
      if (signal.aborted) return
      this.#onError(error)
      if (this.#next < this.#bus.oldestSeq) this.#skipTo(this.#bus.oldestSeq)
    } finally {
      this.#isReading = false
    }
    this.pump()
  }

  /** Sends from the journal what the peer takes at once: while that does not read, the journal is there for others. */
  async #readSome(signal: AbortSignal): Promise<void> {
    const from = this.#next
    for await (const past of this.#bus.history(from, signal)) {
      if (past.seq > this.#next) this.#skipTo(past.seq)
      this.#pass(past)
      if (signal.aborted || !this.#outlet.isOpen || this.#next >= this.#bus.oldestSeq) return
    }
    // it ends before memory begins, after a time in which it took nothing
    if (this.#next === from) this.#skipTo(this.#bus.oldestSeq)
  }

  #pass(stored: Sendable): void {
    this.#next = stored.last + 1
    if (this.#shows(stored)) this.#outlet.send(stored.frame(this.id, this.#principal))
    else this.#hidden++
  }

  #skipTo(seq: number): void {
    this.#outlet.send(gapFrame(this.id, this.#bus.epoch, this.#next, seq - 1))
    this.#next = seq
  }

  /** Tells the position when the filter hid events since the last time, so that a resume does not go far back. */
  bookmark(): void {
    if (!this.#isStarted || this.#hidden === 0 || !this.#outlet.isOpen) return
    this.#hidden = 0
    const { epoch } = this.#bus
    this.#outlet.send(notification('bookmark', { subscription: this.id, epoch, seq: this.#next - 1 }))
  }

  #shows(stored: Sendable): boolean {
    const { type } = stored
    const { programs } = this.#principal
    if (programs !== this.#rights.programs) this.#rights = { programs, test: anyGlob(programs) }
    if (type === null) return true
    if (!this.#principal.scopes.has('read') || !this.#isType(type)) return false
    if (!isVisible(type, this.#principal)) return false
    const { program } = stored
    return program === null || (this.#isProgram(program) && this.#rights.test(program))
  }
}
