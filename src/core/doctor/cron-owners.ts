import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expiredIn } from '../crontab/account-state.ts'
import { EntryRecords, type UserRecord } from '../crontab/entry-records.ts'
import { Accounts } from '../policy/accounts.ts'
import { type Check, type Fault, UNASKED } from './check.ts'
import type { DoctorHost } from './host.ts'

/** What is known of the users who have entries of the agent. */
export async function entryRecords(stateDir: string): Promise<UserRecord[]> {
  const folder = join(stateDir, 'crontabs')
  if (!existsSync(folder)) return []
  const records = new EntryRecords(folder)
  await records.start()
  return records.users.flatMap((user) => records.of(user) ?? []).filter(({ entries }) => entries.length > 0)
}

export const cronOwners = ({ config, cron }: DoctorHost, etc = '/etc'): Check => ({
  name: 'cron-owners',
  question: 'May every user with crontab entries of the agent have them?',
  audience: 'all-programs',
  async run() {
    const owners = (await entryRecords(config.stateDir)).map(({ user }) => user)
    if (owners.length === 0) return UNASKED
    const accounts = new Accounts({ file: join(etc, 'passwd') })
    // cronie asks who calls, and that is root
    const refusal = cron().flavour === 'cronie' ? () => null : await refusalIn(etc)
    const shadow = await readFile(join(etc, 'shadow'), 'utf8').catch(() => '')
    const faults: Fault[] = []
    for (const user of owners) {
      const expired = expiredIn(shadow, user)
      if ((await accounts.find(user)) === null)
        faults.push({
          severity: 'warning',
          message: `${user} has crontab entries of the agent, and is no user of this host any more: they do not run`,
        })
      else if (expired !== null)
        faults.push({
          severity: 'warning',
          message: `${expired === 'expired-user' ? `the account of ${user}` : `the password of ${user}`} has expired: cron does not run its entries`,
          evidence: `its line in ${join(etc, 'shadow')}`,
          fix: expired === 'expired-user' ? `chage -E -1 ${user}` : `chage -M -1 -d "$(date +%F)" ${user}`,
        })
      else faults.push(...(refusal(user) ?? []))
    }
    return faults
  },
})

async function refusalIn(etc: string): Promise<(user: string) => Fault[] | null> {
  const [allowed, denied] = await Promise.all([namesIn(`${etc}/cron.allow`), namesIn(`${etc}/cron.deny`)])
  return (user) => {
    if (allowed ? allowed.includes(user) : !denied?.includes(user)) return null
    const file = `${etc}/cron.${allowed ? 'allow' : 'deny'}`
    return [
      {
        severity: 'warning',
        message: `${user} may not have a crontab: its entries run on, and none of them can be changed`,
        evidence: allowed ? `${file} does not name ${user}` : `${file} names ${user}`,
        fix: allowed ? `echo ${user} >>${file}` : `sed -i '/^${user}$/d' ${file}`,
      },
    ]
  }
}

/** Null when there is no such file. */
async function namesIn(path: string): Promise<string[] | null> {
  const text = await readFile(path, 'utf8').catch(() => null)
  return text === null ? null : text.split('\n').map((line) => line.trim())
}
