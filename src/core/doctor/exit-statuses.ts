import { type Check, UNASKED } from './check.ts'
import { type DoctorAgent, type DoctorHost, word } from './host.ts'

export const exitStatuses = ({ pid, discover }: DoctorHost, { hasExitStatuses }: DoctorAgent): Check => ({
  name: 'exit-statuses',
  question: "Can the status of every exit be read from supervisord's log?",
  audience: 'all-programs',
  async run() {
    if ((await pid()) === null) return UNASKED
    if (hasExitStatuses()) return null
    const { mainLog, mainFile } = await discover()
    return {
      severity: 'warning',
      message: `supervisord's own log (${mainLog ?? 'none that is a file'}) cannot be read: with what status processes end stays unknown`,
      fix:
        mainLog === null
          ? `grep -n '^logfile' ${word(mainFile ?? '/etc/supervisor/supervisord.conf')}`
          : `ls -l ${word(mainLog)}`,
    }
  },
})
