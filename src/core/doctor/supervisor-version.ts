import { type Check, UNASKED } from './check.ts'
import type { DoctorHost } from './host.ts'

/** Versions before it have another API or, up to 3.3.2, a hole by which a caller runs anything as root. */
const OLDEST = [4, 2] as const

export const supervisorVersion = ({ rpc, pid }: DoctorHost): Check => ({
  name: 'supervisor-version',
  question: 'Is supervisord of a version that the agent knows (4.2 or later)?',
  async run() {
    if ((await pid()) === null) return UNASKED
    const version = String(await rpc.call('supervisor.getSupervisorVersion', [], { deadlineMs: 5_000 }))
    const [major = 0, minor = 0] = version.split('.').map(Number)
    if (major > OLDEST[0] || (major === OLDEST[0] && minor >= OLDEST[1])) return null
    return {
      severity: 'warning',
      message: `supervisord is version ${version}; the agent is tried with 4.2 and later`,
      fix: 'apt-get install --only-upgrade supervisor || dnf upgrade supervisor',
    }
  },
})
