// Applies changed configuration files on behalf of somebody: within the programs of their token, and to the groups that
// they name alone.
import { AgentError } from '../../protocol/errors.ts'
import { mayUseProgram, type Principal } from '../access/principal.ts'
import type { ProgramDefinition } from '../policy/subject.ts'
import type { SupervisorConnection } from './connection.ts'
import type { Discovery } from './discovery.ts'
import type { Observer } from './observer.ts'
import { definitionsOf } from './process-config.ts'
import type { GroupChanges, ProcessGroups } from './process-groups.ts'
import type { ProcessTable } from './process-table.ts'
import { baseProgram } from './program-index.ts'
import { indexPrograms } from './program-index-files.ts'
import type { SupervisorRpc } from './rpc.ts'

export interface UpdateOptions {
  principal: Principal
  signal: AbortSignal
  /** Judges a program as supervisord has read it, before anything is stopped or started. @throws {AgentError} */
  allow: (definition: ProgramDefinition) => Promise<unknown>
}

interface GroupUpdateDeps {
  rpc: SupervisorRpc
  connection: SupervisorConnection
  observer: Observer
  table: ProcessTable
  groups: ProcessGroups
  discover(): Promise<Discovery>
}

export class GroupUpdate {
  readonly #deps: GroupUpdateDeps

  constructor(deps: GroupUpdateDeps) {
    this.#deps = deps
  }

  /**
   * Refuses groups that hold programs outside the caller's own, as far as is known before supervisord reads its files.
   * @throws {AgentError} FORBIDDEN; INVALID_PARAMS without groups, but on admin.sock
   */
  judge(wanted: readonly string[] | undefined, principal: Principal): void {
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
  async run(
    wanted: readonly string[] | undefined,
    { principal, signal, allow }: UpdateOptions,
  ): Promise<GroupChanges> {
    const { table, connection } = this.#deps
    connection.assertUp()
    const found = await this.#deps.groups.reread(signal)
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
