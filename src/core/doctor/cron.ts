import { constants, existsSync } from 'node:fs'
import { access } from 'node:fs/promises'
import type { Check, Fault } from './check.ts'
import type { DoctorHost } from './host.ts'

const CRONTABS = ['/usr/bin/crontab', '/bin/crontab', '/usr/local/bin/crontab', '/usr/local/sbin/crontab']
/** systemd-cron makes timers of crontabs by it; there is no daemon then. */
const GENERATORS = ['/usr/lib', '/lib'].map(
  (folder) => `${folder}/systemd/system-generators/systemd-crontab-generator`,
)

export const cron = (
  { cron: daemon }: DoctorHost,
  crontabs: readonly string[] = CRONTABS,
  generators: readonly string[] = GENERATORS,
): Check => ({
  name: 'cron',
  question: 'Does a cron daemon run, with its crontab command?',
  async run() {
    const faults: Fault[] = []
    const isThere = await Promise.all(crontabs.map(isExecutable))
    if (!isThere.includes(true))
      faults.push({
        severity: 'warning',
        message: 'there is no crontab command: crontabs cannot be installed',
        evidence: `looked for ${crontabs.join(', ')}`,
        fix: 'apt-get install cron || dnf install cronie',
      })
    const generator = daemon().alive ? undefined : generators.find((path) => existsSync(path))
    if (generator !== undefined)
      faults.push({
        severity: 'warning',
        message:
          'systemd-cron stands in for a cron daemon: nobody can tell whether it starts crontab entries, no run is called missed, and releases before 2024 change a command with a percent sign',
        evidence: generator,
        fix: 'apt-get install cron',
      })
    else if (!daemon().alive)
      faults.push({
        severity: 'warning',
        message: 'no cron daemon runs: crontab entries are not started',
        evidence: '/run/crond.pid names no running cron or crond',
        fix: 'systemctl enable --now cron || systemctl enable --now crond',
      })
    return faults
  },
})

function isExecutable(path: string): Promise<boolean> {
  return access(path, constants.X_OK).then(
    () => true,
    () => false,
  )
}
