// Start, stop, restart and signal. Each process has its own call, never a multicall: supervisord runs waiting calls
// inside a multicall one after another. No call waits inside supervisord: it is asked to begin, and the process table
// tells when it is done, so that a stop of an hour costs neither a connection nor anybody's patience.
import { setMaxListeners } from 'node:events'
import { KeyedMutex } from '../../lib/keyed-mutex.ts'
import { sleep } from '../../lib/sleep.ts'
import { AgentError, type ErrorCode } from '../../protocol/errors.ts'
import type { ProcessResult, ProcessState } from '../../protocol/process.ts'
import type { SupervisorConnection } from './connection.ts'
import { ProcessInfo } from './process-info.ts'
import type { Entry, ProcessTable } from './process-table.ts'
import type { SupervisorRpc } from './rpc.ts'
import type { StateWatch } from './state-watch.ts'

/**
 * A stop within some 50 ms of a spawn is lost: the forked child still has supervisord's own handler for SIGTERM. The
 * wait is generous, because a slow host forks slowly.
 */
const SPAWN_SETTLE_MS = 250

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

const DOWN = new Set<ProcessState>(['STOPPED', 'EXITED', 'FATAL'])

export class ProcessControl {
  readonly #rpc: SupervisorRpc
  readonly #table: ProcessTable
  readonly #watch: StateWatch
  readonly #connection: SupervisorConnection
  readonly #mutex = new KeyedMutex()
  /** Spawns that the table may not know of yet, by our clock. */
  readonly #spawnedAtMs = new Map<string, number>()

  constructor(deps: {
    rpc: SupervisorRpc
    table: ProcessTable
    watch: StateWatch
    connection: SupervisorConnection
  }) {
    this.#rpc = deps.rpc
    this.#table = deps.table
    this.#watch = deps.watch
    this.#connection = deps.connection
  }

  start(entries: readonly Entry[], options: ControlOptions): Promise<ProcessResult[]> {
    return this.#each(entries, options, (name, signal) => this.#start(name, options.wait, signal))
  }

  stop(entries: readonly Entry[], options: ControlOptions): Promise<ProcessResult[]> {
    return this.#each(entries, options, (name, signal) => this.#stop(name, options.wait, signal), 'stops')
  }

  /**
   * Stop, wait, start. `rolling` takes at most `maxUnavailable` processes of a program at a time and does not go on
   * after one that did not come up. Without a verb of its own a program's `graceful` is its stop signal and wait.
   */
  async restart(
    entries: readonly Entry[],
    options: ControlOptions & { mode: RestartMode; maxUnavailable: number },
  ): Promise<ProcessResult[]> {
    const one = async (name: string, signal: AbortSignal) => {
      await this.#stop(name, true, signal)
      await this.#start(name, options.wait || options.mode === 'rolling', signal)
      return true
    }
    if (options.mode !== 'rolling') return this.#each(entries, options, one, 'stops')
    const results = await Promise.all(
      [...byProgram(entries).values()].map((group) => this.#roll(group, options, one)),
    )
    return results.flat()
  }

  signal(entries: readonly Entry[], name: string, options: ControlOptions): Promise<ProcessResult[]> {
    return this.#each(entries, options, async (process, signal) => {
      await this.#rpc.call('supervisor.signalProcess', [process, name], { signal })
      return true
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
    one: (name: string, signal: AbortSignal) => Promise<boolean>,
  ): Promise<ProcessResult[]> {
    const results: ProcessResult[] = []
    for (let at = 0; at < entries.length; at += options.maxUnavailable) {
      const batch = entries.slice(at, at + options.maxUnavailable)
      results.push(...(await this.#each(batch, options, one, 'stops')))
      if (results.every(({ ok }) => ok)) continue
      const rest = entries.slice(at + options.maxUnavailable)
      results.push(
        ...rest.map(({ name }) => failure(name, 'CANCELLED', 'left as it was: a restart before it failed')),
      )
      break
    }
    return results
  }

  async #each(
    entries: readonly Entry[],
    options: ControlOptions,
    task: (name: string, signal: AbortSignal) => Promise<boolean>,
    effect: 'stops' | 'other' = 'other',
  ): Promise<ProcessResult[]> {
    this.#connection.assertUp()
    const deadline = AbortSignal.timeout(options.timeoutMs)
    const signal = AbortSignal.any([options.signal, deadline])
    setMaxListeners(0, signal) // one for each process
    if (effect === 'stops') await this.#noteYoung(entries, signal)
    let done = 0
    const results = await Promise.all(
      entries.map(async ({ name }) => {
        const result = await this.#row(name, options.actor, signal, deadline, task)
        options.onProgress?.(
          ++done,
          entries.length,
          `${name} ${result.ok ? 'done' : (result.error?.name ?? '')}`,
        )
        return result
      }),
    )
    options.signal.throwIfAborted()
    return results
  }

  /** Notes which of them supervisord spawned within its last second or two: an event of that may be under way. */
  async #noteYoung(entries: readonly Entry[], signal: AbortSignal): Promise<void> {
    const calls = entries.map(({ name }) => ({ method: 'supervisor.getProcessInfo', params: [name] }))
    const answers = await this.#rpc.batch(calls, { signal })
    answers.forEach((answer, index) => {
      const info = ProcessInfo.safeParse(answer)
      const name = entries[index]?.name
      if (!info.success || name === undefined || info.data.pid === 0) return
      if (info.data.now - info.data.start <= 1) this.#spawnedAtMs.set(name, Date.now())
      else this.#spawnedAtMs.delete(name)
    })
  }

  async #row(
    name: string,
    actor: string,
    signal: AbortSignal,
    deadline: AbortSignal,
    task: (name: string, signal: AbortSignal) => Promise<boolean>,
  ): Promise<ProcessResult> {
    try {
      const changed = await this.#mutex.run(name, async () => {
        signal.throwIfAborted()
        const entry = this.#table.need(name)
        entry.actor = actor
        try {
          return await task(name, signal)
        } finally {
          entry.actor = null
        }
      })
      return { process: name, ok: true, changed }
    } catch (error) {
      if (deadline.aborted) {
        const state = this.#table.get(name)?.state ?? 'gone'
        return failure(name, 'TIMEOUT', `${name} is still ${state}; what was begun goes on`)
      }
      if (signal.aborted) return failure(name, 'CANCELLED', 'cancelled; what was begun goes on')
      if (error instanceof AgentError) return failure(name, error.code, error.message)
      throw error
    }
  }

  async #start(name: string, wait: boolean, signal: AbortSignal): Promise<boolean> {
    // a start of what is STOPPING is taken for done by supervisord, and nothing happens
    await this.#watch.wait(name, (entry) => (entry?.state === 'STOPPING' ? undefined : true), signal)
    const before = this.#table.need(name)
    const mark = before.spawnedAtMs
    let changed = true
    try {
      await this.#rpc.call('supervisor.startProcess', [name, false], { signal })
      this.#spawnedAtMs.set(name, Date.now())
    } catch (error) {
      const fault = error instanceof AgentError ? error.facts['fault'] : undefined
      if (fault === 'BAD_NAME') throw gone(name)
      if (
        fault === 'SPAWN_ERROR' ||
        fault === 'ABNORMAL_TERMINATION' ||
        fault === 'NO_FILE' ||
        fault === 'NOT_EXECUTABLE'
      )
        throw new AgentError('START_FAILED', `${name} could not be spawned: ${messageOf(error)}`, {
          cause: error,
        })
      if (fault !== 'ALREADY_STARTED') throw error
      changed = false
    }
    if (!wait) return changed
    const isBackoff = before.state === 'BACKOFF'
    await this.#watch.wait(
      name,
      (entry) => {
        if (!entry) throw gone(name)
        if (entry.state === 'RUNNING') return true
        const isOld = changed && entry.spawnedAtMs === mark
        const hasFailed = DOWN.has(entry.state) || entry.state === 'BACKOFF'
        if (!hasFailed || isOld || (isBackoff && !changed && entry.state === 'BACKOFF')) return undefined
        // a program with startsecs=0 may have run and ended before anybody looked
        if (entry.state === 'EXITED' && entry.lastExit?.expected) return true
        throw startFailed(entry)
      },
      signal,
    )
    return changed
  }

  async #stop(name: string, wait: boolean, signal: AbortSignal): Promise<boolean> {
    const spawnedAtMs = Math.max(this.#table.need(name).spawnedAtMs, this.#spawnedAtMs.get(name) ?? 0)
    const youngMs = SPAWN_SETTLE_MS - (Date.now() - spawnedAtMs)
    if (youngMs > 0) await sleep(Math.min(youngMs, SPAWN_SETTLE_MS), signal)
    let changed = true
    try {
      await this.#rpc.call('supervisor.stopProcess', [name, false], { signal })
    } catch (error) {
      const fault = error instanceof AgentError ? error.facts['fault'] : undefined
      if (fault === 'BAD_NAME') throw gone(name)
      if (fault !== 'NOT_RUNNING') throw error
      changed = false
    }
    if (!wait) return changed
    await this.#watch.wait(
      name,
      (entry) => {
        if (!entry) throw gone(name)
        return DOWN.has(entry.state) || entry.state === 'UNKNOWN' ? entry.state : undefined
      },
      signal,
    )
    return changed
  }
}

function byProgram(entries: readonly Entry[]): Map<string, Entry[]> {
  const groups = new Map<string, Entry[]>()
  for (const entry of entries) groups.set(entry.program, [...(groups.get(entry.program) ?? []), entry])
  return groups
}

function gone(name: string): AgentError {
  return new AgentError('PROCESS_NOT_FOUND', `${name} left supervisord`, { facts: { process: name } })
}

function startFailed(entry: Entry): AgentError {
  const { name, state, spawnError, lastExit } = entry
  const exit =
    lastExit?.signal ?? (lastExit?.exitStatus === undefined ? null : `exit status ${lastExit.exitStatus}`)
  const why = [spawnError, exit].filter(Boolean).join('; ') || 'it ended before startsecs'
  return new AgentError('START_FAILED', `${name} is ${state}: ${why}; agent logs ${name} shows its output`, {
    facts: { process: name, state },
  })
}

function failure(process: string, code: ErrorCode, message: string): ProcessResult {
  return { process, ok: false, changed: false, error: { name: code, message } }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
