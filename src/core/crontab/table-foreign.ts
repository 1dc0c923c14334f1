// The jobs of others in a crontab: what they run and with which variables, and whether one can become an entry.
import { createHash } from 'node:crypto'
import { commandProblem } from './entry-text.ts'
import { parseSchedule } from './schedule.ts'
import type { CrontabTable } from './table.ts'
import { bare, type JobLine, linesOf, readLine, shown } from './table-lines.ts'
import { type Owner, OwnerWatch } from './table-tools.ts'

export interface ForeignJob {
  /** By its bytes, and by its place among equal lines. */
  key: string
  /** As `crontab -l` counts, from 1. */
  line: number
  /** Where it begins in `foreign`, and its bytes with their end: to take it out. */
  at: number
  text: string
  schedule: string
  command: string
  stdin: string | null
  /** What the lines above it set; the last of a name wins. Gathered when asked: both may be thousands. */
  environment: () => Record<string, string>
  owner: Owner | null
  /** Why it cannot be imported; empty when it can. */
  obstacles: () => string[]
  /** What an import would change nevertheless. */
  warnings: () => string[]
}

/** Variables for cron's mails. */
const MAIL = new Set(['MAILTO', 'MAILFROM', 'CONTENT_TYPE', 'CONTENT_TRANSFER_ENCODING'])
const SHELL = '/bin/sh'
const NAMES_SHOWN = 5

/** Every job that is not ours. A NUL ends a line for cron, so what follows it is a job too. */
export function foreignJobs(table: CrontabTable): ForeignJob[] {
  const jobs: ForeignJob[] = []
  const keys = new Keys()
  const owners = new OwnerWatch()
  const variables: (readonly [name: string, value: string])[] = []
  const block = linesOf(table.block?.text ?? '').length
  const above = table.block?.above.length ?? 0
  let at = 0
  for (const [i, text] of linesOf(table.foreign).entries()) {
    const parts = bare(text).split('\0')
    for (const part of parts) {
      const line = readLine(part)
      const owner = owners.see(part, line)
      if (line.kind === 'environment') variables.push([shown(line.name), shown(line.value)])
      if (line.kind !== 'job') continue
      const set = variables.length
      const environment = () => Object.fromEntries(variables.slice(0, set))
      const place = { key: keys.next(part), line: i + 1 + (at < above ? 0 : block), at, text }
      jobs.push({ ...place, ...jobOf(line, { owner, environment, isCut: parts.length > 1 }) })
    }
    at += text.length
  }
  return jobs
}

/** Variables that others set above our block, and that can change what our jobs do. */
export function variablesAbove({ block }: CrontabTable): string[] {
  return linesOf(block?.above ?? '').flatMap((text) => {
    const line = readLine(bare(text))
    return line.kind === 'environment' && bears(shown(line.name), shown(line.value)) ? [shown(line.name)] : []
  })
}

class Keys {
  readonly #counts = new Map<string, number>()

  next(line: string): string {
    const hash = createHash('sha256').update(line, 'latin1').digest('hex').slice(0, 16)
    const count = (this.#counts.get(hash) ?? 0) + 1
    this.#counts.set(hash, count)
    return `${hash}-${count}`
  }
}

interface Around {
  owner: Owner | null
  environment: () => Record<string, string>
  /** Its line holds a NUL. */
  isCut: boolean
}

function jobOf(
  line: JobLine,
  { owner, environment, isCut }: Around,
): Omit<ForeignJob, 'key' | 'line' | 'at' | 'text'> {
  const job = {
    schedule: shown(line.schedule),
    command: shown(line.command),
    stdin: line.stdin === null ? null : shown(line.stdin),
  }
  return {
    ...job,
    environment,
    owner,
    obstacles: () => obstaclesOf({ ...line, ...job, isCut }, environment()),
    warnings: () => warningsOf(owner, environment()),
  }
}

function obstaclesOf(
  job: JobLine & { isCut: boolean },
  environment: Readonly<Record<string, string>>,
): string[] {
  const obstacles: string[] = []
  if (job.isCut) obstacles.push('its line holds a NUL byte, at which cron begins another line')
  const schedule = parseSchedule(job.schedule)
  if (schedule.kind === 'problem') obstacles.push(`its schedule: ${schedule.problem}`)
  const wrong = commandProblem(job.command)
  if (wrong !== null) obstacles.push(`its command ${wrong}`)
  if (job.stdin !== null) obstacles.push('it is given input after a %, which entries do not have')
  if (job.isTwofold)
    obstacles.push("two backslashes are one to Debian's cron and two to cronie: write the line without them")
  const names = Object.entries(environment).flatMap(([name, value]) => (bears(name, value) ? [name] : []))
  const more = names.length > NAMES_SHOWN ? ` and ${names.length - NAMES_SHOWN} more` : ''
  if (names.length > 0)
    obstacles.push(
      `lines above it set ${names.slice(0, NAMES_SHOWN).join(', ')}${more}, which an entry does not see`,
    )
  return obstacles
}

function warningsOf(owner: Owner | null, environment: Readonly<Record<string, string>>): string[] {
  const mail = Object.keys(environment).filter((name) => MAIL.has(name))
  return [
    ...(owner ? [`${owner.tool} wrote that line, and will write it again beside the entry`] : []),
    ...(mail.length > 0
      ? [`lines above it set ${mail.join(', ')}; what an entry prints is mailed to its user`]
      : []),
  ]
}

/** Whether a variable can change what a job does. LOGNAME cannot be set, and that shell is cron's own. */
function bears(name: string, value: string): boolean {
  return !MAIL.has(name) && name !== 'LOGNAME' && !(name === 'SHELL' && value === SHELL)
}
