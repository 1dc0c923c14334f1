import { atMost } from '../../lib/at-most.ts'
import { AgentError } from '../../protocol/errors.ts'
import type { SupervisorState } from '../../protocol/events.ts'
import type { Principal } from '../access/principal.ts'
import type { LogService } from '../logs/service.ts'
import type { SupervisorConnection } from './connection.ts'
import type { Discovery } from './discovery.ts'
import type { ExitLog } from './exit-log.ts'
import { GroupUpdate, type UpdateOptions } from './group-update.ts'
import { findListener } from './listener-section.ts'
import type { ListenerServer } from './listener-server.ts'
import type { Observer } from './observer.ts'
import type { Orphan, OrphanWatch } from './orphans.ts'
import type { GroupChanges, ProcessGroups } from './process-groups.ts'
import type { ProcessTable } from './process-table.ts'
import type { SupervisorRpc } from './rpc.ts'

const STOP_MS = 3_600_000
const FIRST_LOOK_MS = 6_000

export interface SupervisorServiceDeps {
  rpc: SupervisorRpc
  connection: SupervisorConnection
  observer: Observer
  table: ProcessTable
  groups: ProcessGroups
  listener: ListenerServer
  exits: ExitLog
  orphans: OrphanWatch
  logs: LogService
  discover(): Promise<Discovery>
  /** @throws {AgentError} SUPERVISOR_FAULT when supervisord would refuse its files */
  dryRun(discovery: Discovery): Promise<void>
}

/** What methods do with supervisord itself. */
export class SupervisorService {
  readonly #deps: SupervisorServiceDeps
  readonly #update: GroupUpdate

  constructor(deps: SupervisorServiceDeps) {
    this.#deps = deps
    this.#update = new GroupUpdate(deps)
  }

  /** For `agent.info`. */
  brief(): {
    reachable: boolean
    reason?: string
    state: SupervisorState
    since: string
    version: string | null
    pid: number | null
    eventSource: 'listener' | 'fallback'
    exitStatuses: boolean
  } {
    const { connection, observer, exits } = this.#deps
    const { state, reason, since, identity } = connection.status
    return {
      reachable: connection.isUp,
      ...(reason === null ? {} : { reason }),
      state,
      since,
      version: identity?.version ?? null,
      pid: identity?.pid ?? null,
      eventSource: observer.isEventDriven ? 'listener' : 'fallback',
      exitStatuses: exits.isReadable,
    }
  }

  /** Processes that a killed supervisord has left. */
  orphans(): Orphan[] {
    return this.#deps.orphans.alive()
  }

  /** Returns when supervisord was asked for the first time, or is known to hang. */
  firstLook(): Promise<void> {
    return atMost(FIRST_LOOK_MS, this.#deps.connection.settled)
  }

  async info() {
    const { state, identity } = this.#deps.connection.status
    const found = await this.#deps.discover()
    const section = findListener(found.sections)
    const { connected, lost } = this.#deps.listener.status()
    return {
      identification: identity?.identification ?? null,
      version: identity?.version ?? null,
      state,
      pid: identity?.pid ?? null,
      configFile: found.mainFile,
      includes: found.includes,
      programDir: found.programDir,
      programExt: found.programExt,
      problems: found.problems,
      orphans: this.orphans(),
      listener: {
        installed: section !== undefined,
        connected,
        bufferSize: section ? Number(section.keys.get('buffer_size') ?? 10) : null,
        lost,
      },
    }
  }

  /** The end of supervisord's own log. @throws {AgentError} LOG_UNAVAILABLE */
  async log(bytes: number): Promise<{ text: string }> {
    const { mainLog, problems } = await this.#deps.discover()
    // one that hangs or is gone cannot be looked into, and its log says why
    const path = mainLog ?? this.#deps.exits.path
    if (path === null)
      throw new AgentError(
        'LOG_UNAVAILABLE',
        `supervisord has no log file that can be found: ${problems.join('; ') || 'its logfile is NONE or syslog'}`,
        { facts: { reason: 'none' } },
      )
    const { text } = await this.#deps.logs.tail(path, { bytes })
    return { text }
  }

  /** Compares files and running groups. The agent's own listener group is left out. */
  async reread(signal?: AbortSignal): Promise<GroupChanges> {
    this.#deps.connection.assertUp()
    return await this.#deps.groups.reread(signal)
  }

  /** As {@link GroupUpdate.judge}. */
  mayUpdate(wanted: readonly string[] | undefined, principal: Principal): void {
    this.#update.judge(wanted, principal)
  }

  /** As {@link GroupUpdate.run}. */
  update(wanted: readonly string[] | undefined, options: UpdateOptions): Promise<GroupChanges> {
    return this.#update.run(wanted, options)
  }

  /** @throws {AgentError} SUPERVISOR_FAULT when its configuration is broken: it would stop everything and end */
  async restart(principal: Principal, signal: AbortSignal): Promise<void> {
    const { connection, rpc } = this.#deps
    connection.assertUp()
    await this.#deps.dryRun(await this.#deps.discover())
    await this.#all(principal.actor, () => rpc.call('supervisor.restart', [], { signal }))
    connection.expect('restarting', principal.actor)
  }

  async shutdown(principal: Principal, signal: AbortSignal): Promise<void> {
    const { connection, rpc } = this.#deps
    connection.assertUp()
    await this.#all(principal.actor, () => rpc.call('supervisor.shutdown', [], { signal }))
    connection.expect('shutdown', principal.actor)
  }

  /** Names who ends all processes, and what starts of them again. */
  async #all(actor: string, ask: () => Promise<unknown>): Promise<void> {
    const { table } = this.#deps
    const running = table.all().filter(({ pid }) => pid !== null)
    for (const entry of running) table.comes(entry, actor, STOP_MS)
    try {
      await ask()
    } catch (error) {
      for (const entry of running) entry.actor = null
      throw error
    }
  }
}
