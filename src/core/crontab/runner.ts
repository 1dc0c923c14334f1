// A run by hand, and the end of one that goes on. Both are done as the user of the entry: what a user's spool says of
// a process is theirs, and nobody else's may be touched by it.
import { randomBytes } from 'node:crypto'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import type { Run } from '../../protocol/entry.ts'
import { AgentError } from '../../protocol/errors.ts'
import type { Principal } from '../access/principal.ts'
import type { CronDaemon } from '../host/cron-daemon.ts'
import { type RunAs, RunAsError, type Task } from '../host/run-as.ts'
import type { Account, Accounts } from '../policy/accounts.ts'
import type { Policy } from '../policy/policy.ts'
import type { ResolvedEntry, Verdict } from '../policy/subject.ts'
import { readBlock } from './block.ts'
import { cronEnvironment } from './cron-environment.ts'
import { unavailable } from './crontab-command.ts'
import type { EntryRecords } from './entry-records.ts'
import type { JobFiles } from './job-files.ts'
import type { ManagedJob } from './managed-line.ts'
import type { Judge, Preparer } from './prepare.ts'
import { assertUser, noEntry } from './refusals.ts'
import type { CronResults } from './results.ts'
import { linesOf } from './table-lines.ts'

export interface CronRunnerDeps {
  preparer: Preparer
  results: CronResults
  records: EntryRecords
  files: JobFiles
  accounts: Accounts
  policy: Policy
  runAs: RunAs
  cron: () => CronDaemon
}

/** A run that may be started. */
export interface RunDraft {
  id: string
  account: Account
  job: ManagedJob
  judged: Verdict<ResolvedEntry>
}

/** A run that may be ended. */
export interface KillDraft {
  run: string
  user: string
}

export interface Asked {
  principal: Principal
  signal: AbortSignal
}

/** `cronrun` leaves its first line within milliseconds; a host under load is slower. */
const START_MS = 15_000
/** Between TERM and KILL. */
const TERM_MS = 10_000
const KILL_MS = 10_000
/** There is a kill(1) on most hosts, and one in every shell. */
const KILL = 'kill -s "$1" "$2"'

export class CronRunner {
  readonly #deps: CronRunnerDeps

  constructor(deps: CronRunnerDeps) {
    this.#deps = deps
  }

  /**
   * Finds an entry and judges its command by the rules of today, disabled or not.
   * @throws {AgentError} ENTRY_NOT_FOUND, FORBIDDEN, POLICY_DENIED, CRON_UNAVAILABLE
   */
  async judge(id: string, { principal, enforce }: Judge): Promise<RunDraft> {
    const { preparer, accounts, policy, records } = this.#deps
    const found = await preparer.find(id)
    if (!found) throw noEntry(`there is no entry ${id}`, { id })
    const { user, text, entry } = found
    await assertUser(principal, user, accounts)
    const job = readBlock(linesOf(text)).entries[0]?.job
    if (!job || records.ownerOf(id) !== user)
      throw noEntry(
        `entry ${id} stands in the crontab of ${user}, but this agent did not make it and records no run of it`,
        { id },
      )
    const { schedule, command, env } = entry
    const judged = await enforce(
      policy.judge({ kind: 'cron', entry: { user, schedule, command, env } }, principal),
    )
    return { id, account: await preparer.account(user), job, judged }
  }

  /**
   * Starts what cron would start, with what cron gives its jobs. It goes on whatever becomes of the agent.
   * @returns the run, which has begun; or was skipped, where only one may live
   * @throws {AgentError} POLICY_DENIED, CRON_UNAVAILABLE; TIMEOUT when no record of it comes
   */
  async run({ id, account, job, judged }: RunDraft, { principal, signal }: Asked): Promise<Run> {
    const { policy, results } = this.#deps
    if (!(await policy.stillHolds(judged)))
      throw new AgentError(
        'POLICY_DENIED',
        `${id}: a file that its command names was replaced while it was judged: look at it again`,
        { facts: { rule: 'policy.executables', id } },
      )
    await results.add(account)
    const tag = `hand-${randomBytes(8).toString('hex')}`
    const giveUp = new AbortController()
    const late = AbortSignal.timeout(START_MS)
    const told = results.runs.whenStarted(
      tag,
      AbortSignal.any([signal, late, giveUp.signal]),
      principal.actor,
    )
    told.catch(() => undefined) // awaited below, unless it does not start at all
    try {
      await this.#as(account, (task) => this.#deps.runAs.start(task), this.#argv(job, tag))
      return this.#shown(await told)
    } catch (error) {
      giveUp.abort()
      if (!late.aborted || signal.aborted || error instanceof AgentError) throw error
      throw new AgentError(
        'TIMEOUT',
        `${id} was to start, and there is no record of it after ${START_MS / 1000} s: nothing may run as ${account.name} here, or its folder in ${this.#deps.files.spoolDir} takes no more`,
        { facts: { id, user: account.name } },
      )
    }
  }

  /** @throws {AgentError} ENTRY_NOT_FOUND, FORBIDDEN */
  async judgeKill(run: string, principal: Principal): Promise<KillDraft> {
    const { results, accounts } = this.#deps
    const found = results.runs.find(run)
    if (!found) throw noEntry(`there is no run ${run}: agent cron runs shows all`, { run })
    await assertUser(principal, found.user, accounts)
    return { run, user: found.user }
  }

  /**
   * Ends a run: TERM to all of its job, and KILL ten seconds later. One that is over is left as it is.
   * @returns the run, which is over
   * @throws {AgentError} CRON_UNAVAILABLE; STOP_FAILED when it goes on all the same
   */
  async kill({ run, user }: KillDraft, { principal, signal }: Asked): Promise<Run> {
    const account = await this.#deps.preparer.account(user)
    const goesOn = this.#deps.results.runs.endsBy(run, principal.actor)
    try {
      return await this.#end(run, account, signal)
    } catch (error) {
      // what was told to end ends by whoever told it, also when nobody waits for that any more
      if (!signal.aborted) goesOn()
      throw error
    }
  }

  async #end(run: string, account: Account, signal: AbortSignal): Promise<Run> {
    // USR1 is the word for KILL: cronrun itself must live to tell of it
    for (const [name, graceMs] of [
      ['TERM', TERM_MS],
      ['USR1', KILL_MS],
    ] as const) {
      if (!(await this.#signal(run, name, account, signal))) break
      if (await this.#isOver(run, graceMs, signal)) break
    }
    // one that died without a word is found by looking
    if (this.#deps.results.runs.find(run)?.shown.verdict === 'running') await this.#deps.results.sweep()
    const { shown } = this.#deps.results.runs.find(run) ?? {}
    if (!shown) throw noEntry(`the run ${run} is not kept any more`, { run })
    if (shown.verdict === 'running')
      throw new AgentError('STOP_FAILED', `the run ${run} goes on after TERM and KILL`, { facts: { run } })
    return shown
  }

  /** Runs of an entry, or of all, the newest first. @throws {AgentError} ENTRY_NOT_FOUND */
  async list({ id, limit }: { id?: string | undefined; limit: number }): Promise<Run[]> {
    const runs = this.#deps.results.runs.list({ ...(id === undefined ? {} : { id }), limit })
    if (runs.length === 0 && id !== undefined && !(await this.#deps.preparer.find(id)))
      throw noEntry(`there is no entry ${id}, and no run of one`, { id })
    return runs
  }

  /** Null when it is not known, or no more. */
  find(run: string): Run | null {
    return this.#deps.results.runs.find(run)?.shown ?? null
  }

  /** What runs wrote, as far as it is kept. */
  outputs(runs: readonly string[]): Promise<Map<string, string>> {
    return this.#deps.results.runs.outputs(runs)
  }

  /** Whether there was a run to tell. */
  async #signal(run: string, name: string, account: Account, signal: AbortSignal): Promise<boolean> {
    const live = this.#deps.results.runs.living(run)
    if (!live) return false
    const argv = ['/bin/sh', '-c', KILL, 'sh', name, String(live.pid)] as const
    await this.#as(account, (task) => this.#deps.runAs.run(task, signal), argv)
    return true
  }

  async #isOver(run: string, graceMs: number, signal: AbortSignal): Promise<boolean> {
    const late = AbortSignal.timeout(graceMs)
    try {
      await this.#deps.results.runs.whenOver(run, AbortSignal.any([signal, late]))
      return true
    } catch (error) {
      if (!late.aborted || signal.aborted) throw error
      return false
    }
  }

  #shown(run: string): Run {
    const found = this.#deps.results.runs.find(run)
    if (!found) throw new Error(`the run ${run} was told of and is not known`)
    return found.shown
  }

  /** As in its line, without the delay. */
  #argv({ id, noOverlap, timeoutSeconds, command }: ManagedJob, tag: string): [string, ...string[]] {
    const { spoolDir } = this.#deps.files
    return [
      join(spoolDir, '.bin/cronrun'),
      '-s',
      spoolDir,
      ...(noOverlap ? ['-o'] : []),
      ...(timeoutSeconds === null ? [] : ['-t', String(timeoutSeconds)]),
      '-n',
      tag,
      id,
      ...(command === null ? [] : ['--', command]),
    ]
  }

  /** @throws {AgentError} CRON_UNAVAILABLE */
  async #as<T>(
    account: Account,
    start: (task: Task) => Promise<T>,
    argv: readonly [string, ...string[]],
  ): Promise<T> {
    const { name, uid, gid, home } = account
    try {
      return await start({
        user: { name, uid, gid },
        argv,
        env: cronEnvironment({ name, home }, this.#deps.cron().flavour),
        // as cron does where there is no home
        directory: existsSync(`${home}/.`) ? home : '/',
      })
    } catch (error) {
      if (!(error instanceof RunAsError)) throw error
      throw unavailable('cannot-run', `nothing can be run as ${name} here: ${error.message}`, { user: name })
    }
  }
}
