import type { Account } from '../policy/accounts.ts'
import type { ResolvedEntry, Verdict } from '../policy/subject.ts'
import type { CrontabChange } from './change.ts'
import type { KeptEntry } from './entry-records.ts'
import type { Judge, PreparerDeps } from './prepare.ts'
import type { UserState } from './user-state.ts'

/** What a wish is judged against. */
export interface Site {
  state: UserState
  account: Account
  judge: Judge
}

/** What a wish comes to, whoever wishes it. */
export type Draft = Omit<CrontabChange, 'action' | 'actor' | 'user' | 'account' | 'diff' | 'known'>

export const NOTHING = {
  id: null,
  entry: null,
  seen: null,
  scripts: () => [],
  leftovers: [],
  judged: [],
  warnings: [],
} satisfies Partial<Draft>

/**
 * Judges what an entry runs by the rules of today; a new one counts too.
 * @throws {AgentError} POLICY_DENIED, FORBIDDEN
 */
export async function judgeEntry(
  { schedule, command, env }: Pick<KeptEntry, 'schedule' | 'command' | 'env'>,
  { account, judge }: Site,
  { policy, records, isNew = false }: Pick<PreparerDeps, 'policy' | 'records'> & { isNew?: boolean },
): Promise<{ judged: Verdict<ResolvedEntry>; command: string }> {
  const entry = { user: account.name, schedule, command, env }
  const judged = await judge.enforce(
    policy.judge({ kind: 'cron', entry, ...(isNew ? { count: records.count + 1 } : {}) }, judge.principal),
  )
  return { judged, command: judged.resolved?.command ?? command }
}
