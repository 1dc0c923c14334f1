import { join } from 'node:path'
import { packagedFile } from '../../packaged.ts'
import { ListenerInstall } from '../supervisor/listener-install.ts'
import { type Check, UNASKED } from './check.ts'
import type { DoctorHost } from './host.ts'

/** supervisord drops events beyond it while the listener is busy; its own default of 10 is soon too few. */
const BUFFER_MIN = 100
const INSTALL = 'agent listener install'

export const listenerInstalled = ({ config, rpc, pid, discover }: DoctorHost): Check => ({
  name: 'listener-installed',
  question: 'Is the event listener in supervisord, up to date and running?',
  async run() {
    if ((await pid()) === null) return UNASKED
    const found = await discover()
    const install = new ListenerInstall({
      rpc,
      discover: async () => found,
      shimSource: packagedFile('assets/event-listener.py'),
      shimPath: join(config.spoolDir, '.bin', 'event-listener.py'),
      socketPath: join(config.listen.runDir, 'listener.sock'),
    })
    const { installed, groupState, bufferSize, upToDate } = await install.status()
    if (groupState === null && !installed)
      return {
        severity: 'warning',
        message:
          'the event listener is not installed: states are compared now and then, and short ones are missed',
        fix: INSTALL,
      }
    if (groupState !== 'RUNNING')
      return {
        severity: 'failure',
        message: `the event listener does not run: supervisord says ${groupState ?? 'it is not loaded'}`,
        fix: `${INSTALL}; supervisorctl tail supervisor-agent stderr`,
      }
    if (bufferSize !== null && bufferSize < BUFFER_MIN)
      return {
        severity: 'warning',
        message: `supervisord keeps ${bufferSize} events for the listener: it drops more than that in one burst`,
        evidence: `buffer_size=${bufferSize}`,
        fix: INSTALL,
      }
    // with what interpreter it runs can be told only where supervisord can be looked into
    if (installed && !upToDate && found.supervisord?.exe)
      return {
        severity: 'warning',
        message: 'the event listener is of another version or config',
        fix: INSTALL,
      }
    return null
  },
})
