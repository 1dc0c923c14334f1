// An entry as a plain line of its user's crontab, which needs neither the agent nor its shim.
import type { BlockEntry } from './block.ts'
import { isInlineSafe, shellQuoted } from './managed-line.ts'
import { bare, readLine, shown, written } from './table-lines.ts'

export interface Ejected {
  /** Whole lines as latin-1. */
  lines: string
  /** The line runs the script of the entry, which must stay. */
  needsScript: boolean
  /** What the line does not do that the entry did. */
  warnings: readonly string[]
}

/** Debian's cron takes 998 bytes. */
const COMMAND_MAX = 998

/** Where an entry is from. */
interface Origin {
  /** The line from which it was imported, as latin-1. */
  original?: string | undefined
  /** What became of the command in that line. */
  importedCommand?: string | undefined
}

/** The line from which an entry was imported comes back byte for byte while it still says what the entry does. */
export function ejectEntry(
  entry: BlockEntry,
  { spoolDir, original, importedCommand }: { spoolDir: string } & Origin,
): Ejected {
  const warnings = lossesOf(entry)
  if (original !== undefined && isSame(entry, original, importedCommand))
    return { lines: `${bare(original)}\n`, needsScript: false, warnings }
  const { id, name, schedule, enabled } = entry
  const plain = plainCommand(entry)
  const needsScript = plain === null
  const command = plain ?? `/bin/sh ${shellQuoted(`${spoolDir}/.scripts/${id}.sh`)}`
  if (needsScript) warnings.push(`${id} goes on in its script below ${spoolDir}/.scripts, which must stay`)
  if (!enabled) warnings.push(`${id} is disabled: its line is a comment`)
  const line = `${enabled ? '' : '# '}${schedule} ${command.replaceAll('%', '\\%')}`
  return { lines: written(`# ${id} ${name}\n${line}\n`), needsScript, warnings }
}

function isSame(entry: BlockEntry, original: string, importedCommand: string | undefined): boolean {
  const line = readLine(bare(original))
  return (
    entry.enabled &&
    Object.keys(entry.env ?? {}).length === 0 &&
    !original.includes('\0') &&
    line.kind === 'job' &&
    line.stdin === null &&
    shown(line.schedule) === entry.schedule &&
    [shown(line.command), importedCommand].includes(entry.command)
  )
}

/** Null when a crontab cannot hold it. */
function plainCommand({ command, env = {}, isSecret }: BlockEntry): string | null {
  const variables = Object.entries(env).map(([name, value]) => `export ${name}=${shellQuoted(value)}; `)
  const text = variables.join('') + command
  const isShort = written(text.replaceAll('%', '\\%')).length <= COMMAND_MAX
  return !isSecret && isShort && isInlineSafe(text) ? text : null
}

function lossesOf({ id, noOverlap, timeoutMs, splayMs }: BlockEntry): string[] {
  const lost = [
    'nobody keeps its results',
    noOverlap ? 'its runs may overlap' : '',
    timeoutMs === undefined ? '' : 'nothing ends it after its time',
    splayMs === undefined ? '' : 'it starts without its delay',
  ].filter((text) => text !== '')
  return [`${id} is an ordinary line of its user now: ${lost.join(', ')}`]
}
