import { readFileSync } from 'node:fs'

export interface CronDaemon {
  alive: boolean
  flavour: 'debian' | 'cronie' | 'unknown'
}

/** Both cron daemons write their pid there and hold it while they live (facts: the comm is `cron` or `crond`). */
const PID_FILE = '/run/crond.pid'

/** Whether a cron daemon runs on this host, and which. */
export function cronDaemon(pidFile = PID_FILE): CronDaemon {
  try {
    const pid = Number.parseInt(readFileSync(pidFile, 'utf8'), 10)
    const comm = readFileSync(`/proc/${pid}/comm`, 'utf8').trim()
    if (comm === 'cron') return { alive: true, flavour: 'debian' }
    if (comm === 'crond') return { alive: true, flavour: 'cronie' }
  } catch {
    // no pid file, or its process is gone
  }
  return { alive: false, flavour: 'unknown' }
}
