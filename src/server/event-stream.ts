import type { Principal } from '../core/access/principal.ts'
import type { EventBus } from '../core/events/bus.ts'
import { anyGlob } from '../lib/glob.ts'
import type { EventFilter } from '../methods/context.ts'
import { gapFrame, isVisible, notification } from './event-frames.ts'
import type { Outlet } from './outlet.ts'

/**
 * One subscription: a position in the bus and a filter. It holds no events of its own; when it could not send for
 * longer than the ring reaches, it says which numbers it missed and goes on with what is there.
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

  constructor(deps: {
    id: string
    bus: EventBus
    outlet: Outlet
    principal: Principal
    filter: EventFilter
    /** Number of the last event that the subscriber has. */
    after: number
  }) {
    this.id = deps.id
    this.#bus = deps.bus
    this.#outlet = deps.outlet
    this.#principal = deps.principal
    this.#isType = deps.filter.types ? anyGlob(deps.filter.types) : () => true
    this.#isProgram = deps.filter.programs ? anyGlob(deps.filter.programs) : () => true
    this.#rights = { programs: deps.principal.programs, test: anyGlob(deps.principal.programs) }
    this.#next = deps.after + 1
  }

  /** Begins to send; not before the answer that names the subscription is out. */
  start(): void {
    this.#isStarted = true
    this.pump()
  }

  /** Sends what there is to send, as far as the outlet takes it. */
  pump(): void {
    if (!this.#isStarted) return
    const bus = this.#bus
    while (this.#next <= bus.seq && this.#outlet.isOpen) {
      const oldest = bus.oldestSeq
      if (this.#next < oldest) {
        this.#outlet.send(gapFrame(this.id, bus.epoch, this.#next, oldest - 1))
        this.#next = oldest
        continue
      }
      const stored = bus.at(this.#next++)
      if (stored && this.#shows(stored.type, stored.program))
        this.#outlet.send(stored.frame(this.id, this.#principal.scopes.has('logs')))
      else this.#hidden++
    }
  }

  /** Tells the position when the filter hid events since the last time, so that a resume does not go far back. */
  bookmark(): void {
    if (!this.#isStarted || this.#hidden === 0 || !this.#outlet.isOpen) return
    this.#hidden = 0
    const { epoch } = this.#bus
    this.#outlet.send(notification('bookmark', { subscription: this.id, epoch, seq: this.#next - 1 }))
  }

  #shows(type: string | null, program: string | null): boolean {
    const { programs } = this.#principal
    if (programs !== this.#rights.programs) this.#rights = { programs, test: anyGlob(programs) }
    if (type === null) return true
    if (!this.#principal.scopes.has('read') || !this.#isType(type)) return false
    if (!isVisible(type, this.#principal)) return false
    return program === null || (this.#isProgram(program) && this.#rights.test(program))
  }
}
