import { atMost } from '../../lib/at-most.ts'
import { AgentError } from '../../protocol/errors.ts'
import type { SupervisorState } from '../../protocol/events.ts'
import { mayUseProgram, type Principal } from '../access/principal.ts'
import type { LogService } from '../logs/service.ts'
import type { ProgramDefinition } from '../policy/subject.ts'
import type { SupervisorConnection } from './connection.ts'
import type { Discovery } from './discovery.ts'
import type { ExitLog } from './exit-log.ts'
import { findListener } from './listener-section.ts'
import type { ListenerServer } from './listener-server.ts'
import type { Observer } from './observer.ts'
import type { OrphanWatch } from './orphans.ts'
import { definitionsOf } from './process-config.ts'
import type { GroupChanges, ProcessGroups } from './process-groups.ts'
import type { ProcessTable } from './process-table.ts'
import { baseProgram } from './program-index.ts'
import { indexPrograms } from './program-index-files.ts'
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

export interface UpdateOptions {
  principal: Principal
  signal: AbortSignal
  /** Judges a program as supervisord has read it, before anything is stopped or started. @throws {AgentError} */
  allow: (definition: ProgramDefinition) => Promise<unknown>
}

/** What methods do with supervisord itself. */
export class SupervisorService {
  readonly #deps: SupervisorServiceDeps

  constructor(deps: SupervisorServiceDeps) {
    this.#deps = deps
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
      orphans: this.#deps.orphans.alive(),
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
  reread(signal?: AbortSignal): Promise<GroupChanges> {
    return this.#deps.groups.reread(signal)
  }

  /**
   * Refuses groups that hold programs outside the caller's own, as far as is known before supervisord reads its files.
   * @throws {AgentError} FORBIDDEN; INVALID_PARAMS without groups, but on admin.sock
   */
  mayUpdate(wanted: readonly string[] | undefined, principal: Principal): void {
    if (wanted === undefined && principal.isAbovePolicy) return
    if (wanted === undefined)
      throw new AgentError('INVALID_PARAMS', 'groups: needed but on admin.sock', {
        facts: { issues: [{ path: 'groups', message: 'needed but on admin.sock' }] },
      })
    const members = this.#deps.table.all()
    for (const group of wanted) {
      const programs = members.flatMap((entry) => (entry.group === group ? [entry.program] : []))
      assertPrograms(principal, group, programs.length > 0 ? programs : [baseProgram(group)])
    }
  }

  /**
   * Applies what a reread finds, to the wanted groups alone: nothing else is stopped, added or removed. A program
   * that ran with autostart=false is started again. Every program that would be started is judged first, as
   * supervisord itself has read it, so that a file changed meanwhile changes nothing.
   * @throws {AgentError} FORBIDDEN, POLICY_DENIED, PROCESS_NOT_FOUND, STOP_FAILED, SUPERVISOR_FAULT
   */
  async update(
    wanted: readonly string[] | undefined,
    { principal, signal, allow }: UpdateOptions,
  ): Promise<GroupChanges> {
    const found = await this.reread(signal)
    const { table } = this.#deps
    const changes = [...found.added, ...found.changed, ...found.removed]
    for (const group of wanted ?? [])
      if (!changes.includes(group) && !table.all().some((entry) => entry.group === group))
        throw new AgentError(
          'PROCESS_NOT_FOUND',
          `there is no group ${group}, neither in the files nor in supervisord`,
          {
            facts: { group },
          },
        )
    const isWanted = (group: string) => wanted === undefined || wanted.includes(group)
    const todo = {
      added: found.added.filter(isWanted),
      changed: found.changed.filter(isWanted),
      removed: found.removed.filter(isWanted),
    }
    await this.#allowAll([...todo.added, ...todo.changed], { principal, allow })
    signal.throwIfAborted()
    const { groups } = this.#deps
    const touched = [...todo.removed, ...todo.changed, ...todo.added]
    const undo = touched.map((group) => groups.expect(group, principal.actor))
    // from here on to the end, whoever still waits for it: a group half replaced is a group that does not run
    const steps = [
      ...todo.removed.map((group) => ({ group, step: groups.remove(group) })),
      ...todo.changed.map((group) => ({ group, step: groups.replace(group) })),
      ...todo.added.map((group) => ({ group, step: groups.add(group) })),
    ]
    const outcomes = await Promise.allSettled(steps.map(({ step }) => step))
    await this.#deps.observer.reconcile().finally(() => {
      for (const forget of undo) forget()
    })
    const failed = steps.flatMap(({ group }, index) => {
      const outcome = outcomes[index]
      return outcome?.status === 'rejected' ? [{ group, reason: reasonOf(outcome.reason) }] : []
    })
    if (failed.length === 0) return todo
    throw new AgentError(
      'SUPERVISOR_FAULT',
      `${failed.map(({ group, reason }) => `${group}: ${reason}`).join('; ')}${
        failed.length < steps.length ? '; the other groups are updated' : ''
      }`,
      { facts: { fault: 'FAILED', groups: failed.map(({ group }) => group) } },
    )
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

  async #allowAll(
    groups: readonly string[],
    { principal, allow }: Pick<UpdateOptions, 'principal' | 'allow'>,
  ): Promise<void> {
    if (groups.length === 0) return
    const index = indexPrograms(await this.#deps.discover())
    const definitions = definitionsOf(await this.#deps.rpc.call('supervisor.getAllConfigInfo', []), index)
    const chosen = definitions.filter(({ group }) => groups.includes(group))
    for (const { group, definition } of chosen) assertPrograms(principal, group, [definition.name])
    for (const { definition } of chosen) await allow(definition)
  }
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

function assertPrograms(principal: Principal, group: string, programs: readonly string[]): void {
  if (programs.every(mayUseProgram(principal))) return
  throw new AgentError('FORBIDDEN', `the group ${group} holds programs outside those of this token`, {
    facts: { rule: 'token.programs', group },
  })
}
