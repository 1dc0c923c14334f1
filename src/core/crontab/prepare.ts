// From a call to what it would do. Nothing is changed here: a plan shows what comes out of it, a put carries it out.
import type { EntryDefinition } from '../../protocol/entry.ts'
import type { Principal } from '../access/principal.ts'
import type { Zone } from '../host/zone.ts'
import type { Account, Accounts } from '../policy/accounts.ts'
import type { Policy } from '../policy/policy.ts'
import type { Verdict } from '../policy/subject.ts'
import { usableAccount } from './account-state.ts'
import type { CrontabBackups } from './backups.ts'
import { type CrontabChange, scriptDiff, tableDiff } from './change.ts'
import { type CrontabCommand, unavailable } from './crontab-command.ts'
import { Drafts } from './drafts.ts'
import { type EntryRecords, knownEntry } from './entry-records.ts'
import { entryIssues } from './entry-validation.ts'
import type { JobFiles } from './job-files.ts'
import { expandEntry } from './presets/expand.ts'
import { assertUser, invalidEntry, noEntry } from './refusals.ts'
import { type CrontabStore, mustBeWhole } from './store.ts'
import { type EntryState, entriesOf, type UserState } from './user-state.ts'

/** What a call wishes for. */
export type Wish =
  | { action: 'put'; entry: EntryDefinition; ifRevision?: string | undefined }
  | { action: 'delete' | 'enable' | 'disable'; id: string; ifRevision?: string | undefined }
  | { action: 'import'; user: string; key: string }
  | { action: 'eject'; id: string }
  | { action: 'repair'; user: string }
  | { action: 'restore'; user: string; backup: string }

export interface Judge {
  principal: Principal
  /** @throws {AgentError} FORBIDDEN, POLICY_DENIED */
  enforce: <V extends Verdict>(judging: Promise<V>) => Promise<V>
}

export interface PreparerDeps {
  store: CrontabStore
  command: CrontabCommand
  records: EntryRecords
  backups: CrontabBackups
  files: JobFiles
  accounts: Accounts
  policy: Policy
  /** The name of this host: equal entries of many hosts do not start in the same second. */
  host: string
  /** `policy.cronDrift`: what is not ours in a block is not kept there. */
  isEnforced: boolean
  zone: () => Zone
  isCronAlive: () => boolean
  shadow?: string | undefined
}

export class Preparer {
  readonly #deps: PreparerDeps
  readonly #drafts: Drafts

  constructor(deps: PreparerDeps) {
    this.#deps = deps
    this.#drafts = new Drafts(deps)
  }

  /**
   * @throws {AgentError} FORBIDDEN, POLICY_DENIED; ENTRY_NOT_FOUND, ENTRY_INVALID, REVISION_CONFLICT, CRONTAB_DAMAGED,
   * CRON_UNAVAILABLE
   */
  async prepare(asked: Wish, judge: Judge): Promise<CrontabChange> {
    const user = await this.#userOf(asked, judge.principal)
    await assertUser(judge.principal, user, this.#deps.accounts)
    const { wish, told } = asked.action === 'put' ? whole(asked) : { wish: asked, told: [] }
    const account = await this.account(user)
    const state = await this.state(user, account)
    if (wish.action !== 'repair') mustBeWhole(user, state.table)
    const { action } = wish
    const change = await this.#drafts.of(wish, { state, account, judge })
    const after = change.edit(state).table
    const scripts = await Promise.all(
      [...change.scripts(state.record), ...change.leftovers.map((id) => ({ id, text: null }))].map(
        async ({ id, text }) => scriptDiff(id, await this.#deps.files.text(id, account), text),
      ),
    )
    return {
      ...change,
      action,
      actor: judge.principal.actor,
      user,
      account,
      known: knownEntry(state.record, change.id),
      diff: [tableDiff(user, state.table, after), ...scripts].join(''),
      warnings: [
        ...told,
        ...change.warnings,
        ...(this.#deps.isCronAlive() ? [] : ['cron-not-running: no cron daemon runs on this host']),
      ],
    }
  }

  async state(user: string, account: Account | null): Promise<UserState> {
    const { store, records } = this.#deps
    return { user, account, table: await store.read(user), record: records.of(user) }
  }

  /** The entry of an id, wherever it is. */
  async find(id: string): Promise<EntryState | null> {
    const { store, records, accounts, files } = this.#deps
    const owner = records.ownerOf(id)
    // what stands in a crontab alone is that user's, unless the agent knows better
    for (const user of owner === undefined ? await store.users() : [owner]) {
      const state = await this.state(user, await accounts.find(user))
      const found = (await entriesOf(state, files)).find(({ entry }) => entry.id === id)
      if (found) return found
    }
    return null
  }

  async #userOf(wish: Wish, principal: Principal): Promise<string> {
    if (wish.action === 'put') {
      const { id, user } = wish.entry
      const owner = id === undefined ? undefined : this.#deps.records.ownerOf(id)
      if (owner === undefined || owner === user) return user
      await assertUser(principal, owner, this.#deps.accounts)
      throw invalidEntry(wish.entry.name, [
        { path: 'user', message: `entry ${id} is of ${owner}: delete it there and make a new one` },
      ])
    }
    if ('user' in wish) return wish.user
    const found = await this.find(wish.id)
    const owner = found?.user ?? this.#deps.records.ownerOf(wish.id)
    if (owner === undefined) throw noEntry(`there is no entry ${wish.id}`, { id: wish.id })
    return owner
  }

  /** @throws {AgentError} CRON_UNAVAILABLE for one who may have no crontab, or is another than when it was made */
  async account(user: string): Promise<Account> {
    const { command, accounts, shadow, records } = this.#deps
    await command.flavour()
    const account = await usableAccount(user, { accounts, shadow })
    const known = records.of(user)
    if (known && known.entries.length > 0 && known.uid !== account.uid)
      throw unavailable(
        'uid-changed',
        `${user} was uid ${known.uid} when its entries were made and is ${account.uid} now: it may be somebody else`,
        { user },
      )
    return account
  }
}

/** With its preset worked out. @throws {AgentError} ENTRY_INVALID */
function whole(wish: Extract<Wish, { action: 'put' }>): { wish: Wish; told: string[] } {
  const { entry, issues, warnings } = expandEntry(wish.entry)
  const { preset: _preset, options: _options, schedule = '', command = '', ...rest } = entry
  // what its preset lacks is not told once more as what the entry lacks
  const found = issues.length > 0 ? issues : entryIssues({ ...rest, schedule, command })
  if (found.length > 0) throw invalidEntry(entry.name, found)
  return { wish: { ...wish, entry }, told: warnings }
}
