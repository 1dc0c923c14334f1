// What this host lets a panel do, whatever its token says. The rules are read from the config file at the start of
// the agent; nothing here or in a method writes them.
import { createHash } from 'node:crypto'
import { AgentError } from '../../protocol/errors.ts'
import type { Violation } from '../../protocol/policy.ts'
import type { Principal } from '../access/principal.ts'
import { Accounts } from './accounts.ts'
import { Findings } from './findings.ts'
import { judgeCronCommand, judgeProgramCommand } from './judge-command.ts'
import { judgeLogs } from './judge-logs.ts'
import { judgeDirectory } from './judge-place.ts'
import { judgeVariables } from './judge-script.ts'
import { judgeUser } from './judge-user.ts'
import { follow, identityOf } from './paths.ts'
import type {
  CallSubject,
  CronSubject,
  ForeignSubject,
  Place,
  PolicyRules,
  PolicySubject,
  ProgramSubject,
  ResolvedEntry,
  ResolvedProgram,
  SupervisordFacts,
  Verdict,
} from './subject.ts'

const VIOLATIONS_MAX = 8

export interface PolicyDeps {
  /** The whole `policy:` section; the digest covers all of it. */
  rules: PolicyRules
  /** The file that the rules are from, to name in a refusal. */
  file: string
  /** The supervisord of now. */
  supervisord: () => Promise<SupervisordFacts>
  accounts?: Accounts
}

/** Judges what a principal may make this host do. It stands above every token; only admin.sock stands above it. */
export class Policy {
  readonly digest: string
  readonly #deps: PolicyDeps
  readonly #accounts: Accounts

  constructor(deps: PolicyDeps) {
    this.#deps = deps
    this.#accounts = deps.accounts ?? new Accounts()
    this.digest = createHash('sha256').update(JSON.stringify(deps.rules)).digest('hex').slice(0, 16)
  }

  /**
   * Judges a call, a program or a cron entry, given as data. Nothing is changed and nothing is thrown: all that speaks
   * against it is in the verdict.
   *
   * Whoever acts on a verdict uses `resolved` in place of what was asked for (absolute executable, real paths, a log
   * file for each channel), asks {@link stillHolds} just before the effect, and judges anew when it does not hold.
   * With `directories` set that goes for the script that an interpreter is given too. What else a program does with
   * its arguments is bounded by its user, not by paths.
   */
  judge(subject: CallSubject, principal: Principal): Promise<Verdict<null>>
  judge(subject: ProgramSubject | ForeignSubject, principal: Principal): Promise<Verdict<ResolvedProgram>>
  judge(subject: CronSubject, principal: Principal): Promise<Verdict<ResolvedEntry>>
  judge(subject: PolicySubject, principal: Principal): Promise<Verdict>
  async judge(subject: PolicySubject, principal: Principal): Promise<Verdict> {
    const { rules, file, supervisord } = this.#deps
    const host = subject.kind === 'call' ? { uid: null, searchPath: null } : await supervisord()
    const findings = new Findings({
      rules,
      file,
      host,
      principal,
      accounts: this.#accounts,
      ...(subject.kind === 'foreign' ? { about: subject.definition.name } : {}),
    })
    const resolved = await judged(findings, subject)
    const { violations, places, notes } = findings
    const binding = violations.filter(({ code }) => code === 'FORBIDDEN' || !principal.isAbovePolicy)
    return { allowed: binding.length === 0, violations, resolved, places, notes }
  }

  /**
   * Judges, and refuses what is not allowed.
   * @throws {AgentError} FORBIDDEN, POLICY_DENIED; `facts.rule` is the first thing that speaks against it
   */
  async enforce<V extends Verdict>(judging: Promise<V>): Promise<V> {
    const verdict = await judging
    const [first] = verdict.violations
    if (!first || verdict.allowed) return verdict
    throw refusalOf(first, verdict.violations)
  }

  /** True while every path that was judged leads to the very same file or folder. */
  async stillHolds({ places }: Pick<Verdict, 'places'>): Promise<boolean> {
    const same = await Promise.all(places.map(isSame))
    return same.every(Boolean)
  }
}

async function judged(findings: Findings, subject: PolicySubject): Promise<unknown> {
  switch (subject.kind) {
    case 'call':
      judgeCall(findings, subject)
      return null
    case 'program':
      return await judgeProgram(findings, subject)
    case 'foreign': {
      const { definition } = subject
      const account = await judgeUser(findings, definition.user)
      const logs = await judgeLogs(findings, definition, account)
      const { command, directory = null } = definition
      return account && { user: userOf(account), command, directory, ...logs }
    }
    case 'cron':
      return await judgeEntry(findings, subject)
  }
}

function judgeCall(findings: Findings, { method, mutating, switches }: CallSubject): void {
  const { rules } = findings
  if (mutating && rules.readOnly)
    findings.deny('readOnly', `${method} changes something, and this host is read-only`)
  for (const name of switches) if (!rules[name]) findings.deny(name, `${method} is switched off on this host`)
}

async function judgeProgram(
  findings: Findings,
  { definition, count }: ProgramSubject,
): Promise<ResolvedProgram | null> {
  const { maxProcesses, maxPrograms } = findings.rules
  const { processes = 1 } = definition
  const account = await judgeUser(findings, definition.user)
  if (processes > maxProcesses)
    findings.deny('maxProcesses', `${processes} processes are more than ${maxProcesses}`, 'processes')
  if (count !== undefined && count > maxPrograms)
    findings.deny('maxPrograms', `it would be program number ${count}, and ${maxPrograms} are allowed`)
  const directory =
    definition.directory === undefined ? null : await judgeDirectory(findings, definition.directory)
  const command = await judgeProgramCommand(findings, definition.command, directory)
  judgeVariables(findings, definition.environment, 'environment')
  const logs = await judgeLogs(findings, definition, account)
  return account && { user: userOf(account), command, directory, ...logs }
}

async function judgeEntry(findings: Findings, { entry, count }: CronSubject): Promise<ResolvedEntry | null> {
  const { maxCronEntries, allowReboot } = findings.rules
  const account = await judgeUser(findings, entry.user)
  if (count !== undefined && count > maxCronEntries)
    findings.deny('maxCronEntries', `it would be entry number ${count}, and ${maxCronEntries} are allowed`)
  if (!allowReboot && /^\s*@reboot\b/i.test(entry.schedule))
    findings.deny('allowReboot', '@reboot entries are off on this host', 'schedule')
  const command = await judgeCronCommand(findings, entry.command)
  judgeVariables(findings, entry.env, 'env')
  return account && { user: userOf(account), command }
}

function userOf({ uid, name }: { uid: number; name: string }): { uid: number; name: string } {
  return { uid, name }
}

async function isSame({ path, real, identity }: Place): Promise<boolean> {
  const way = await follow(path).catch(() => null)
  return way !== null && way.real === real && identityOf(way.stats) === identity
}

function refusalOf({ code, rule, text, path }: Violation, all: readonly Violation[]): AgentError {
  const facts = { rule, ...(path === undefined ? {} : { path }) }
  const violations = all.slice(0, VIOLATIONS_MAX)
  return new AgentError(code, text, { facts: all.length > 1 ? { ...facts, violations } : facts })
}
