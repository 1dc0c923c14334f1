import type { Account } from './accounts.ts'
import type { Findings } from './findings.ts'

/**
 * Judges as whom something would run, by number: another name of the same user is the same user. An omitted user is
 * supervisord's own.
 * @returns the user; null when there is none or it cannot be told
 */
export async function judgeUser(findings: Findings, user: string | undefined): Promise<Account | null> {
  const account = await accountOf(findings, user)
  const shown = user ?? (account === null ? "supervisord's own user" : `${account.name} (supervisord's own)`)
  if (!(await mayTokenUse(findings, user, account))) {
    findings.forbid('token.users', `${shown} is not among the users of ${findings.principal.actor}`, 'user')
    return account
  }
  if (account === null) {
    if (user === undefined)
      findings.deny(
        'users',
        "as whom supervisord runs cannot be seen from here: give the program a user of its own, with 'user'",
        'user',
      )
    else findings.deny('users', `there is no user ${user} on this host`, 'user')
  } else if (account.uid === 0) {
    if (!findings.rules.allowRoot)
      findings.deny(
        'allowRoot',
        user === undefined
          ? "without 'user' it would run as root, which is off on this host"
          : `${user} is root (uid 0), which is off on this host`,
        'user',
      )
  } else if (!(await isAmong(findings, findings.rules.users, account)))
    findings.deny(
      'users',
      `${shown} (uid ${account.uid}) is not among the users of this host's policy`,
      'user',
    )
  return account
}

async function accountOf({ host, accounts }: Findings, user: string | undefined): Promise<Account | null> {
  if (user !== undefined) return await accounts.find(user)
  if (host.uid === null) return null
  // a uid without a name is a user all the same
  return (await accounts.find(host.uid)) ?? { name: String(host.uid), uid: host.uid, gid: -1, home: '' }
}

async function mayTokenUse(
  findings: Findings,
  user: string | undefined,
  account: Account | null,
): Promise<boolean> {
  const { users } = findings.principal
  if (users.includes('*') || (user !== undefined && users.includes(user))) return true
  return account !== null && (await isAmong(findings, users, account))
}

async function isAmong(
  { accounts }: Findings,
  users: readonly string[],
  { name, uid }: Account,
): Promise<boolean> {
  if (users.includes(name)) return true
  for (const user of users) if ((await accounts.find(user))?.uid === uid) return true
  return false
}
