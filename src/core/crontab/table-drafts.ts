// Changes of a crontab as a whole: its block put right, or what was there once put back.
import type { ResolvedEntry, Verdict } from '../policy/subject.ts'
import { type BlockLine, readBlock } from './block.ts'
import { type Draft, judgeEntry, NOTHING, type Site } from './draft.ts'
import type { KeptEntry } from './entry-records.ts'
import { SpoolMove, type Today } from './former-spool.ts'
import type { PreparerDeps } from './prepare.ts'
import { noEntry } from './refusals.ts'
import { mustBeWhole } from './store.ts'
import { CrontabTable } from './table.ts'
import { foreignJobs, variablesAbove } from './table-foreign.ts'
import { bare, linesOf, readLine, shown } from './table-lines.ts'
import { rendered, textsOf } from './user-state.ts'

/** Without markers and lines of ours, and then with the block as the agent knows it. */
export function repairOf(today: Today): Draft {
  return {
    ...NOTHING,
    // by what is known when it is carried out: another call may have changed an entry since
    edit: ({ table, record }) => {
      const move = new SpoolMove(record, today)
      const known = textOf(move.of(readBlock(linesOf(record?.lines ?? '')).entries))
      const entries = record?.entries ?? []
      if (table.damage.length === 0) {
        const block = textOf(move.of(table.block?.entries ?? []))
        // what stands there is right, but not above what others set for all lines below
        const isRight = variablesAbove(table).length === 0 && move.isEmpty
        return { table: isRight ? table : table.withBlock(block), entries, lines: known }
      }
      const { table: clean, removed } = table.repaired()
      const found = readBlock(linesOf(removed)).entries.filter(({ job }) => job !== null)
      const lines = record ? known : found.reduce((block, { id, text }) => addOnce(block, id, text), '')
      return { table: clean.withBlock(lines), entries, lines }
    },
  }
}

/**
 * What was there when a copy was taken; all that comes back and runs is judged.
 * @throws {AgentError} ENTRY_NOT_FOUND, CRONTAB_DAMAGED, POLICY_DENIED
 */
export async function restoreOf(
  { user, backup }: { user: string; backup: string },
  site: Site,
  { today, ...deps }: Pick<PreparerDeps, 'policy' | 'records' | 'backups'> & { today: Today },
): Promise<Draft> {
  const kept = await deps.backups.read(user, backup)
  if (!kept) throw noEntry(`there is no copy ${backup} of the crontab of ${user}`, { user, backup })
  const table = CrontabTable.parse(kept.bytes)
  mustBeWhole(user, table)
  const ids = new Set((table.block?.entries ?? []).flatMap(({ id }) => (id === null ? [] : [id])))
  const entries = kept.entries.filter(({ id }) => ids.has(id))
  const judged: Verdict<ResolvedEntry>[] = []
  const judge = async (entry: Pick<KeptEntry, 'schedule' | 'command' | 'env'>) =>
    judged.push((await judgeEntry(entry, site, deps)).judged)
  for (const entry of entries) await judge(entry)
  // lines of others that come back run again too
  const there = new Set(foreignJobs(site.state.table).map(({ key }) => key))
  for (const { key, schedule, command } of foreignJobs(table))
    if (!there.has(key)) await judge({ schedule, command })
  const made = entries.map((entry) => ({ id: entry.id, ...rendered(entry, today) }))
  const scripts = made.flatMap(({ id, script }) => (script === null ? [] : [{ id, text: script }]))
  const lines = made.map((one) => one.lines).join('')
  // and so do lines of ours as a person had changed them
  for (const line of table.block?.entries ?? []) {
    const own = line.job ?? jobIn(line)
    if (own?.command != null && !made.some((one) => one.lines === line.text))
      await judge({ schedule: own.schedule, command: own.command })
  }
  const now = site.state.record?.entries ?? []
  return {
    ...NOTHING,
    judged,
    scripts: () => scripts,
    leftovers: now.flatMap(({ id }) => (ids.has(id) ? [] : [id])),
    edit: () => ({ table, entries, lines }),
  }
}

function textOf(block: readonly BlockLine[]): string {
  return block.map(({ text }) => text).join('')
}

function addOnce(block: string, id: string | null, text: string): string {
  return id === null || textsOf(block).has(id) ? block : block + text
}

/** What cron makes of a line of ours that we cannot read. */
function jobIn({ text }: BlockLine): { schedule: string; command: string } | null {
  const line = readLine(bare(linesOf(text).at(-1) ?? ''))
  return line.kind === 'job' ? { schedule: shown(line.schedule), command: shown(line.command) } : null
}
