// Start, stop, restart and signal of many processes at once. None of the calls waits inside supervisord, which runs
// waiting calls of a multicall one after another. Calls for one process follow each other.
import { setMaxListeners } from 'node:events'
import type { Logger } from '../../logger.ts'
import { AgentError } from '../../protocol/errors.ts'
import type { ProcessResult, ProcessState } from '../../protocol/process.ts'
import type { SupervisorConnection } from './connection.ts'
import { gracefulTask, type Verbs } from './graceful.ts'
import { byProgram, eachRow, failedRow, type RowOptions, type Turn } from './process-rows.ts'
import type { ProcessSteps } from './process-steps.ts'
import type { Entry, ProcessTable } from './process-table.ts'
import { ProcessTurns } from './process-turns.ts'
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

const DOWN: ReadonlySet<ProcessState> = new Set(['STOPPED', 'EXITED', 'FATAL', 'BACKOFF'])
const SIGNAL_SHOWS_MS = 1_000

/** Options of a call that supervisord is being asked for. */
type Begun = ControlOptions & RowOptions

export type RestartMode = 'hard' | 'graceful' | 'rolling'

export interface RestartOptions extends ControlOptions {
  mode: RestartMode
  maxUnavailable: number
  /** Of the programs that have one, for `graceful`. */
  verbs?: Verbs | undefined
}

export interface Task {
  /** The states in which it has ended, well or not: events up to there name who asked. */
  until: readonly ProcessState[]
  stops: boolean
  /** True when it must be finished once begun, also with nobody waiting for it any more. */
  isWhole: boolean
  run(name: string, signal: AbortSignal, turn: Turn): Promise<boolean>
}

export class ProcessControl {
  readonly #rpc: SupervisorRpc
  readonly #table: ProcessTable
  readonly #steps: ProcessSteps
  readonly #connection: SupervisorConnection
  readonly #logger: Logger
  readonly #turns = new ProcessTurns()
  readonly #end = new AbortController()
  /** Aborts with the supervisord that was asked. */
  #run = new AbortController()

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
    setMaxListeners(0, this.#end.signal, this.#run.signal)
  }

  /** supervisord ended: nothing that was begun there goes on, and what its successor does nobody here asked for. */
  supervisordGone(): void {
    const run = this.#run
    this.#run = new AbortController()
    setMaxListeners(0, this.#run.signal)
    for (const entry of this.#table.all()) entry.actor = null
    run.abort(
      new AgentError('SUPERVISOR_UNREACHABLE', 'supervisord ended meanwhile: what came of it is not known'),
    )
  }

  /** The agent stops: what goes on with nobody waiting is given up, and said so in the log. */
  stop(): void {
    this.#end.abort(new AgentError('SHUTTING_DOWN', 'the agent is stopping'))
  }

  async start(entries: readonly Entry[], options: ControlOptions): Promise<ProcessResult[]> {
    return await this.#inTurn(entries, this.#begin(options), {
      until: ['RUNNING', 'BACKOFF', 'FATAL', 'EXITED'],
      stops: false,
      isWhole: false,
      run: (name, signal) => this.#steps.start(name, options.wait, signal),
    })
  }

  async stopAll(entries: readonly Entry[], options: ControlOptions): Promise<ProcessResult[]> {
    return await this.#inTurn(entries, this.#begin(options), {
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
    const begun = { ...this.#begin(options), maxUnavailable: options.maxUnavailable }
    if (options.mode === 'graceful' && options.verbs) {
      const { verbs, wait, signal } = options
      const isAsked = ({ program, state }: Entry) => state === 'RUNNING' && verbs.has(program)
      const asked = entries.filter(isAsked)
      const byVerb = gracefulTask({ steps: this.#steps, table: this.#table, signal }, asked, { verbs, wait })
      const results = await Promise.all([
        this.#inTurn(asked, begun, byVerb),
        this.#inTurn(
          entries.filter((entry) => !isAsked(entry)),
          begun,
          task,
        ),
      ])
      return results.flat()
    }
    if (options.mode !== 'rolling') return await this.#inTurn(entries, begun, task)
    const results = await Promise.all(
      [...byProgram(entries).values()].map((group) => this.#roll(group, begun, task)),
    )
    return results.flat()
  }

  /** Waits for no other call: a signal is often what ends a slow stop. */
  async signal(entries: readonly Entry[], name: string, options: ControlOptions): Promise<ProcessResult[]> {
    return await eachRow(entries, this.#begin(options), async (entry, { signal }) => {
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

  /**
   * A call begins. From here on it has rows alone: what fails later says nothing of what is done already.
   * @throws {AgentError} SUPERVISOR_UNREACHABLE when supervisord cannot be asked: nothing was done
   */
  #begin(options: ControlOptions): Begun {
    this.#connection.assertUp()
    return {
      ...options,
      run: this.#run.signal,
      stateOf: (name) => this.#table.get(name)?.state ?? 'gone',
    }
  }

  async #roll(
    entries: readonly Entry[],
    begun: Begun & { maxUnavailable: number },
    task: Task,
  ): Promise<ProcessResult[]> {
    const results: ProcessResult[] = []
    while (results.length < entries.length) {
      const rest = entries.slice(results.length)
      const why = results.some(({ ok }) => !ok)
        ? new AgentError('CANCELLED', 'a restart before it failed')
        : this.#whyNotAsked(begun)
      if (why)
        results.push(...rest.map(({ name }) => failedRow(name, why.code, `left as it was: ${why.message}`)))
      else results.push(...(await this.#inTurn(rest.slice(0, begun.maxUnavailable), begun, task)))
    }
    return results
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

  /** Nothing more is taken down while nobody can say that it would come up again. */
  #whyNotAsked({ run }: Begun): AgentError | null {
    if (run.aborted) return new AgentError('SUPERVISOR_UNREACHABLE', 'supervisord ended meanwhile')
    return this.#connection.trouble
  }

  async #inTurn(entries: readonly Entry[], options: Begun, task: Task): Promise<ProcessResult[]> {
    // one question for all of them
    const isYoungKnown = task.stops ? this.#steps.noteYoung(entries, options.signal) : Promise.resolve()
    isYoungKnown.catch(() => undefined) // each row that gets its turn says it
    const begin = async (name: string, turn: Turn, ends: readonly AbortSignal[]) => {
      await isYoungKnown
      for (const end of ends) end.throwIfAborted()
      turn.hasBegun = true
      return await this.#task(name, { turn, actor: options.actor, task, ends })
    }
    return await eachRow(entries, options, ({ name }, turn) =>
      task.isWhole
        ? this.#turns.whole(name, turn.signal, (superseded) =>
            begin(name, turn, [superseded, this.#end.signal, options.run]),
          )
        : this.#turns.run(name, turn.signal, () => begin(name, turn, [turn.signal])),
    )
  }

  async #task(
    name: string,
    { turn, actor, task, ends }: { turn: Turn; actor: string; task: Task; ends: readonly AbortSignal[] },
  ): Promise<boolean> {
    const entry = this.#table.need(name)
    entry.actor = actor
    entry.actorUntil = new Set(task.until)
    const hasEnded = () => ends.some(({ aborted }) => aborted)
    try {
      const changed = await task.run(name, AbortSignal.any([...ends]), turn)
      if (!changed) entry.actor = null
      return changed
    } catch (error) {
      // with a deadline that passed the effect is still under way, and its events are the caller's
      if (!hasEnded()) entry.actor = null
      else if (task.isWhole)
        this.#logger.warn({ process: name, state: entry.state, err: error }, 'a restart ended half done')
      throw error
    }
  }
}
