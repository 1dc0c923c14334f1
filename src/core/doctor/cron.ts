import { constants } from 'node:fs'
import { access } from 'node:fs/promises'
import type { Check, Fault } from './check.ts'
import type { DoctorHost } from './host.ts'

const CRONTAB = '/usr/bin/crontab'

export const cron = ({ cron: daemon }: DoctorHost, crontab = CRONTAB): Check => ({
  name: 'cron',
  question: 'Does a cron daemon run, with its crontab command?',
  async run() {
    const faults: Fault[] = []
    const isThere = await access(crontab, constants.X_OK).then(
      () => true,
      () => false,
    )
    if (!isThere)
      faults.push({
        severity: 'warning',
        message: `there is no ${crontab}: crontabs cannot be installed`,
        fix: 'apt-get install cron || dnf install cronie',
      })
    if (!daemon().alive)
      faults.push({
        severity: 'warning',
        message: 'no cron daemon runs: crontab entries are not started',
        evidence: '/run/crond.pid names no running cron or crond',
        fix: 'systemctl enable --now cron || systemctl enable --now crond',
      })
    return faults
  },
})
