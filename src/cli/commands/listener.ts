// The listener is installed by talking to supervisord itself, so that it can be done with the daemon down; what is
// there can be looked at and removed with supervisord down too.
import { chmodSync, mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Config, loadConfig } from '../../config.ts'
import { type Discovery, discover } from '../../core/supervisor/discovery.ts'
import type { Rpc } from '../../core/supervisor/listener-group.ts'
import { ListenerInstall } from '../../core/supervisor/listener-install.ts'
import { SupervisorRpc } from '../../core/supervisor/rpc.ts'
import { packagedFile } from '../../packaged.ts'
import { AgentError } from '../../protocol/errors.ts'
import type { Globals } from '../globals.ts'

export type ListenerVerb = 'install' | 'remove' | 'status'

/** @returns the exit status; for `status` 0 when it is installed, up to date and running, else 3 */
export async function listenerCommand(verb: ListenerVerb, globals: Globals): Promise<number> {
  const config = loadConfig(globals.config)
  return await withInstall(config, verb, async (install) => {
    switch (verb) {
      case 'install': {
        const outcome = await install.install()
        tell(globals, outcome, installText(outcome))
        return outcome.groupState === 'RUNNING' ? 0 : 1
      }
      case 'remove': {
        const outcome = await install.remove()
        const text = outcome.changed
          ? `the event listener is removed${outcome.file ? ` (${outcome.file})` : ''}`
          : 'no event listener of ours was there'
        tell(globals, outcome, outcome.problem ? `${text}; but: ${outcome.problem}` : text)
        return 0
      }
      case 'status': {
        const status = await install.status()
        const text = status.installed
          ? `installed in ${status.file}, ${status.groupState ?? 'not loaded'}, buffer ${status.bufferSize}, ${status.upToDate ? 'up to date' : 'out of date: agent listener install'}`
          : 'not installed: agent listener install'
        tell(globals, status, text)
        return status.installed && status.upToDate && status.groupState === 'RUNNING' ? 0 : 3
      }
    }
  })
}

/** Runs a task with the installation of the listener for that config. Only `install` needs a running supervisord. */
export async function withInstall<T>(
  config: Config,
  verb: ListenerVerb,
  task: (install: ListenerInstall) => Promise<T>,
): Promise<T> {
  const rpc = new SupervisorRpc(config.supervisor)
  try {
    if (verb === 'install') {
      mkdirSync(config.spoolDir, { recursive: true })
      chmodSync(config.spoolDir, 0o711)
    }
    return await task(
      new ListenerInstall({
        rpc: verb === 'status' ? { call: orNull(rpc) } : rpc,
        discover: () => discoverFor(verb, config, rpc),
        shimSource: packagedFile('assets/event-listener.py'),
        shimPath: join(config.spoolDir, '.bin', 'event-listener.py'),
        socketPath: join(config.listen.runDir, 'listener.sock'),
      }),
    )
  } finally {
    rpc.close()
  }
}

/** Finds supervisord's files, by its process or, when it is down, by `supervisor.configFile`. */
async function discoverFor(verb: ListenerVerb, config: Config, rpc: SupervisorRpc): Promise<Discovery> {
  let down: AgentError | null = null
  const answer = await rpc.call('supervisor.getPID').catch((error: unknown) => {
    if (!isUnreachable(error)) throw error
    down = error
    return null
  })
  if (verb === 'install' && down) throw because(down, 'to install the listener supervisord must run')
  const found = await discover({ ...config.supervisor, pid: answer === null ? null : ownPid(Number(answer)) })
  if (verb !== 'install' && found.mainFile === null)
    throw because(
      down ?? new AgentError('SUPERVISOR_FAULT', 'the files of supervisord are not known'),
      config.supervisor.configFile === 'auto'
        ? 'set supervisor.configFile in the agent config to its main file'
        : found.problems.join('; '),
    )
  return found
}

/** The pid where it is a supervisord here; one in a container or on another host has somebody else's number. */
export function ownPid(pid: number): number | null {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('supervisord') ? pid : null
  } catch {
    return null
  }
}

/** Calls where no answer is one: null when supervisord is down. */
function orNull(rpc: SupervisorRpc): Rpc['call'] {
  return (method, params) =>
    rpc.call(method, params).catch((error: unknown) => {
      if (isUnreachable(error)) return null
      throw error
    })
}

function isUnreachable(error: unknown): error is AgentError {
  return error instanceof AgentError && error.code === 'SUPERVISOR_UNREACHABLE'
}

function because(error: AgentError, what: string): AgentError {
  return new AgentError(error.code, `${error.message}; ${what}`, { facts: error.facts, cause: error })
}

export function installText({
  changed,
  file,
  groupState,
  foreign,
}: Awaited<ReturnType<ListenerInstall['install']>>): string {
  const pending = [...foreign.added, ...foreign.changed, ...foreign.removed]
  const first = changed
    ? `the event listener is installed in ${file}`
    : `the event listener was there already (${file})`
  const state = groupState === 'RUNNING' ? '' : `; supervisord says it is ${groupState ?? 'unknown'}`
  const others =
    pending.length > 0
      ? `\nleft alone: pending changes of ${pending.join(', ')} (agent supervisor update)`
      : ''
  return `${first}${state}${others}`
}

function tell(globals: Globals, outcome: object, text: string): void {
  process.stdout.write(globals.json ? `${JSON.stringify(outcome)}\n` : `${text}\n`)
}
