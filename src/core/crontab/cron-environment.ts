import type { CronDaemon } from '../host/cron-daemon.ts'

/** What a cron daemon gives its jobs before any line of a crontab says more. */
export function cronEnvironment(
  user: { name: string; home: string },
  flavour: CronDaemon['flavour'],
): Record<string, string> {
  const { name, home } = user
  const all = { HOME: home, LOGNAME: name, PATH: '/usr/bin:/bin', SHELL: '/bin/sh' }
  return flavour === 'cronie' ? { ...all, PATH: '/usr/bin:/bin:/usr/sbin:/sbin', USER: name } : all
}
