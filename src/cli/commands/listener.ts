// The listener is installed by talking to supervisord itself, so that it can be done with the daemon down.
import { chmodSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { type Config, loadConfig } from '../../config.ts'
import { discover } from '../../core/supervisor/discovery.ts'
import { ListenerInstall } from '../../core/supervisor/listener-install.ts'
import { SupervisorRpc } from '../../core/supervisor/rpc.ts'
import { packagedFile } from '../../packaged.ts'
import type { Globals } from '../globals.ts'

export type ListenerVerb = 'install' | 'remove' | 'status'

/** @returns the exit status; for `status` 0 when it is installed, up to date and running, else 3 */
export async function listenerCommand(verb: ListenerVerb, globals: Globals): Promise<number> {
  const config = loadConfig(globals.config)
  return await withInstall(config, async (install) => {
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

/** Runs a task with the installation of the listener for that config. */
export async function withInstall<T>(
  config: Config,
  task: (install: ListenerInstall) => Promise<T>,
): Promise<T> {
  const rpc = new SupervisorRpc(config.supervisor)
  try {
    mkdirSync(config.spoolDir, { recursive: true })
    chmodSync(config.spoolDir, 0o711)
    return await task(
      new ListenerInstall({
        rpc,
        discover: async () =>
          discover({ ...config.supervisor, pid: Number(await rpc.call('supervisor.getPID')) }),
        shimSource: packagedFile('assets/event-listener.py'),
        shimPath: join(config.spoolDir, '.bin', 'event-listener.py'),
        socketPath: join(config.listen.runDir, 'listener.sock'),
      }),
    )
  } finally {
    rpc.close()
  }
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
