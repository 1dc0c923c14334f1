// What a user's crontab holds now: the entries of ours in it, each with what the agent knows of it.
import { createHash } from 'node:crypto'
import type { Account } from '../policy/accounts.ts'
import { type BlockLine, readBlock, renderEntry } from './block.ts'
import type { KeptEntry, UserRecord } from './entry-records.ts'
import type { JobFiles } from './job-files.ts'
import type { CrontabTable } from './table.ts'
import { linesOf } from './table-lines.ts'

export interface UserState {
  user: string
  /** Null for a user who is gone. */
  account: Account | null
  table: CrontabTable
  record: UserRecord | undefined
}

/** An entry as it stands in the block. */
export interface EntryState {
  user: string
  entry: KeptEntry
  revision: string
  /** Its lines as latin-1. */
  text: string
  /** Somebody changed its lines by hand, or the agent knows nothing of it. */
  isDrifted: boolean
}

/** The entries in a block; lines of ours that nobody can read any more are not among them. */
export async function entriesOf(
  { user, account, table, record }: UserState,
  files: JobFiles,
): Promise<EntryState[]> {
  const known = record ? textsOf(record.lines) : new Map<string, string>()
  const states: EntryState[] = []
  for (const line of uniqueOf(table.block?.entries ?? [])) {
    const { job, text } = line
    if (!job) continue
    const kept = record?.entries.find(({ id }) => id === job.id)
    const isDrifted = !kept || known.get(job.id) !== text
    const entry = isDrifted ? await readEntry(line, { kept, gid: account?.gid ?? -1, files }) : kept
    states.push({ user, entry, text, isDrifted, revision: revisionOf(entry, text) })
  }
  return states
}

/** A line of ours that nobody can read any more, if it still tells of which entry it is. */
export function alteredLine({ table }: UserState, id: string): { text: string; revision: string } | null {
  const line = uniqueOf(table.block?.entries ?? []).find((one) => one.id === id && one.job === null)
  return line ? { text: line.text, revision: revisionOfText(line.text) } : null
}

export function revisionOfText(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 16)
}

/** By id, the lines of each entry. */
export function textsOf(lines: string): Map<string, string> {
  const { entries } = readBlock(linesOf(lines))
  return new Map(uniqueOf(entries).flatMap(({ id, text }) => (id === null ? [] : [[id, text] as const])))
}

/** Lines of a block with those of one entry in the place of its old ones, at the end, or taken out for null. */
export function linesWith(block: readonly BlockLine[], id: string, lines: string | null): string {
  const at = block.findIndex((line) => line.id === id)
  const texts = block.flatMap(({ id: own, text }, i) => {
    if (own !== id) return [text]
    return i === at && lines !== null ? [lines] : []
  })
  return (at < 0 && lines !== null ? [...texts, lines] : texts).join('')
}

/** The lines of an entry with its script. */
export function rendered(entry: KeptEntry, where: { spoolDir: string; host: string }) {
  return renderEntry(entry, where)
}

export function revisionOf({ name, command, env = {} }: KeptEntry, text: string): string {
  return revisionOfText(JSON.stringify([text, name, command, env]))
}

/** Cron runs a line that is there twice twice; the first one is the entry. */
function uniqueOf(entries: readonly BlockLine[]): BlockLine[] {
  const readable = new Set(entries.flatMap(({ id, job }) => (job ? [id] : [])))
  const seen = new Set<string>()
  return entries.filter(({ id, job }) => {
    if (id === null) return true
    if (!job && readable.has(id)) return false
    const isNew = !seen.has(id)
    seen.add(id)
    return isNew
  })
}

async function readEntry(
  { job, name }: BlockLine,
  { kept, gid, files }: { kept: KeptEntry | undefined; gid: number; files: JobFiles },
): Promise<KeptEntry> {
  if (!job) throw new Error('a line that is no job')
  const script = job.command === null ? await files.read(job.id, { gid }) : null
  const env = script?.env ?? {}
  return {
    id: job.id,
    name: name ?? kept?.name ?? job.id,
    schedule: job.schedule,
    command: job.command ?? script?.command ?? '',
    ...(Object.keys(env).length > 0 ? { env } : {}),
    enabled: job.isEnabled,
    ...(job.noOverlap ? { noOverlap: true } : {}),
    ...(job.timeoutSeconds === null ? {} : { timeoutMs: job.timeoutSeconds * 1000 }),
    ...(job.delaySeconds === null ? {} : { splayMs: job.delaySeconds * 1000 }),
  }
}
