// Start, stop, restart and signal of many processes at once. None of the calls waits inside supervisord, which runs
// waiting calls of a multicall one after another. Calls for one process follow each other.
import { setMaxListeners } from 'node:events'
import { KeyedMutex } from '../../lib/keyed-mutex.ts'
import type { Logger } from '../../logger.ts'
import { AgentError, type ErrorCode } from '../../protocol/errors.ts'
import type { ProcessResult, ProcessState } from '../../protocol/process.ts'
import type { SupervisorConnection } from './connection.ts'
import type { ProcessSteps } from './process-steps.ts'
import type { Entry, ProcessTable } from './process-table.ts'
import type { SupervisorRpc } from './rpc.ts'

export interface ControlOptions {
  /** False: return as soon as supervisord has begun. */
  wait: boolean
  timeoutMs: number
  /** Aborts the call as a whole: CANCELLED, SHUTTING_DOWN. */
  signal: AbortSignal
  actor: string
  onProgress?: (done: number, total: number, text: string) => void
}

export type RestartMode = 'hard' | 'graceful' | 'rolling'

interface Task {
  /** The states in which it has ended, well or not: events up to there name who asked. */
  until: readonly ProcessState[]
  stops: boolean
  /** True when it must be finished once begun, also with nobody waiting for it any more. */
  isWhole: boolean
  run(name: string, signal: AbortSignal): Promise<boolean>
}

export class ProcessControl {
  readonly #rpc: SupervisorRpc
  readonly #table: ProcessTable
  readonly #steps: ProcessSteps
  readonly #connection: SupervisorConnection
  readonly #logger: Logger
  readonly #mutex = new KeyedMutex()
  /** Restarts that go on with nobody waiting, by process. */
  readonly #left = new Map<string, AbortController>()
  readonly #end = new AbortController()

  constructor(deps: {
    rpc: SupervisorRpc
    table: ProcessTable
    steps: ProcessSteps
    connection: SupervisorConnection
    logger: Logger
  }) {
    this.#rpc = deps.rpc
    this.#table = deps.table
    this.#steps = deps.steps
    this.#connection = deps.connection
    this.#logger = deps.logger
    setMaxListeners(0, this.#end.signal)
  }

  /** The agent stops: what goes on with nobody waiting is given up, and said so in the log. */
  stop(): void {
    this.#end.abort(new AgentError('SHUTTING_DOWN', 'the agent is stopping'))
  }

  start(entries: readonly Entry[], options: ControlOptions): Promise<ProcessResult[]> {
    return this.#each(entries, options, {
      until: ['RUNNING', 'BACKOFF', 'FATAL', 'EXITED'],
      stops: false,
      isWhole: false,
      run: (name, signal) => this.#steps.start(name, options.wait, signal),
    })
  }

  stopAll(entries: readonly Entry[], options: ControlOptions): Promise<ProcessResult[]> {
    return this.#each(entries, options, {
      until: ['STOPPED', 'EXITED', 'FATAL'],
      stops: true,
      isWhole: false,
      run: (name, signal) => this.#steps.stop(name, options.wait, signal),
    })
  }

  /**
   * Stop, wait, start. A restart whose caller gave up goes on: nobody wants it half done. A later call for the same
   * process takes its place. `rolling` takes at most `maxUnavailable` processes of a program at a time and does not go
   * on after one that did not come up. Without a verb of its own a program's `graceful` is its stop signal and wait.
   */
  async restart(
    entries: readonly Entry[],
    options: ControlOptions & { mode: RestartMode; maxUnavailable: number },
  ): Promise<ProcessResult[]> {
    const task: Task = {
      until: ['RUNNING', 'BACKOFF', 'FATAL'],
      stops: true,
      isWhole: true,
      run: async (name, signal) => {
        await this.#steps.stop(name, true, signal)
        await this.#steps.start(name, options.wait || options.mode === 'rolling', signal)
        return true
      },
    }
    if (options.mode !== 'rolling') return this.#each(entries, options, task)
    const results = await Promise.all(
      [...byProgram(entries).values()].map((group) => this.#roll(group, options, task)),
    )
    return results.flat()
  }

  signal(entries: readonly Entry[], name: string, options: ControlOptions): Promise<ProcessResult[]> {
    return this.#each(entries, options, {
      until: [],
      stops: false,
      isWhole: false,
      run: (process, signal) => this.#steps.signal(process, name, signal),
    })
  }

  /** Writes text to a process's stdin. @throws {AgentError} SUPERVISOR_FAULT when it does not run or does not read */
  async stdin(entry: Entry, text: string, signal: AbortSignal): Promise<void> {
    this.#connection.assertUp()
    await this.#rpc.call('supervisor.sendProcessStdin', [entry.name, Buffer.from(text)], { signal })
  }

  async #roll(
    entries: readonly Entry[],
    options: ControlOptions & { maxUnavailable: number },
    task: Task,
  ): Promise<ProcessResult[]> {
    const results: ProcessResult[] = []
    for (let at = 0; at < entries.length; at += options.maxUnavailable) {
      results.push(...(await this.#each(entries.slice(at, at + options.maxUnavailable), options, task)))
      if (results.every(({ ok }) => ok)) continue
      const rest = entries.slice(at + options.maxUnavailable)
      results.push(
        ...rest.map(({ name }) => failure(name, 'CANCELLED', 'left as it was: a restart before it failed')),
      )
      break
    }
    return results
  }

  async #each(entries: readonly Entry[], options: ControlOptions, task: Task): Promise<ProcessResult[]> {
    this.#connection.assertUp()
    const deadline = AbortSignal.timeout(options.timeoutMs)
    const signal = AbortSignal.any([options.signal, deadline])
    setMaxListeners(0, signal) // one for each process
    let done = 0
    const row = async ({ name }: Entry) => {
      const result = await this.#row(name, options.actor, { signal, deadline }, task)
      const text = `${name} ${result.ok ? 'done' : (result.error?.name ?? '')}`
      options.onProgress?.(++done, entries.length, text)
      return result
    }
    try {
      if (task.stops) await this.#steps.noteYoung(entries, signal)
    } catch (error) {
      options.signal.throwIfAborted()
      if (deadline.aborted) return entries.map(({ name }) => this.#timedOut(name))
      throw error
    }
    const results = await Promise.all(entries.map(row))
    options.signal.throwIfAborted()
    return results
  }

  async #row(
    name: string,
    actor: string,
    { signal, deadline }: { signal: AbortSignal; deadline: AbortSignal },
    task: Task,
  ): Promise<ProcessResult> {
    this.#left.get(name)?.abort(new AgentError('CANCELLED', 'a later call took its place'))
    try {
      const running = this.#mutex.run(name, async () => {
        signal.throwIfAborted()
        return await this.#task(name, actor, task, signal)
      })
      return { process: name, ok: true, changed: await (task.isWhole ? orAbort(running, signal) : running) }
    } catch (error) {
      if (deadline.aborted) return this.#timedOut(name)
      if (signal.aborted) return failure(name, 'CANCELLED', 'cancelled; what was begun goes on')
      if (error instanceof AgentError) return failure(name, error.code, error.message)
      throw error
    }
  }

  async #task(name: string, actor: string, task: Task, signal: AbortSignal): Promise<boolean> {
    const entry = this.#table.need(name)
    entry.actor = actor
    entry.actorUntil = new Set(task.until)
    try {
      const changed = await (task.isWhole ? this.#whole(name, task, signal) : task.run(name, signal))
      if (!changed || task.until.length === 0) entry.actor = null
      return changed
    } catch (error) {
      // with a deadline that passed the effect is still under way, and its events are the caller's
      if (!signal.aborted) entry.actor = null
      throw error
    }
  }

  /** Runs a task to its end, whatever its caller does. */
  async #whole(name: string, task: Task, signal: AbortSignal): Promise<boolean> {
    const superseded = new AbortController()
    const leave = () => this.#left.set(name, superseded)
    signal.addEventListener('abort', leave, { once: true })
    try {
      return await task.run(name, AbortSignal.any([superseded.signal, this.#end.signal]))
    } catch (error) {
      if (signal.aborted || this.#end.signal.aborted)
        this.#logger.warn(
          { process: name, state: this.#table.get(name)?.state, err: error },
          'a restart ended half done',
        )
      throw error
    } finally {
      signal.removeEventListener('abort', leave)
      this.#left.delete(name)
    }
  }

  #timedOut(name: string): ProcessResult {
    const state = this.#table.get(name)?.state ?? 'gone'
    return failure(name, 'TIMEOUT', `${name} is still ${state}; what was begun goes on`)
  }
}

/** What the promise gives, or the signal's reason as soon as it aborts; the promise goes on. */
function orAbort<T>(running: Promise<T>, signal: AbortSignal): Promise<T> {
  running.catch(() => undefined) // told in the log when nobody waits any more
  return new Promise((resolve, reject) => {
    const abort = () => reject(signal.reason)
    signal.addEventListener('abort', abort, { once: true })
    running.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort))
  })
}

function byProgram(entries: readonly Entry[]): Map<string, Entry[]> {
  const groups = new Map<string, Entry[]>()
  for (const entry of entries) groups.set(entry.program, [...(groups.get(entry.program) ?? []), entry])
  return groups
}

function failure(process: string, code: ErrorCode, message: string): ProcessResult {
  return { process, ok: false, changed: false, error: { name: code, message } }
}
