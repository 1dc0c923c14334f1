// Starts and stops travel together, as many as are asked for within a moment: a request each costs supervisord a turn
// of its loop over all its processes, and a restart of a hundred half its time. None of them waits inside supervisord
// (wait=false), and a few at a time never hold it up for long: a start is a fork of some 4 ms.
import * as z from 'zod'
import { sleep } from '../../lib/sleep.ts'
import { assertSafe } from './codec.ts'
import { parseBatchItem } from './process-info.ts'
import type { SupervisorRpc } from './rpc.ts'

const CALLS_PER_REQUEST = 10
/** Between two requests that are not full; the first of a burst leaves at once. */
const PAUSE_MS = 15

type BeginMethod = 'supervisor.startProcess' | 'supervisor.stopProcess'

interface Call {
  method: BeginMethod
  name: string
  signal: AbortSignal
  resolve: () => void
  reject: (reason: unknown) => void
}

export class CallGather {
  readonly #rpc: Pick<SupervisorRpc, 'batch'>
  #calls: Call[] = []
  #isSending = false

  constructor(rpc: Pick<SupervisorRpc, 'batch'>) {
    this.#rpc = rpc
  }

  /**
   * Begins to start or stop one process. What is aborted before its turn is not sent.
   * @throws {AgentError} SUPERVISOR_FAULT (`facts.fault`), SUPERVISOR_UNREACHABLE, INVALID_PARAMS; the signal's reason
   */
  async begin(method: BeginMethod, name: string, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted()
    assertSafe(name) // here, so that it costs the others of its request nothing
    const stop = new AbortController()
    const answered = new Promise<void>((resolve, reject) => {
      signal.addEventListener('abort', () => reject(signal.reason), { once: true, signal: stop.signal })
      this.#calls.push({ method, name, signal, resolve, reject })
    })
    if (!this.#isSending) void this.#sendAll()
    await answered.finally(() => stop.abort())
  }

  async #sendAll(): Promise<void> {
    this.#isSending = true
    await new Promise(setImmediate) // whoever else asks in this turn
    while (this.#calls.length > 0) {
      const next = this.#calls.splice(0, CALLS_PER_REQUEST).filter(({ signal }) => !signal.aborted)
      if (next.length > 0) await this.#send(next)
      if (this.#calls.length < CALLS_PER_REQUEST) await sleep(PAUSE_MS)
    }
    this.#isSending = false
  }

  async #send(calls: readonly Call[]): Promise<void> {
    try {
      const answers = await this.#rpc.batch(
        calls.map(({ method, name }) => ({ method, params: [name, false] })),
      )
      calls.forEach(({ resolve, reject }, index) => {
        try {
          parseBatchItem(z.literal(true), answers[index])
          resolve()
        } catch (error) {
          reject(error)
        }
      })
    } catch (error) {
      for (const { reject } of calls) reject(error)
    }
  }
}
