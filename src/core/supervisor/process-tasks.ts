// What is done with processes, in turn: calls for one process follow each other, a restart that was begun is finished,
// and what the end of the agent cuts short is finished by the next one.
import { setMaxListeners } from 'node:events'
import type { Logger } from '../../logger.ts'
import { AgentError } from '../../protocol/errors.ts'
import type { ProcessResult, ProcessState } from '../../protocol/process.ts'
import type { SupervisorConnection } from './connection.ts'
import { eachRow, failedRow, lostRight, type RowOptions, type Turn } from './process-rows.ts'
import type { ProcessSteps } from './process-steps.ts'
import type { Entry, ProcessTable } from './process-table.ts'
import { ProcessTurns } from './process-turns.ts'
import type { RestartNote, RestartNotes } from './restart-notes.ts'

export interface ControlOptions {
  /** False: return as soon as supervisord has begun. */
  wait: boolean
  timeoutMs: number
  /** Aborts the call as a whole: CANCELLED, SHUTTING_DOWN. */
  signal: AbortSignal
  actor: string
  onProgress?: (done: number, total: number, text: string) => void
}

/** Options of a call that supervisord is being asked for. */
export type Begun = ControlOptions & RowOptions

export interface Task {
  /** The states in which it has ended, well or not: events up to there name who asked. */
  until: readonly ProcessState[]
  stops: boolean
  /** True when it must be finished once begun, also with nobody waiting for it any more. */
  isWhole: boolean
  run(name: string, signal: AbortSignal, turn: Turn): Promise<boolean>
}

export class ProcessTasks {
  readonly #table: ProcessTable
  readonly #steps: ProcessSteps
  readonly #connection: SupervisorConnection
  readonly #notes: RestartNotes
  readonly #localPid: () => number | null
  readonly #logger: Logger
  readonly #turns = new ProcessTurns()
  readonly #end = new AbortController()
  /** Aborts with the supervisord that was asked. */
  #run = new AbortController()

  constructor(deps: {
    table: ProcessTable
    steps: ProcessSteps
    connection: SupervisorConnection
    notes: RestartNotes
    /** That of supervisord where its processes can be seen from here; else null. */
    localPid: () => number | null
    logger: Logger
  }) {
    this.#table = deps.table
    this.#steps = deps.steps
    this.#connection = deps.connection
    this.#notes = deps.notes
    this.#localPid = deps.localPid
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

  /** Finishes the restarts that the end of an earlier run of the agent cut short. */
  finishRestarts(supervisord: number): void {
    for (const note of this.#notes.takeLeft(supervisord))
      void this.#finish(note).catch((error: unknown) =>
        this.#logger.warn(
          { err: error, process: note.process },
          'a restart that was cut short is not finished',
        ),
      )
  }

  /**
   * A call begins. From here on it has rows alone: what fails later says nothing of what is done already.
   * @throws {AgentError} SUPERVISOR_UNREACHABLE when supervisord cannot be asked: nothing was done
   */
  begin(options: ControlOptions): Begun {
    this.#connection.assertUp()
    return {
      ...options,
      run: this.#run.signal,
      stateOf: (name) => this.#table.get(name)?.state ?? 'gone',
    }
  }

  /** A few at a time, and none after one that did not come up. */
  async roll(
    entries: readonly Entry[],
    begun: Begun & { maxUnavailable: number },
    task: Task,
  ): Promise<ProcessResult[]> {
    const results: ProcessResult[] = []
    while (results.length < entries.length) {
      const rest = entries.slice(results.length)
      const why = this.#whyNotNext(results, begun)
      if (why)
        results.push(...rest.map(({ name }) => failedRow(name, why.code, `left as it was: ${why.message}`)))
      else results.push(...(await this.inTurn(rest.slice(0, begun.maxUnavailable), begun, task)))
    }
    return results
  }

  /** All at once, each in its turn. */
  async inTurn(entries: readonly Entry[], options: Begun, task: Task): Promise<ProcessResult[]> {
    // one question for all of them
    const isYoungKnown = task.stops
      ? this.#steps.noteYoung(entries, this.#localPid(), options.signal)
      : Promise.resolve()
    isYoungKnown.catch(() => undefined) // each row that gets its turn says it
    const begin = async (name: string, turn: Turn, ends: readonly AbortSignal[]) => {
      turn.note = 'nothing was begun: supervisord gave no answer'
      await isYoungKnown
      // its row may have said by now that nothing was begun
      turn.signal.throwIfAborted()
      delete turn.note
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

  #whyNotNext(results: readonly ProcessResult[], begun: Begun): AgentError | null {
    const lost = lostRight(begun.signal)
    if (lost) return new AgentError('CANCELLED', lost.message)
    if (results.some(({ ok }) => !ok)) return new AgentError('CANCELLED', 'a restart before it failed')
    return this.#whyNotAsked(begun)
  }

  /** Nothing more is taken down while nobody can say that it would come up again. */
  #whyNotAsked({ run }: Begun): AgentError | null {
    if (run.aborted) return new AgentError('SUPERVISOR_UNREACHABLE', 'supervisord ended meanwhile')
    return this.#connection.trouble
  }

  async #finish({ process: name, actor, atMs }: RestartNote): Promise<void> {
    // nobody waits for it: a later call takes its place at once
    const caller = new AbortController()
    await this.#turns.whole(name, caller.signal, async (superseded) => {
      caller.abort()
      const task: Task = {
        until: ['RUNNING', 'BACKOFF', 'FATAL'],
        stops: false,
        isWhole: true,
        run: async (_, signal) => {
          const isOver = !(await this.#steps.isDownSince(name, atMs, signal))
          if (isOver) return false
          this.#logger.warn(
            { process: name, actor },
            'a restart was cut short by the end of the agent: it is started',
          )
          return await this.#steps.start(name, false, signal)
        },
      }
      if (!this.#table.get(name)) return false
      const ends = [superseded, this.#end.signal, this.#run.signal]
      return await this.#task(name, { turn: { signal: superseded, hasBegun: true }, actor, task, ends })
    })
    if (!this.#end.signal.aborted) this.#notes.end(name)
  }

  async #task(
    name: string,
    { turn, actor, task, ends }: { turn: Turn; actor: string; task: Task; ends: readonly AbortSignal[] },
  ): Promise<boolean> {
    const entry = this.#table.need(name)
    entry.actor = actor
    entry.actorUntil = new Set(task.until)
    const hasEnded = () => ends.some(({ aborted }) => aborted)
    const supervisord = this.#connection.status.identity?.pid
    if (task.isWhole && supervisord !== undefined) await this.#notes.begin(name, { actor, supervisord })
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
    } finally {
      // the next run of the agent finishes what its end cuts short
      if (task.isWhole && !this.#end.signal.aborted) this.#notes.end(name)
    }
  }
}
