// Whether the account of a user lets cron run something for them at all.
import { readFile } from 'node:fs/promises'
import type { Account, Accounts } from '../policy/accounts.ts'
import { unavailable } from './crontab-command.ts'

const SHADOW = '/etc/shadow'
const DAY_MS = 86_400_000

/** Why cron runs nothing for an account: PAM asks for a password that nobody is there to change, too. */
export type Expired = 'expired-user' | 'expired-password'

const WHY = {
  'expired-user': 'the account of USER has expired: cron runs nothing for it',
  'expired-password': 'the password of USER has expired, also where none is used: cron runs nothing for it',
} satisfies Record<Expired, string>

/** @throws {AgentError} CRON_UNAVAILABLE for a user who is not there or whose account or password has expired */
export async function usableAccount(
  user: string,
  { accounts, shadow = SHADOW }: { accounts: Accounts; shadow?: string | undefined },
): Promise<Account> {
  const account = await accounts.find(user)
  if (account?.name !== user)
    throw unavailable('unknown-user', `there is no user ${user} on this host`, { user })
  const expired = expiredIn(await readFile(shadow, 'utf8').catch(() => ''), user)
  if (expired !== null) throw unavailable(expired, WHY[expired].replace('USER', user), { user })
  return account
}

/** What the shadow file says of a user, as PAM reads it; null while the account may be used. */
export function expiredIn(shadow: string, user: string): Expired | null {
  const line = shadow.split('\n').find((one) => one.startsWith(`${user}:`))
  // days since 1970; an empty field says nothing
  const [changed, most, ends] = [2, 4, 7].map((at) => Number(line?.split(':')[at] || Number.NaN))
  const today = Math.floor(Date.now() / DAY_MS)
  if (ends !== undefined && ends <= today) return 'expired-user'
  if (changed === 0) return 'expired-password'
  return changed !== undefined && most !== undefined && most >= 0 && changed >= 0 && today - changed > most
    ? 'expired-password'
    : null
}
