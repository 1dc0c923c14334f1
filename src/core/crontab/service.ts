// Crontabs: what there is in them, and every change of one.
import { isDeepStrictEqual } from 'node:util'
import { isoTime } from '../../lib/iso-time.ts'
import type { Entry, Run, SchedulePreview } from '../../protocol/entry.ts'
import { AgentError } from '../../protocol/errors.ts'
import type { CrontabPreset } from '../../protocol/preset.ts'
import type { Principal } from '../access/principal.ts'
import type { EventBus } from '../events/bus.ts'
import type { Account, Accounts } from '../policy/accounts.ts'
import type { Policy } from '../policy/policy.ts'
import type { Backup } from './backups.ts'
import type { CrontabChange, Script } from './change.ts'
import type { DriftWatch } from './drift.ts'
import { knownEntry, type UserRecord } from './entry-records.ts'
import { alteredView, entryView, foreignView, NextRuns } from './entry-view.ts'
import type { Judge, Preparer, PreparerDeps, Wish } from './prepare.ts'
import { shownPresets } from './presets/show.ts'
import { assertUser, changed, invalidEntry, isUserOf, noEntry } from './refusals.ts'
import { parseSchedule } from './schedule.ts'
import { nextRuns } from './schedule-next.ts'
import { scheduleWarnings } from './schedule-warnings.ts'
import { describeSchedule } from './schedule-words.ts'
import type { TableEdit, Written } from './store.ts'
import { foreignJobs } from './table-foreign.ts'
import { type EntryState, entriesOf, revisionOf, textsOf } from './user-state.ts'

export interface CrontabServiceDeps extends PreparerDeps {
  preparer: Preparer
  drift: DriftWatch
  policy: Policy
  accounts: Accounts
  bus: EventBus
  /** A user has entries now: what they run must be there, and what their runs leave must be read. */
  onUser: (account: Account) => Promise<void>
  /** Of an entry, as far as one is known. */
  lastRun: (id: string) => Run | undefined
}

/** Foreign lines of one user that are shown: looking at each is not free, and a crontab may have thousands. */
const FOREIGN_MAX = 500
const NEXT_MAX = 5

export class CrontabService {
  readonly #deps: CrontabServiceDeps
  /** New entries that are being written. */
  readonly #adding = new Set<string>()

  constructor(deps: CrontabServiceDeps) {
    this.#deps = deps
  }

  /** Every entry and foreign line, by user; what they run only where the principal may see that. */
  async list(user: string | undefined, principal: Principal): Promise<{ entries: Entry[]; hidden: number }> {
    const { store, records, accounts, zone } = this.#deps
    const users = user === undefined ? [...new Set([...(await store.users()), ...records.users])] : [user]
    const next = new NextRuns(zone())
    const entries: Entry[] = []
    let hidden = 0
    for (const name of users.toSorted()) {
      const isOpen = principal.scopes.has('cron') && (await isUserOf(principal, name, accounts))
      const state = await this.#deps.preparer.state(name, await accounts.find(name))
      for (const entry of await entriesOf(state, this.#deps.files))
        entries.push(entryView(entry, { isOpen, next, lastRun: this.#deps.lastRun(entry.entry.id) }))
      for (const line of state.table.block?.entries ?? [])
        if (!line.job) entries.push(alteredView(name, line, isOpen))
      const jobs = foreignJobs(state.table)
      hidden += Math.max(0, jobs.length - FOREIGN_MAX)
      for (const job of jobs.slice(0, FOREIGN_MAX)) entries.push(foreignView(name, job, { isOpen, next }))
    }
    return { entries, hidden }
  }

  /** What a schedule means. @throws {AgentError} ENTRY_INVALID */
  preview(text: string, count = NEXT_MAX): SchedulePreview {
    const schedule = parseSchedule(text)
    if (schedule.kind === 'problem')
      throw invalidEntry('the schedule', [{ path: 'schedule', message: schedule.problem }])
    const zone = this.#deps.zone()
    const asked = { afterMs: Date.now(), zone }
    const runs = schedule.kind === 'timed' ? nextRuns(schedule, { ...asked, count }) : []
    return {
      description: describeSchedule(schedule),
      zone: zone.name,
      next: runs.map(({ atMs }) => isoTime(atMs)),
      warnings: scheduleWarnings(schedule, asked),
    }
  }

  /** All presets, or the one of that name. @throws {AgentError} ENTRY_INVALID */
  presets(name: string | undefined, show: boolean): CrontabPreset[] {
    return shownPresets(name, show)
  }

  /** What a call would do, with no effect. @throws what {@link Preparer.prepare} throws */
  prepare(wish: Wish, judge: Judge): Promise<CrontabChange> {
    return this.#deps.preparer.prepare(wish, judge)
  }

  /** The entry of an id, wherever it is; null when there is none. */
  find(id: string): Promise<EntryState | null> {
    return this.#deps.preparer.find(id)
  }

  /** @throws {AgentError} ENTRY_NOT_FOUND, FORBIDDEN */
  async mine(id: string, principal: Principal): Promise<EntryState> {
    const found = await this.find(id)
    if (!found) throw noEntry(`there is no entry ${id}`, { id })
    await assertUser(principal, found.user, this.#deps.accounts)
    return found
  }

  /** @throws {AgentError} FORBIDDEN for a user outside those of the token */
  assertMine(user: string, principal: Principal): Promise<void> {
    return assertUser(principal, user, this.#deps.accounts)
  }

  /** Copies of a crontab from before each write, the newest first. */
  backups(user: string): Promise<Backup[]> {
    return this.#deps.backups.list(user)
  }

  /**
   * Carries out what was judged, if nothing of it has changed since.
   * @throws {AgentError} REVISION_CONFLICT, POLICY_DENIED, CRONTAB_DAMAGED, CRON_UNAVAILABLE: nothing was done
   * @returns the entry that it was about
   */
  async commit(
    change: CrontabChange,
    principal: Principal,
  ): Promise<{ entry: Entry | null; warnings: string[] }> {
    const { store, drift, policy, bus } = this.#deps
    const { user, id, action, actor } = change
    const task = async () => {
      for (const judged of change.judged)
        if (!(await policy.stillHolds(judged)))
          throw new AgentError(
            'POLICY_DENIED',
            `${user}: a file that the command names was replaced while it was judged: look at it again`,
            { facts: { rule: 'policy.executables', user } },
          )
      await drift.look(user, { isToRestore: false })
      const written = await this.#write(change)
      const entry = this.#result(change)
      if (written.isChanged)
        bus.publish(
          'crontab.changed',
          { user, action, ...(id === null ? {} : { id }), ...(entry ? { revision: entry.revision } : {}) },
          actor,
        )
      if (written.isRace) drift.raced(user)
      const isOpen = principal.scopes.has('cron')
      const next = new NextRuns(this.#deps.zone())
      return {
        entry: entry && entryView(entry, { isOpen, next, lastRun: this.#deps.lastRun(entry.entry.id) }),
        warnings: [
          ...change.warnings,
          ...(written.isRace
            ? [`somebody else wrote the crontab of ${user} in the same moment: look whether all is there`]
            : []),
        ],
      }
    }
    return await store.alone(user, () => this.#counted(change, principal, task))
  }

  /** Runs a task that writes; a new entry is counted with those made at the same moment. @throws {AgentError} POLICY_DENIED */
  async #counted<T>(
    { user, id, seen, entry }: CrontabChange,
    principal: Principal,
    task: () => Promise<T>,
  ): Promise<T> {
    const { policy, records } = this.#deps
    if (id === null || entry === null || seen !== null || records.ownerOf(id) !== undefined)
      return await task()
    const { schedule, command, env } = entry
    const others = [...this.#adding].filter((one) => records.ownerOf(one) === undefined)
    const count = records.count + others.length + 1
    this.#adding.add(id)
    try {
      const subject = { kind: 'cron' as const, entry: { user, schedule, command, env }, count }
      await policy.enforce(policy.judge(subject, principal))
      return await task()
    } finally {
      this.#adding.delete(id)
    }
  }

  async #write(change: CrontabChange): Promise<Written> {
    const { store, files, records, backups, onUser } = this.#deps
    const { user, account, leftovers } = change
    const before = records.of(user)
    if (!isDeepStrictEqual(knownEntry(before, change.id), change.known)) throw changed(user)
    const scripts = change.scripts(before)
    const was = await Promise.all(
      scripts.map(async ({ id }) => ({ id, text: await files.text(id, account) })),
    )
    const edit: TableEdit = async (table) => {
      if (change.id !== null && (textsOf(blockText(table)).get(change.id) ?? null) !== change.seen)
        throw changed(user)
      const { table: after, entries, lines } = change.edit({ user, account, table, record: before })
      await records.save({ version: 1, user, uid: account.uid, lines, entries })
      return after
    }
    try {
      if (needsSpool(change, scripts, before)) await onUser(account)
      for (const { id, text } of scripts) await files.write(id, text, account)
      const written = await store.write(user, edit, (bytes) =>
        backups.add(user, bytes, before?.entries ?? []),
      )
      for (const id of leftovers) await files.remove(id)
      return written
    } catch (error) {
      await this.#undo(change, before, was)
      throw error
    }
  }

  /** Nothing was written: what the agent knows and the scripts are as they were. */
  async #undo(
    { user, account }: CrontabChange,
    before: UserRecord | undefined,
    scripts: readonly { id: string; text: string | null }[],
  ): Promise<void> {
    const { records, files } = this.#deps
    await records.save(before ?? { version: 1, user, uid: account.uid, lines: '', entries: [] })
    for (const { id, text } of scripts)
      if (text === null) await files.remove(id)
      else await files.write(id, text, account)
  }

  #result({ user, entry, id }: CrontabChange): EntryState | null {
    if (entry === null || id === null) return null
    const text = textsOf(this.#deps.records.of(user)?.lines ?? '').get(id) ?? ''
    return { user, entry, text, revision: revisionOf(entry, text), isDrifted: false }
  }
}

function blockText(table: { block: { entries: readonly { text: string }[] } | null }): string {
  return table.block?.entries.map(({ text }) => text).join('') ?? ''
}

/** Whether a change leads lines to the spool; one that only goes away needs nothing to be there. */
function needsSpool(
  { action, entry }: CrontabChange,
  scripts: readonly Script[],
  before: UserRecord | undefined,
): boolean {
  if (scripts.length > 0) return true
  if (entry === null) return action === 'repair' && (before?.entries.length ?? 0) > 0
  return action !== 'delete' && action !== 'eject'
}
