import { lstat, readFile } from 'node:fs/promises'
import { type CronProcess, cronProcess } from '../host/cron-daemon.ts'
import { type Check, UNASKED } from './check.ts'

/** Of the kernel, on every machine that it runs on. */
const TICKS_PER_SECOND = 100

export const cronZone = (
  look: () => CronProcess | null = cronProcess,
  localtime = '/etc/localtime',
): Check => ({
  name: 'cron-zone',
  question: 'Does cron know the time zone of this host?',
  async run() {
    const daemon = look()
    // Debian's looks at it all the time
    if (daemon?.flavour !== 'cronie') return UNASKED
    const changed = await lstat(localtime).catch(() => null)
    if (!changed) return UNASKED
    const uptime = Number((await readFile('/proc/uptime', 'utf8')).split(' ')[0])
    const startedMs = Date.now() - (uptime - Number(daemon.startTicks) / TICKS_PER_SECOND) * 1000
    if (changed.ctimeMs <= startedMs) return null
    return {
      severity: 'warning',
      message:
        'crond keeps the time zone that the host had when it was started: entries may run at other hours',
      evidence: `${localtime} is newer than process ${daemon.pid}`,
      fix: 'systemctl restart crond || systemctl restart cronie',
    }
  },
})
