import { AgentError } from '../protocol/errors.ts'
import type { RequestId } from '../protocol/frames.ts'

interface Call {
  end: AbortController
  isKeyed: boolean
  /** Why it may not go on any more, rights being what they are now; null while it may. */
  whyForbidden: () => AgentError | null
  /** Settles when it has its answer. */
  served: Promise<void>
}

/** Serves one call. `isOpen` is false once somebody else has answered it. */
type Serve = (signal: AbortSignal, isOpen: () => boolean) => Promise<void>

/** The calls of one connection that have no answer yet, by id. */
export class CallsInFlight {
  readonly #calls = new Map<RequestId, Call>()

  get size(): number {
    return this.#calls.size
  }

  has(id: RequestId): boolean {
    return this.#calls.has(id)
  }

  /** Runs a call, which must not reject; it is in flight until then, unless it is given up. */
  async run(id: RequestId, about: Pick<Call, 'isKeyed' | 'whyForbidden'>, serve: Serve): Promise<void> {
    const call: Call = { ...about, end: new AbortController(), served: Promise.resolve() }
    const isOpen = () => this.#calls.get(id) === call
    this.#calls.set(id, call)
    call.served = serve(call.end.signal, isOpen).finally(() => {
      if (isOpen()) this.#calls.delete(id)
    })
    await call.served
  }

  /** @returns false where no such call runs */
  cancel(id: RequestId): boolean {
    const call = this.#calls.get(id)
    call?.end.abort(new AgentError('CANCELLED', 'cancelled by the caller'))
    return call !== undefined
  }

  /** The caller has left. A call with a key goes on: its caller comes back with the key and gets the outcome. */
  abandon(): void {
    for (const { end, isKeyed } of this.#calls.values())
      if (!isKeyed) end.abort(new AgentError('CANCELLED', 'the connection ended'))
  }

  /** Rights have changed: ends each call that has lost one, with a key or without. */
  endForbidden(): void {
    for (const { end, whyForbidden } of this.#calls.values()) {
      const why = whyForbidden()
      if (why) end.abort(why)
    }
  }

  /** Tells every call to end. */
  abort(reason: AgentError): void {
    for (const { end } of this.#calls.values()) end.abort(reason)
  }

  /** Lets go of all calls. @returns their ids; what they have begun goes on */
  giveUp(): RequestId[] {
    const ids = [...this.#calls.keys()]
    this.#calls.clear()
    return ids
  }

  /** When no call runs any more. */
  async ended(): Promise<void> {
    await Promise.all([...this.#calls.values()].map(({ served }) => served))
  }
}
