// Start, stop, restart and signal of many processes at once. None of the calls waits inside supervisord, which runs
// waiting calls of a multicall one after another.
import type { ProcessResult, ProcessState } from '../../protocol/process.ts'
import type { SupervisorConnection } from './connection.ts'
import { gracefulTask, type Verbs } from './graceful.ts'
import { byProgram, eachRow, type Turn } from './process-rows.ts'
import type { ProcessSteps } from './process-steps.ts'
import type { Entry, ProcessTable } from './process-table.ts'
import type { ControlOptions, ProcessTasks, Task } from './process-tasks.ts'
import type { SupervisorRpc } from './rpc.ts'

const DOWN: ReadonlySet<ProcessState> = new Set(['STOPPED', 'EXITED', 'FATAL', 'BACKOFF'])
const SIGNAL_SHOWS_MS = 1_000

export type RestartMode = 'hard' | 'graceful' | 'rolling'

export interface RestartOptions extends ControlOptions {
  mode: RestartMode
  maxUnavailable: number
  /** Of the programs that have one, for `graceful`. */
  verbs?: Verbs | undefined
}

export class ProcessControl {
  readonly #rpc: SupervisorRpc
  readonly #table: ProcessTable
  readonly #steps: ProcessSteps
  readonly #connection: SupervisorConnection
  readonly #tasks: ProcessTasks

  constructor(deps: {
    rpc: SupervisorRpc
    table: ProcessTable
    steps: ProcessSteps
    connection: SupervisorConnection
    tasks: ProcessTasks
  }) {
    this.#rpc = deps.rpc
    this.#table = deps.table
    this.#steps = deps.steps
    this.#connection = deps.connection
    this.#tasks = deps.tasks
  }

  async start(entries: readonly Entry[], options: ControlOptions): Promise<ProcessResult[]> {
    return await this.#tasks.inTurn(entries, this.#tasks.begin(options), {
      until: ['RUNNING', 'BACKOFF', 'FATAL', 'EXITED'],
      stops: false,
      isWhole: false,
      run: (name, signal) => this.#steps.start(name, options.wait, signal),
    })
  }

  async stopAll(entries: readonly Entry[], options: ControlOptions): Promise<ProcessResult[]> {
    return await this.#tasks.inTurn(entries, this.#tasks.begin(options), {
      until: ['STOPPED', 'EXITED', 'FATAL'],
      stops: true,
      isWhole: false,
      run: (name, signal, turn) => this.#stop(name, { wait: options.wait, signal, turn }),
    })
  }

  /**
   * Stop, wait, start. A restart whose caller gave up goes on: nobody wants it half done. A later call for the same
   * process takes its place. `rolling` takes at most `maxUnavailable` processes of a program at a time and does not go
   * on after one that did not come up. `graceful` uses the verbs of programs that have one; that of any other is its
   * stop signal and wait.
   */
  async restart(entries: readonly Entry[], options: RestartOptions): Promise<ProcessResult[]> {
    const task: Task = {
      until: ['RUNNING', 'BACKOFF', 'FATAL'],
      stops: true,
      isWhole: true,
      run: async (name, signal, turn) => {
        await this.#stop(name, { wait: true, signal, turn })
        await this.#steps.start(name, options.wait || options.mode === 'rolling', signal)
        return true
      },
    }
    const begun = { ...this.#tasks.begin(options), maxUnavailable: options.maxUnavailable }
    if (options.mode === 'graceful' && options.verbs) {
      const { verbs, wait, signal } = options
      const isAsked = ({ program, state }: Entry) => state === 'RUNNING' && verbs.has(program)
      const asked = entries.filter(isAsked)
      const byVerb = gracefulTask({ steps: this.#steps, table: this.#table, signal }, asked, { verbs, wait })
      const results = await Promise.all([
        this.#tasks.inTurn(asked, begun, byVerb),
        this.#tasks.inTurn(
          entries.filter((entry) => !isAsked(entry)),
          begun,
          task,
        ),
      ])
      return results.flat()
    }
    if (options.mode !== 'rolling') return await this.#tasks.inTurn(entries, begun, task)
    const results = await Promise.all(
      [...byProgram(entries).values()].map((group) => this.#tasks.roll(group, begun, task)),
    )
    return results.flat()
  }

  /** Waits for no other call: a signal is often what ends a slow stop. */
  async signal(entries: readonly Entry[], name: string, options: ControlOptions): Promise<ProcessResult[]> {
    return await eachRow(entries, this.#tasks.begin(options), async (entry, { signal }) => {
      const isFree = entry.actor === null
      if (isFree) {
        entry.actor = options.actor
        entry.actorUntil = DOWN
      }
      try {
        return await this.#steps.signal(entry.name, name, signal)
      } finally {
        // what it causes shows at once or has other causes too
        if (isFree)
          setTimeout(() => {
            if (entry.actorUntil === DOWN) entry.actor = null
          }, SIGNAL_SHOWS_MS).unref()
      }
    })
  }

  /** Writes text to a process's stdin. @throws {AgentError} SUPERVISOR_FAULT when it does not run or does not read */
  async stdin(entry: Entry, text: string, signal: AbortSignal): Promise<void> {
    this.#connection.assertUp()
    await this.#rpc.call('supervisor.sendProcessStdin', [entry.name, Buffer.from(text)], { signal })
  }

  /** Stops one, and says so when its stop signal was not enough. */
  async #stop(
    name: string,
    { wait, signal, turn }: { wait: boolean; signal: AbortSignal; turn: Turn },
  ): Promise<boolean> {
    const before = this.#table.need(name).lastExit
    const changed = await this.#steps.stop(name, wait, signal)
    const exit = this.#table.get(name)?.lastExit
    if (changed && wait && exit?.signal === 'SIGKILL' && exit !== before)
      turn.remark = 'it did not end by itself within its stop wait: supervisord killed it'
    return changed
  }
}
