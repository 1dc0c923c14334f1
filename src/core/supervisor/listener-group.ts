import { sleep } from '../../lib/sleep.ts'
import { AgentError } from '../../protocol/errors.ts'
import { LISTENER_GROUP } from './listener-section.ts'

const START_MS = 5_000
const POLL_MS = 50

/** What of supervisord's API the listener's installation needs; faults come as SUPERVISOR_FAULT with `facts.fault`. */
export interface Rpc {
  call(method: string, params: readonly (string | number | boolean)[]): Promise<unknown>
}

/** What differs between the files and the running supervisord and is not ours: left as it is. */
export interface ForeignChanges {
  added: string[]
  changed: string[]
  removed: string[]
}

/** Our one group in the running supervisord. No call names another. */
export class ListenerGroup {
  readonly #rpc: Rpc

  constructor(rpc: Rpc) {
    this.#rpc = rpc
  }

  /** Lets supervisord read its files again, which changes no process; `isChanged` is about our group. */
  async reread(): Promise<{ foreign: ForeignChanges; isChanged: boolean }> {
    const answer = await this.#rpc.call('supervisor.reloadConfig', [])
    const lists: unknown[] = Array.isArray(answer) && Array.isArray(answer[0]) ? answer[0] : []
    const [added = [], changed = [], removed = []] = lists.map(names)
    const foreign = { added: others(added), changed: others(changed), removed: others(removed) }
    return { foreign, isChanged: changed.includes(LISTENER_GROUP) }
  }

  /** False when the group is there already. */
  add(): Promise<boolean> {
    return this.#unless('ALREADY_ADDED', 'supervisor.addProcessGroup')
  }

  /** False when there is no such group. */
  async drop(): Promise<boolean> {
    if (!(await this.#unless('BAD_NAME', 'supervisor.stopProcessGroup'))) return false
    return this.#unless('BAD_NAME', 'supervisor.removeProcessGroup')
  }

  /** Takes the definition of the files; events that supervisord keeps for the old one are lost. */
  async replace(): Promise<void> {
    await this.drop()
    await this.add()
  }

  /** A new process with the same definition: supervisord keeps the events meanwhile. */
  async restart(): Promise<void> {
    await this.#rpc.call('supervisor.stopProcessGroup', [LISTENER_GROUP])
    await this.#rpc.call('supervisor.startProcessGroup', [LISTENER_GROUP])
  }

  /** supervisord's word for the state of the listener, null when it has none. */
  async state(): Promise<string | null> {
    try {
      const info = await this.#rpc.call('supervisor.getProcessInfo', [`${LISTENER_GROUP}:${LISTENER_GROUP}`])
      return typeof info === 'object' && info !== null && 'statename' in info ? String(info.statename) : null
    } catch (error) {
      if (isFault(error, 'BAD_NAME')) return null
      throw error
    }
  }

  /** The state once it has started or failed; supervisord starts a new group within its next second. */
  async settledState(): Promise<string | null> {
    const deadline = performance.now() + START_MS
    for (;;) {
      const state = await this.state()
      if (!['STOPPED', 'STARTING', 'BACKOFF'].includes(state ?? '') || performance.now() > deadline)
        return state
      await sleep(POLL_MS)
    }
  }

  /** Calls for our group; false at the named fault. */
  async #unless(fault: string, method: string): Promise<boolean> {
    try {
      await this.#rpc.call(method, [LISTENER_GROUP])
      return true
    } catch (error) {
      if (isFault(error, fault)) return false
      throw error
    }
  }
}

function isFault(error: unknown, fault: string): boolean {
  return error instanceof AgentError && error.code === 'SUPERVISOR_FAULT' && error.facts['fault'] === fault
}

function names(list: unknown): string[] {
  return Array.isArray(list) ? list.map(String) : []
}

function others(list: string[]): string[] {
  return list.filter((name) => name !== LISTENER_GROUP)
}
