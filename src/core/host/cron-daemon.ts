import { readFileSync } from 'node:fs'
import { processStart } from '../../lib/process-start.ts'

export interface CronDaemon {
  alive: boolean
  flavour: 'debian' | 'cronie' | 'unknown'
}

/** Both cron daemons write their pid there and hold it while they live (facts: the comm is `cron` or `crond`). */
const PID_FILE = '/run/crond.pid'

/** The process of a cron daemon. */
export interface CronProcess {
  flavour: 'debian' | 'cronie'
  pid: number
  /** When it began, in clock ticks since the boot. */
  startTicks: string
}

/** Whether a cron daemon runs on this host, and which. */
export function cronDaemon(pidFile = PID_FILE): CronDaemon {
  const cron = cronProcess(pidFile)
  return { alive: cron !== null, flavour: cron?.flavour ?? 'unknown' }
}

export function cronProcess(pidFile = PID_FILE): CronProcess | null {
  try {
    const pid = Number.parseInt(readFileSync(pidFile, 'utf8'), 10)
    const comm = readFileSync(`/proc/${pid}/comm`, 'utf8').trim()
    const flavour = comm === 'cron' ? 'debian' : comm === 'crond' ? 'cronie' : null
    const start = processStart(pid)
    return flavour && start && { flavour, pid, startTicks: start.startTicks }
  } catch {
    return null // no pid file, or its process is gone
  }
}
