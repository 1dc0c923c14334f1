import { AgentError } from '../../protocol/errors.ts'
import type { Principal } from '../access/principal.ts'
import type { Accounts } from '../policy/accounts.ts'
import type { EntryIssue } from './entry-validation.ts'

const ISSUES_MAX = 3

/** Whether the entries of a user are within the rights of somebody, by name or as the same uid. */
export async function isUserOf({ users }: Principal, user: string, accounts: Accounts): Promise<boolean> {
  if (users.includes('*') || users.includes(user)) return true
  if (users.length === 0) return false
  const account = await accounts.find(user)
  if (account === null) return false
  for (const one of users) if ((await accounts.find(one))?.uid === account.uid) return true
  return false
}

/** @throws {AgentError} FORBIDDEN */
export async function assertUser(principal: Principal, user: string, accounts: Accounts): Promise<void> {
  if (await isUserOf(principal, user, accounts)) return
  throw new AgentError('FORBIDDEN', `${user} is not among the users of ${principal.actor}`, {
    facts: { rule: 'token.users', user },
  })
}

export function invalidEntry(name: string, issues: readonly EntryIssue[]): AgentError {
  const first = issues.slice(0, ISSUES_MAX)
  const text = first.map(({ path, message }) => `${path}: ${message}`).join('; ')
  return new AgentError('ENTRY_INVALID', `${name}: ${text}`, { facts: { issues: first } })
}

export function noEntry(what: string, facts: Record<string, unknown>): AgentError {
  return new AgentError('ENTRY_NOT_FOUND', `${what}: agent cron ls shows all`, { facts })
}

/** Who writes over what a person changed must have seen it. @throws {AgentError} REVISION_CONFLICT */
export function checkRevision(
  id: string,
  state: { revision: string; isDrifted: boolean } | null,
  wanted: string | undefined,
): void {
  if (wanted === undefined ? !state?.isDrifted : state?.revision === wanted) return
  const facts = { id, revision: state?.revision ?? null }
  if (wanted === undefined)
    throw new AgentError(
      'REVISION_CONFLICT',
      `entry ${id} was changed by hand since the agent wrote it: look at it, then give ifRevision ${state?.revision}`,
      { facts: { ...facts, drift: true } },
    )
  throw new AgentError(
    'REVISION_CONFLICT',
    state
      ? `entry ${id} is at revision ${state.revision}, not ${wanted}: look at it again`
      : `there is no entry ${id} any more, and so no revision ${wanted}`,
    { facts },
  )
}

export function changed(user: string): AgentError {
  return new AgentError(
    'REVISION_CONFLICT',
    `the crontab of ${user} was changed while that was judged: look at it again`,
    { facts: { user } },
  )
}
