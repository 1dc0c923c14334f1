// One step with one process: begin, then wait until the process table shows the end of it. Nothing waits inside
// supervisord, so that a stop of an hour costs neither a connection nor anybody's patience.
import { uptime } from 'node:os'
import { processStart, TICK_MS } from '../../lib/process-start.ts'
import { sleep } from '../../lib/sleep.ts'
import { AgentError } from '../../protocol/errors.ts'
import type { ProcessState } from '../../protocol/process.ts'
import { CallGather } from './call-gather.ts'
import { isSafe } from './codec.ts'
import type { Fault } from './faults.ts'
import { ProcessInfo, parsed } from './process-info.ts'
import type { Entry, ProcessTable } from './process-table.ts'
import type { SupervisorRpc } from './rpc.ts'
import type { StateWatch } from './state-watch.ts'

/**
 * A stop within some 50 ms of a spawn is lost: the forked child still has supervisord's own handler for SIGTERM. The
 * wait is generous, because a slow host forks slowly.
 */
const SPAWN_SETTLE_MS = 250
/** Far longer than an event of a spawn is under way. */
const OLD_MS = 2_000

/** supervisord starts again what ended by itself within a second or so, if it does at all. */
const RESPAWN_MS = 2_000
/** Whole seconds of two clocks, rounded apart, and a clock that was set meanwhile. */
const STAYS_DOWN_MS = RESPAWN_MS + 1_500

const DOWN = new Set<ProcessState>(['STOPPED', 'EXITED', 'FATAL'])
/** What supervisord does not leave by itself. */
const AT_REST = new Set<ProcessState>(['STOPPED', 'FATAL'])

export class ProcessSteps {
  readonly #rpc: SupervisorRpc
  readonly #table: ProcessTable
  readonly #watch: StateWatch
  readonly #gather: CallGather
  /** Spawns that the table may not know of yet, by our clock. */
  readonly #spawnedAtMs = new Map<string, number>()

  constructor(deps: { rpc: SupervisorRpc; table: ProcessTable; watch: StateWatch }) {
    this.#rpc = deps.rpc
    this.#table = deps.table
    this.#watch = deps.watch
    this.#gather = new CallGather(deps.rpc)
  }

  /**
   * Notes which of them supervisord spawned within its last second or two: an event of that may be under way. What is
   * to be seen as its child for longer needs no question, and a hundred of these take 50 ms; one is asked in any case,
   * so that nothing is begun with a supervisord that gives no answer.
   */
  async noteYoung(entries: readonly Entry[], supervisord: number | null, signal: AbortSignal): Promise<void> {
    const isOld = oldChildrenOf(supervisord)
    const names = entries.flatMap(({ name, pid }) => (isSafe(name) && !isOld(pid) ? [name] : []))
    if (names.length === 0) return void (await this.#rpc.call('supervisor.getState', [], { signal }))
    const calls = names.map((name) => ({ method: 'supervisor.getProcessInfo', params: [name] }))
    const answers = await this.#rpc.batch(calls, { signal })
    answers.forEach((answer, index) => {
      const info = ProcessInfo.safeParse(answer)
      const name = names[index]
      if (!info.success || name === undefined || info.data.pid === 0) return
      if (info.data.now - info.data.start <= 1) this.#spawnedAtMs.set(name, Date.now())
      else this.#spawnedAtMs.delete(name)
    })
  }

  /** @returns whether there was something to start. @throws {AgentError} START_FAILED, PROCESS_NOT_FOUND */
  async start(name: string, wait: boolean, signal: AbortSignal): Promise<boolean> {
    // a start of what is STOPPING is taken for done by supervisord, and nothing happens
    await this.#watch.wait(name, (entry) => (entry?.state === 'STOPPING' ? undefined : true), signal)
    const before = this.#table.need(name)
    const mark = before.spawnedAtMs
    const isBackoff = before.state === 'BACKOFF'
    const changed = await this.#begin(
      name,
      () => this.#gather.begin('supervisor.startProcess', name, signal),
      { nothingToDo: 'ALREADY_STARTED' },
    ).catch(async (error: unknown) => {
      // supervisord says so already in its answer when the process has ended by then; events say how
      if (wait && (await this.#hasEndedAtOnce(name, error, signal))) return true
      throw error
    })
    if (changed) this.#spawnedAtMs.set(name, Date.now())
    if (!wait) return changed
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

  /** Whether it is down, or about to be, and was not started since a time of this host's clock. */
  async isDownSince(name: string, atMs: number, signal: AbortSignal): Promise<boolean> {
    const answer = await this.#rpc.call('supervisor.getProcessInfo', [name], { signal })
    const { statename, start } = parsed(ProcessInfo, answer)
    return (DOWN.has(statename) || statename === 'STOPPING') && start * 1000 <= atMs
  }

  async #hasEndedAtOnce(name: string, error: unknown, signal: AbortSignal): Promise<boolean> {
    if (!(error instanceof AgentError) || error.code !== 'START_FAILED') return false
    const answer = await this.#rpc.call('supervisor.getProcessInfo', [name], { signal })
    return parsed(ProcessInfo, answer).spawnerr.startsWith(TOO_QUICK)
  }

  /** @returns whether there was something to stop. @throws {AgentError} STOP_FAILED, PROCESS_NOT_FOUND */
  async stop(name: string, wait: boolean, signal: AbortSignal): Promise<boolean> {
    const spawnedAtMs = Math.max(this.#table.need(name).spawnedAtMs, this.#spawnedAtMs.get(name) ?? 0)
    const youngMs = SPAWN_SETTLE_MS - (Date.now() - spawnedAtMs)
    if (youngMs > 0) await sleep(Math.min(youngMs, SPAWN_SETTLE_MS), signal)
    const { state, spawnedAtMs: mark } = this.#table.need(name)
    const changed =
      (await this.#beginStop(name, signal)) ||
      (!AT_REST.has(state) && (await this.#stopRespawning(name, signal)))
    if (!wait) return changed
    await this.#watch.wait(
      name,
      (entry) => {
        if (!entry) throw gone(name)
        if (entry.state === 'UNKNOWN')
          throw new AgentError('STOP_FAILED', `supervisord has lost track of ${name}: its state is UNKNOWN`, {
            facts: { process: name },
          })
        if (!changed) return DOWN.has(entry.state) || undefined
        // a stop ends in STOPPED; what else is down, or was before, the events of this stop are yet to reach
        const isOld = state === 'STOPPED' && entry.spawnedAtMs === mark
        return (entry.state === 'STOPPED' && !isOld) || undefined
      },
      signal,
    )
    return changed
  }

  #beginStop(name: string, signal: AbortSignal): Promise<boolean> {
    return this.#begin(name, () => this.#gather.begin('supervisor.stopProcess', name, signal), {
      nothingToDo: 'NOT_RUNNING',
    })
  }

  /**
   * What has just EXITED cannot be stopped, and yet supervisord starts it again in its next turn when it has
   * `autorestart`. Asks until it was stopped, or stays down. @returns whether it was stopped
   */
  async #stopRespawning(name: string, signal: AbortSignal): Promise<boolean> {
    for (let waitedMs = 0; waitedMs < STAYS_DOWN_MS; waitedMs += SPAWN_SETTLE_MS) {
      const answer = await this.#rpc.call('supervisor.getProcessInfo', [name], { signal })
      const { statename, now, stop } = parsed(ProcessInfo, answer)
      if (AT_REST.has(statename) || statename === 'STOPPING') return false
      if (statename === 'EXITED' && (now - stop) * 1000 >= RESPAWN_MS) return false
      await sleep(SPAWN_SETTLE_MS, signal)
      if (await this.#beginStop(name, signal)) return true
    }
    return false
  }

  /**
   * Waits until another process than that of `pid` is RUNNING under the name; one that stays down is started.
   * @throws {AgentError} START_FAILED, PROCESS_NOT_FOUND
   */
  async replaced(name: string, pid: number, signal: AbortSignal): Promise<void> {
    const other = (entry: Entry | undefined) => {
      if (!entry) throw gone(name)
      return entry.pid === pid ? null : entry
    }
    await this.#watch.wait(name, (entry) => other(entry) ?? undefined, signal)
    const soon = AbortSignal.any([signal, AbortSignal.timeout(RESPAWN_MS)])
    try {
      await this.#watch.wait(name, (entry) => other(entry)?.state === 'RUNNING' || undefined, soon)
    } catch (error) {
      if (signal.aborted || !soon.aborted) throw error
      await this.start(name, true, signal)
    }
  }

  async signal(name: string, signalName: string, signal: AbortSignal): Promise<boolean> {
    await this.#begin(name, () => this.#rpc.call('supervisor.signalProcess', [name, signalName], { signal }))
    return true
  }

  /** Asks supervisord to begin. @returns false where there was nothing to do */
  async #begin(
    name: string,
    ask: () => Promise<unknown>,
    passes: { nothingToDo?: Fault } = {},
  ): Promise<boolean> {
    try {
      await ask()
      return true
    } catch (error) {
      if (!(error instanceof AgentError)) throw error
      const fault = error.facts['fault']
      if (fault === passes.nothingToDo) return false
      if (fault === 'BAD_NAME') throw gone(name)
      if (SPAWN_FAULTS.has(String(fault)))
        throw new AgentError('START_FAILED', `${name} could not be spawned: ${error.message}`, {
          cause: error,
        })
      throw error
    }
  }
}

/** How supervisord's word for an end before `startsecs` begins (supervisor/process.py, finish). */
const TOO_QUICK = 'Exited too quickly'

const SPAWN_FAULTS: ReadonlySet<string> = new Set([
  'SPAWN_ERROR',
  'ABNORMAL_TERMINATION',
  'NO_FILE',
  'NOT_EXECUTABLE',
])

/** Tells whether a process has been its child for some seconds; false where that cannot be seen. */
function oldChildrenOf(parent: number | null): (pid: number | null) => boolean {
  const upMs = uptime() * 1000
  return (pid) => {
    const start = pid === null ? null : processStart(pid)
    return start !== null && start.parent === parent && upMs - Number(start.startTicks) * TICK_MS >= OLD_MS
  }
}

function gone(name: string): AgentError {
  return new AgentError('PROCESS_NOT_FOUND', `${name} left supervisord`, { facts: { process: name } })
}

function startFailed({ name, state, spawnError, lastExit }: Entry): AgentError {
  const exit =
    lastExit?.signal ?? (lastExit?.exitStatus === undefined ? null : `exit status ${lastExit.exitStatus}`)
  const why = [spawnError, exit].filter(Boolean).join('; ') || 'it ended before startsecs'
  return new AgentError('START_FAILED', `${name} is ${state}: ${why}; agent logs ${name} shows its output`, {
    facts: { process: name, state },
  })
}
