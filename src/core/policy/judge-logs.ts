// supervisord opens log files as root, at every start and every rotation: whoever can write the folder of one, or put
// another folder in its place, chooses what root writes to.
import { lstat } from 'node:fs/promises'
import { hostname } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { defaultLogs } from '../programs/default-logs.ts'
import { expand } from '../supervisor/config-expand.ts'
import type { Account } from './accounts.ts'
import type { Findings } from './findings.ts'
import { trustedOf } from './judge-place.ts'
import { type Opening, openings } from './log-folder.ts'
import { codeOf, follow, identityOf, isUnder, type Trusted, whyOthersMayChange } from './paths.ts'
import type { ProgramDefinition } from './subject.ts'

/** Why logs do not go where most tutorials put them. */
const RISK =
  'supervisord opens logs as root, so whoever can write a folder of them, as an application can its own, chooses what root writes to; a host that accepts that names the folder there and sets policy.allowUserLogDirectories'

type LogKey = 'stdoutLogfile' | 'stderrLogfile'

/** Judges where the output of a program goes. @returns what to write into its file */
export async function judgeLogs(
  findings: Findings,
  definition: ProgramDefinition,
  account: Account | null,
): Promise<{ stdoutLogfile: string; stderrLogfile: string | null }> {
  const [folder = '/var/log/supervisor'] = findings.rules.logDirectories
  const byDefault = defaultLogs(folder, definition.name, definition.processes ?? 1)
  const judge = (key: LogKey) =>
    judgeLog(findings, { key, value: definition[key] ?? byDefault[key], definition, account })
  return {
    stdoutLogfile: await judge('stdoutLogfile'),
    stderrLogfile: definition.redirectStderr ? null : await judge('stderrLogfile'),
  }
}

interface Log {
  key: LogKey
  value: string
  definition: ProgramDefinition
  account: Account | null
}

async function judgeLog(findings: Findings, log: Log): Promise<string> {
  const { key, value } = log
  const deny = (what: string) => findings.deny('logDirectories', what, key)
  const word = value.toLowerCase()
  if (word === 'none' || word === 'off') return 'NONE'
  if (word === 'syslog') return 'syslog'
  const roots = findings.rules.logDirectories.join(', ') || 'none on this host'
  if (word === 'auto') deny(`AUTO is a file in supervisord's own temporary folder: name one in ${roots}`)
  else if (!value.startsWith('/') || value.endsWith('/') || /\p{Cc}/u.test(value))
    deny(`${value}: write the log file with its full path`)
  else if (dirname(value).includes('%')) deny(`${value}: the folder of a log file is written without %`)
  else return await judgeLogFile(findings, log, roots)
  return value
}

async function judgeLogFile(findings: Findings, log: Log, roots: string): Promise<string> {
  const { key, value, definition, account } = log
  const deny = (what: string) => findings.deny('logDirectories', what, key)
  const folder = dirname(value)
  const real = await judgeFolder(findings, folder, { key, account, roots })
  if (real === null) return value
  for (const name of namesOf(basename(value), definition, findings)) {
    if (name === null) {
      deny(`${value}: of %(…)s only program_name, group_name, process_num and host_node_name can be judged`)
      break
    }
    const file = join(real, name)
    const stats = await lstat(file).catch(() => null)
    if (stats === null || stats.isFile()) continue
    if (!stats.isSymbolicLink()) {
      deny(`${file} is not a regular file`)
      break
    }
    const way = await follow(file).catch((error: unknown) => codeOf(error))
    if (typeof way === 'string' || !way.stats.isFile()) {
      deny(`${file} is a link that leads to no regular file`)
      break
    }
    if ((await judgeFolder(findings, dirname(way.real), { key, account, roots })) === null) break
  }
  // the folder is used by its real name where somebody could turn the name that was given elsewhere
  return isSteady(findings, await follow(folder)) ? value : join(real, basename(value))
}

/** @returns the real folder; null when it was refused */
async function judgeFolder(
  findings: Findings,
  folder: string,
  { key, account, roots }: { key: LogKey; account: Account | null; roots: string },
): Promise<string | null> {
  const { logDirectories, allowUserLogDirectories } = findings.rules
  const way = await follow(folder).catch((error: unknown) => codeOf(error))
  if (typeof way === 'string' || !way.stats.isDirectory()) {
    const why = typeof way === 'string' ? way : 'ENOTDIR'
    findings.deny('logDirectories', `the folder ${folder} cannot be judged (${why})`, key)
    return null
  }
  if (!(await isUnder(way.real, logDirectories))) {
    const through = way.real === folder ? '' : `, which is ${way.real},`
    findings.deny(
      'logDirectories',
      `${folder}${through} lies in none of the roots of log files: ${roots}; ${RISK}`,
      key,
    )
    return null
  }
  findings.places.push({ path: folder, real: way.real, identity: identityOf(way.stats) })
  const trusted = trustedOf(findings)
  const open = await openings(way.real, trusted)
  if (open.length === 0) return way.real
  if (allowUserLogDirectories && account !== null) {
    const withUser: Trusted = {
      uids: new Set([...trusted.uids, account.uid]),
      gids: new Set([...trusted.gids, account.gid]),
    }
    if ((await openings(way.real, withUser)).length === 0) {
      findings.notes.push(
        `${way.real} can be written by ${account.name}, who thereby chooses what supervisord writes to as root: allowed here by policy.allowUserLogDirectories`,
      )
      return way.real
    }
  }
  findings.deny('logDirectories', whyRefused(way.real, open), key)
  return null
}

/** What is wrong with a folder, and what an administrator pastes to end it. */
function whyRefused(real: string, open: readonly Opening[]): string {
  const whys = open.map(({ why }) => why).join(', ')
  const cures = open.map(({ cure }) => cure).join(' && ')
  const lasting = open.flatMap(({ lasting: one }) => (one === undefined ? [] : [`; ${one}`]))
  return `supervisord opens logs as root, and ${whys}: every folder down to ${real} must belong to root and be writable by nobody else, or policy.allowUserLogDirectories trust its user with what root writes. As root: ${cures}${lasting.join('')}`
}

function isSteady(findings: Findings, { steps }: Awaited<ReturnType<typeof follow>>): boolean {
  const trusted = trustedOf(findings)
  return steps.every((step) => whyOthersMayChange(step, trusted) === null)
}

/** The names of the files of all processes; null for one that cannot be told. */
function* namesOf(
  pattern: string,
  { name, processes = 1, numprocsStart = 0 }: ProgramDefinition,
  { rules }: Findings,
): Generator<string | null> {
  const count = pattern.includes('%(process_num') ? Math.min(processes, rules.maxProcesses) : 1
  for (let index = 0; index < count; index++) {
    const { value, unknown } = expand(pattern, {
      program_name: name,
      group_name: name,
      process_num: numprocsStart + index,
      host_node_name: hostname(),
    })
    yield unknown.length > 0 || value.includes('/') ? null : value
  }
}
