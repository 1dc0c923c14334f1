// Entries as the lines of the managed block, and those lines read back: docs/adr/0006-crontab-block.md.
import { createHash } from 'node:crypto'
import { writeScript } from './job-script.ts'
import {
  isInlineSafe,
  type ManagedJob,
  readManagedLine,
  runsShim,
  shellQuoted,
  writeManagedLine,
} from './managed-line.ts'
import { bare, shown, written } from './table-lines.ts'

/** What of an entry goes to cron; judged before. */
export interface BlockEntry {
  id: string
  name: string
  schedule: string
  command: string
  env?: Readonly<Record<string, string>> | undefined
  enabled: boolean
  noOverlap?: boolean | undefined
  timeoutMs?: number | undefined
  splayMs?: number | undefined
  /** Its command holds a secret: nothing of it may show in cron's log or in `ps`. */
  isSecret?: boolean | undefined
}

export interface RenderedEntry {
  /** Two lines as latin-1, each with its end. */
  lines: string
  /** What its script must hold; null when it needs none. */
  script: string | null
}

/** An entry as it stands in the block. */
export interface BlockLine {
  /** Of the entry; null where a line that was changed by hand does not tell. */
  id: string | null
  /** Null for a line of ours that was changed by hand. */
  job: ManagedJob | null
  /** The name above it; null when that line is gone. */
  name: string | null
  /** As latin-1 with its ends, name included. */
  text: string
}

/** Debian's cron takes 998 bytes of command. */
const LINE_MAX = 900
/** Disabled entries are comments, and cronie refuses 32 KiB of those in a row. */
const OFF_LINE_MAX = 200

/** `host` keeps equal entries of many hosts from starting in the same second. */
export function renderEntry(
  entry: BlockEntry,
  { spoolDir, host }: { spoolDir: string; host: string },
): RenderedEntry {
  const { id, name, schedule, command, env = {}, enabled, noOverlap = false, timeoutMs, splayMs } = entry
  const job: ManagedJob = {
    id,
    isEnabled: enabled,
    schedule,
    spoolDir,
    noOverlap,
    timeoutSeconds: timeoutMs === undefined ? null : timeoutMs / 1000,
    delaySeconds: delayOf(id, splayMs, host),
    command,
  }
  const title = written(`# ${id} ${name}`)
  const inline = writeManagedLine(job)
  const isInline =
    !entry.isSecret &&
    Object.keys(env).length === 0 &&
    isInlineSafe(shellQuoted(command)) &&
    inline.length <= (enabled ? LINE_MAX : OFF_LINE_MAX)
  if (isInline) return { lines: `${title}\n${inline}\n`, script: null }
  const line = writeManagedLine({ ...job, command: null })
  return { lines: `${title}\n${line}\n`, script: writeScript({ id, env, command }) }
}

/** What stands between the markers, as latin-1 lines: ours, and what somebody else put there. */
export function readBlock(lines: readonly string[]): { entries: BlockLine[]; strays: string[] } {
  const entries: BlockLine[] = []
  const strays: string[] = []
  for (let at = 0; at < lines.length; at++) {
    const line = lines[at] ?? ''
    const title = titleOf(line, lines[at + 1] ?? '')
    const text = title === null ? line : (lines[++at] ?? '')
    const job = readManagedLine(bare(text))
    if (job || runsShim(bare(text)))
      entries.push({
        id: job?.id ?? title?.id ?? null,
        job,
        name: title?.name ?? null,
        text: title === null ? text : line + text,
      })
    else strays.push(line)
  }
  return { entries, strays }
}

/** Id and name in a line, if the line below is the job of that id, also when that was changed by hand. */
function titleOf(line: string, below: string): { id: string; name: string } | null {
  const [start, id] = /^# ([A-Za-z0-9][A-Za-z0-9_-]{0,31}) /.exec(line) ?? []
  if (start === undefined || id === undefined) return null
  const text = bare(below)
  const isIts = readManagedLine(text)?.id === id || (runsShim(text) && ` ${text} `.includes(` ${id} `))
  return isIts ? { id, name: shown(bare(line).slice(start.length)) } : null
}

/** The same at each run, below the wish, and null for none at all. */
function delayOf(id: string, splayMs: number | undefined, host: string): number | null {
  const seconds = Math.floor((splayMs ?? 0) / 1000)
  if (seconds < 1) return null
  const hash = createHash('sha256').update(`${host}\n${id}`).digest()
  return hash.readUInt32BE() % (seconds + 1) || null
}
