// Whether the account of a user lets cron install something for them at all.
import { readFile } from 'node:fs/promises'
import type { Account, Accounts } from '../policy/accounts.ts'
import { unavailable } from './crontab-command.ts'

const SHADOW = '/etc/shadow'
const DAY_MS = 86_400_000
/** Of a line in the shadow file, from 0: the day since 1970 from which the account is no good. */
const EXPIRES = 7

/** @throws {AgentError} CRON_UNAVAILABLE for a user who is not there or whose account has expired */
export async function usableAccount(
  user: string,
  { accounts, shadow = SHADOW }: { accounts: Accounts; shadow?: string | undefined },
): Promise<Account> {
  const account = await accounts.find(user)
  if (account?.name !== user)
    throw unavailable('unknown-user', `there is no user ${user} on this host`, { user })
  const text = await readFile(shadow, 'utf8').catch(() => '')
  const line = text.split('\n').find((one) => one.startsWith(`${user}:`))
  const day = Number(line?.split(':')[EXPIRES] || Number.NaN)
  if (day * DAY_MS <= Date.now())
    throw unavailable('expired-user', `the account of ${user} has expired: cron runs nothing for it`, {
      user,
    })
  return account
}
