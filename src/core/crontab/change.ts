// What a call would do to a crontab: the entries after it, the table that comes of it, and the difference.
import type { Account } from '../policy/accounts.ts'
import type { ResolvedEntry, Verdict } from '../policy/subject.ts'
import { unifiedDiff } from '../programs/diff.ts'
import type { KeptEntry, UserRecord } from './entry-records.ts'
import type { CrontabTable } from './table.ts'
import { shown } from './table-lines.ts'
import type { UserState } from './user-state.ts'

/** What becomes of a table. */
export interface Edited {
  table: CrontabTable
  /** What the agent knows after it. */
  entries: KeptEntry[]
  /** The block as the agent wrote it: what a person made of other entries is not in here. */
  lines: string
}

/** What a line runs that does not hold its command itself. */
export interface Script {
  id: string
  text: string
}

/** All that a call would do. */
export interface CrontabChange {
  action: string
  actor: string
  user: string
  account: Account
  /** The entry that it is about. */
  id: string | null
  /** The lines of that entry as they were judged; anything else in their place is refused. Null when it is new. */
  seen: string | null
  /** What was known of that entry then, which its lines need not show; null when it was nothing. */
  known: KeptEntry | null
  /** Called again when the crontab changes meanwhile. */
  edit: (state: UserState) => Edited
  /** Scripts to be there before the crontab names them; those of other entries come from what is known by then. */
  scripts: (record: UserRecord | undefined) => readonly Script[]
  /** Scripts that nothing names after it. */
  leftovers: readonly string[]
  /** Of the entry, as it is answered. */
  entry: KeptEntry | null
  judged: readonly Verdict<ResolvedEntry>[]
  diff: string
  warnings: string[]
}

/** A crontab without the lines that Debian's `crontab` adds by itself, as a person sees it. */
export function bodyOf(table: CrontabTable): string {
  return shown(table.bytesToInstall('debian').toString('latin1'))
}

export function tableDiff(user: string, before: CrontabTable, after: CrontabTable): string {
  const [a, b] = [bodyOf(before), bodyOf(after)]
  return unifiedDiff(`crontab of ${user}`, a === '' ? null : a, b === '' ? null : b)
}

export function scriptDiff(id: string, before: string | null, after: string | null): string {
  return unifiedDiff(`.scripts/${id}.sh`, before, after)
}
