// A job line of ours, written and read back. What it means to `cronrun` is in docs/adr/0006-crontab-block.md.
import { readLine, shown, written } from './table-lines.ts'

/** Lines leave `-s` away for this folder. */
export const DEFAULT_SPOOL = '/var/spool/supervisor-agent'

/** What a job line says. */
export interface ManagedJob {
  id: string
  isEnabled: boolean
  schedule: string
  spoolDir: string
  noOverlap: boolean
  timeoutSeconds: number | null
  delaySeconds: number | null
  /** Null when it is in the script of that id. */
  command: string | null
}

const OFF = '#off '
const SHIM = '/.bin/cronrun'
const PLAIN_PATH = /^[A-Za-z0-9_./-]+$/
const ID = /^[A-Za-z0-9][A-Za-z0-9_-]{0,31}$/
const NUMBER = /^[1-9]\d{0,5}$/

/** A word as a shell takes it: one argument, whatever it holds. */
export function shellQuoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`
}

/**
 * Whether a command can stand in a crontab as a quoted word and reach the shell byte for byte under both daemons:
 * Debian's takes one backslash of two away, and a backslash before a percent sign is cron's own escape.
 */
export function isInlineSafe(quoted: string): boolean {
  return !/[\n\t]|\\\\|\\%/.test(quoted)
}

/** A job line without its end, as latin-1. The schedule is written as it is given. */
export function writeManagedLine(job: ManagedJob): string {
  const { id, isEnabled, schedule, spoolDir, noOverlap, timeoutSeconds, delaySeconds, command } = job
  const words = [
    pathWord(spoolDir + SHIM),
    ...(spoolDir === DEFAULT_SPOOL ? [] : ['-s', pathWord(spoolDir)]),
    ...(noOverlap ? ['-o'] : []),
    ...(timeoutSeconds === null ? [] : ['-t', String(timeoutSeconds)]),
    ...(delaySeconds === null ? [] : ['-d', String(delaySeconds)]),
    id,
    ...(command === null ? [] : ['--', shellQuoted(command)]),
  ]
  return written(`${isEnabled ? '' : OFF}${schedule} ${words.join(' ').replaceAll('%', '\\%')}`)
}

/** What a line says, given without its end as latin-1; null when it is not exactly as we write it. */
export function readManagedLine(text: string): ManagedJob | null {
  const isEnabled = !text.startsWith(OFF)
  const line = readLine(isEnabled ? text : text.slice(OFF.length))
  if (line.kind !== 'job' || line.stdin !== null) return null
  const words = shellWords(shown(line.command))
  const job = words && jobOf(words, { isEnabled, schedule: line.schedule })
  return job && writeManagedLine(job) === text ? job : null
}

/** Whether a line runs a shim by our name, enabled or not: ours once, and changed by hand. */
export function runsShim(text: string): boolean {
  const line = readLine(text.startsWith(OFF) ? text.slice(OFF.length) : text)
  return line.kind === 'job' && /^'?[^' ]*\/\.bin\/cronrun'?(?: |$)/.test(line.command)
}

function jobOf(
  words: readonly string[],
  line: Pick<ManagedJob, 'isEnabled' | 'schedule'>,
): ManagedJob | null {
  const [shim = '', ...rest] = words
  if (!shim.endsWith(SHIM)) return null
  const isInline = rest.at(-2) === '--'
  const command = isInline ? (rest.at(-1) ?? null) : null
  const id = rest.at(isInline ? -3 : -1) ?? ''
  if (!ID.test(id)) return null
  const options = rest.slice(0, isInline ? -3 : -1)
  return {
    ...line,
    id,
    spoolDir: shim.slice(0, -SHIM.length),
    noOverlap: options.includes('-o'),
    timeoutSeconds: numberAfter('-t', options),
    delaySeconds: numberAfter('-d', options),
    command,
  }
}

function numberAfter(option: string, options: readonly string[]): number | null {
  const at = options.indexOf(option)
  const text = at < 0 ? '' : (options[at + 1] ?? '')
  return NUMBER.test(text) ? Number(text) : null
}

function pathWord(path: string): string {
  return PLAIN_PATH.test(path) ? path : shellQuoted(path)
}

/** Words of plain characters and single quotes, as we write them; null for anything else of a shell. */
function shellWords(text: string): string[] | null {
  const words: string[] = []
  let rest = text
  while (rest !== '') {
    const [all, word] = /^((?:'[^']*'|\\'|[A-Za-z0-9_./-])+)(?: |$)/.exec(rest) ?? []
    if (all === undefined || word === undefined) return null
    words.push(
      word.replaceAll(/'([^']*)'|\\(')/g, (_, inner?: string, quote?: string) => inner ?? quote ?? ''),
    )
    rest = rest.slice(all.length)
  }
  return words
}
