import { anyGlob } from '../../lib/glob.ts'
import type { Process, ProcessResult } from '../../protocol/process.ts'
import { mayUseProgram, type Principal } from '../access/principal.ts'
import type { EventBus } from '../events/bus.ts'
import type { SupervisorConnection } from './connection.ts'
import type { ProcessControl, RestartOptions } from './control.ts'
import type { Entry, ProcessTable } from './process-table.ts'
import type { ControlOptions } from './process-tasks.ts'
import { selectProcesses } from './select.ts'

export interface ProcessList {
  epoch: string
  seq: number
  supervisor: { state: 'running' | 'restarting' | 'shutdown' | 'unreachable'; reason?: string; since: string }
  processes: Process[]
}

/** What methods do with processes: selection first, then effect. */
export class ProcessService {
  readonly #table: ProcessTable
  readonly #control: ProcessControl
  readonly #connection: SupervisorConnection
  readonly #bus: EventBus

  constructor(deps: {
    table: ProcessTable
    control: ProcessControl
    connection: SupervisorConnection
    bus: EventBus
  }) {
    this.#table = deps.table
    this.#control = deps.control
    this.#connection = deps.connection
    this.#bus = deps.bus
  }

  /**
   * From memory, never waiting for supervisord. Without a selection: all that the principal may see. `programs`: only
   * processes of programs that one of these globs matches.
   */
  list(
    chosen: readonly Entry[] | undefined,
    principal: Principal,
    programs?: readonly string[],
  ): ProcessList {
    const { state, reason, since } = this.#connection.status
    const selected = chosen ?? this.#visible(principal)
    const isWanted = programs ? anyGlob(programs) : () => true
    const entries = selected.filter(({ program }) => isWanted(program))
    return {
      epoch: this.#bus.epoch,
      seq: this.#bus.seq,
      supervisor: { state, since, ...(reason === null ? {} : { reason }) },
      processes: entries.map((entry) => this.#table.view(entry)),
    }
  }

  /** What the others are given. @throws {AgentError} PROCESS_NOT_FOUND, FORBIDDEN */
  select(select: readonly string[], principal: Principal): Entry[] {
    // what is not known because supervisord never answered is not `not found`
    if (this.#table.size === 0) this.#connection.assertUp()
    return selectProcesses(this.#table, select, principal)
  }

  /** Ends once the processes are known, or supervisord to be away: not before is a snapshot worth anything. */
  get known(): Promise<void> {
    return this.#connection.settled
  }

  start(entries: readonly Entry[], options: ControlOptions): Promise<ProcessResult[]> {
    return this.#control.start(entries, options)
  }

  stop(entries: readonly Entry[], options: ControlOptions): Promise<ProcessResult[]> {
    return this.#control.stopAll(entries, options)
  }

  restart(entries: readonly Entry[], options: RestartOptions): Promise<ProcessResult[]> {
    return this.#control.restart(entries, options)
  }

  signal(entries: readonly Entry[], signal: string, options: ControlOptions): Promise<ProcessResult[]> {
    return this.#control.signal(entries, signal, options)
  }

  /** @throws {AgentError} SUPERVISOR_FAULT */
  async stdin(entries: readonly Entry[], text: string, signal: AbortSignal): Promise<void> {
    const [entry] = entries
    if (entry) await this.#control.stdin(entry, text, signal)
  }

  #visible(principal: Principal): readonly Entry[] {
    const isAllowed = mayUseProgram(principal)
    return this.#table.shown().filter(({ program }) => isAllowed(program))
  }
}
