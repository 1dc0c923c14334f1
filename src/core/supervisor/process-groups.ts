// Groups in the running supervisord: what `supervisorctl reread`, `add` and `remove` do, one group at a time. No call
// touches a group that it was not given.
import { setMaxListeners } from 'node:events'
import * as z from 'zod'
import { AgentError } from '../../protocol/errors.ts'
import type { ProcessState } from '../../protocol/process.ts'
import type { SupervisorConnection } from './connection.ts'
import { LISTENER_GROUP } from './listener-section.ts'
import type { Observer } from './observer.ts'
import { parsed } from './process-info.ts'
import type { ProcessTable } from './process-table.ts'
import type { SupervisorRpc } from './rpc.ts'
import type { StateWatch } from './state-watch.ts'

/** What differs between the files and the running groups. */
export interface GroupChanges {
  added: string[]
  changed: string[]
  removed: string[]
}

const NOT_STARTED = new Set([
  'ALREADY_STARTED',
  'BAD_NAME',
  'SPAWN_ERROR',
  'ABNORMAL_TERMINATION',
  'NO_FILE',
  'NOT_EXECUTABLE',
])
const Reread = z.tuple([z.tuple([z.array(z.string()), z.array(z.string()), z.array(z.string())])])
const AT_REST = new Set<ProcessState>(['STOPPED', 'FATAL'])
const REMOVE_TRIES = 20
/** The longest `stopwaitsecs` that is waited for. */
const STOP_MS = 3_600_000

export class ProcessGroups {
  readonly #rpc: SupervisorRpc
  readonly #table: ProcessTable
  readonly #watch: StateWatch
  readonly #observer: Observer
  readonly #connection: SupervisorConnection
  #gone = new AbortController()

  constructor(deps: {
    rpc: SupervisorRpc
    table: ProcessTable
    watch: StateWatch
    observer: Observer
    connection: SupervisorConnection
  }) {
    this.#rpc = deps.rpc
    this.#table = deps.table
    this.#watch = deps.watch
    this.#observer = deps.observer
    this.#connection = deps.connection
  }

  /** Ends when supervisord does: nothing that was begun in it goes on. */
  get gone(): AbortSignal {
    return this.#gone.signal
  }

  supervisordGone(): void {
    const gone = this.#gone
    this.#gone = new AbortController()
    gone.abort(new AgentError('SUPERVISOR_UNREACHABLE', 'supervisord ended meanwhile'))
  }

  /**
   * Lets supervisord read its files, which changes no process. The agent's own listener group is left out.
   * @throws {AgentError} SUPERVISOR_FAULT with `fault` CANT_REREAD, SUPERVISOR_UNREACHABLE
   */
  async reread(signal?: AbortSignal): Promise<GroupChanges> {
    const { trouble } = this.#connection
    if (trouble) throw trouble
    const answer = await this.#rpc.call('supervisor.reloadConfig', [], signal ? { signal } : {})
    const [[added, changed, removed]] = parsed(Reread, answer)
    const own = (names: string[]) => names.filter((name) => name !== LISTENER_GROUP)
    return { added: own(added), changed: own(changed), removed: own(removed) }
  }

  /** Names who makes the processes of a group go or come, for the events of both. @returns the undo */
  expect(group: string, actor: string): () => void {
    for (const entry of this.#table.all()) if (entry.group === group) this.#table.comes(entry, actor, STOP_MS)
    return this.#table.expectGroup(group, actor)
  }

  /** Adds a group that the last reread found; its processes with autostart start. */
  async add(group: string): Promise<void> {
    await this.#call('supervisor.addProcessGroup', group, 'ALREADY_ADDED')
    // no event will tell of processes that nobody knows yet
    if (!this.#observer.isEventDriven) await this.#observer.reconcile()
  }

  /** Stops the processes of a group, waits for the end of each, and removes it. */
  async remove(group: string): Promise<void> {
    for (let tries = 1; ; tries++) {
      await this.#stop(group)
      try {
        await this.#call('supervisor.removeProcessGroup', group, 'BAD_NAME')
        break
      } catch (error) {
        // what had just ended by itself was no process to stop, and supervisord has started it again since
        const isBack = error instanceof AgentError && error.facts['fault'] === 'STILL_RUNNING'
        if (!isBack || tries === REMOVE_TRIES) throw error
        await this.#observer.reconcile()
      }
    }
    await this.#forgotten(group)
  }

  /** Takes a group's definition of the last reread. What ran is started again, also without autostart. */
  async replace(group: string): Promise<void> {
    const names = this.running(group)
    await this.remove(group)
    await this.add(group)
    await this.startAgain(names)
  }

  /** The names of those of a group that have a process. */
  running(group: string): string[] {
    return this.#table
      .all()
      .flatMap((entry) => (entry.group === group && entry.pid !== null ? [entry.name] : []))
  }

  /** Starts processes without waiting for them; those that run already or that are gone are passed over. */
  async startAgain(names: readonly string[]): Promise<void> {
    for (const name of names)
      await this.#rpc.call('supervisor.startProcess', [name, false]).catch((error: unknown) => {
        // it has autostart and was faster, or the new definition has no such process, or it fails: its state tells
        const fault = error instanceof AgentError ? error.facts['fault'] : undefined
        if (!NOT_STARTED.has(String(fault))) throw error
      })
    // whoever looks next must not take how it was before for how it came out
    if (names.some((name) => this.#table.get(name)?.pid === null)) await this.#observer.reconcile()
  }

  /** Those of a group that was just added which supervisord started by itself, some aside. */
  async startedBesides(group: string, names: readonly string[]): Promise<string[]> {
    // supervisord answers after it has begun with what has autostart
    await this.#observer.reconcile()
    return this.#table
      .all()
      .filter((entry) => entry.group === group && !AT_REST.has(entry.state))
      .flatMap(({ name }) => (names.includes(name) ? [] : [name]))
  }

  async #stop(group: string): Promise<void> {
    const members = this.#table.all().filter((entry) => entry.group === group)
    try {
      await this.#rpc.call('supervisor.stopProcessGroup', [group, false])
    } catch (error) {
      if (error instanceof AgentError && error.facts['fault'] === 'BAD_NAME') return
      throw error
    }
    const within = AbortSignal.any([AbortSignal.timeout(STOP_MS), this.#gone.signal])
    setMaxListeners(0, within) // one for each process
    await Promise.all(
      members.map(({ name }) =>
        this.#watch.wait(name, (entry) => (!entry || entry.pid === null ? true : undefined), within),
      ),
    )
  }

  /** Until memory has no process of the group: what is added under its name next is new. */
  async #forgotten(group: string): Promise<void> {
    if (this.#table.all().some((entry) => entry.group === group)) await this.#observer.reconcile()
  }

  async #call(method: string, group: string, passes: string): Promise<void> {
    try {
      await this.#rpc.call(method, [group])
    } catch (error) {
      if (!(error instanceof AgentError) || error.facts['fault'] !== passes) throw error
    }
  }
}
