// Lines of ours run what lies below the spool folder. When somebody clears that away, nothing of it runs: it is put
// there again.
import type { Logger } from '../../logger.ts'
import type { Account } from '../policy/accounts.ts'
import type { EntryRecords, KeptEntry } from './entry-records.ts'
import { formerSpools } from './former-spool.ts'
import type { JobFiles } from './job-files.ts'
import type { CrontabStore } from './store.ts'
import { rendered } from './user-state.ts'

export interface JobKeeperDeps {
  records: EntryRecords
  store: CrontabStore
  files: JobFiles
  accounts: { find: (user: string) => Promise<Account | null> }
  host: string
  logger: Logger
}

export class JobKeeper {
  readonly #deps: JobKeeperDeps
  /** Users who were told of. */
  readonly #elsewhere = new Set<string>()
  #problem = ''

  constructor(deps: JobKeeperDeps) {
    this.#deps = deps
  }

  /** Puts `cronrun` and the scripts of entries where their lines look for them. Never throws. */
  async tend(): Promise<void> {
    const { records, store, files, logger } = this.#deps
    if (records.count === 0) return
    try {
      await files.start()
      for (const user of records.users) await store.alone(user, () => this.#scriptsOf(user))
      this.#problem = ''
    } catch (error) {
      const problem = String(error)
      if (problem !== this.#problem)
        logger.error({ err: error }, 'what crontab entries run is not in its place')
      this.#problem = problem
    }
  }

  async #scriptsOf(user: string): Promise<void> {
    const { records, accounts, files, logger } = this.#deps
    const { entries = [], lines = '', uid } = records.of(user) ?? {}
    this.#lookElsewhere(user, lines)
    const missing = entries.flatMap((entry) => this.#missing(entry))
    if (missing.length === 0) return
    const account = await accounts.find(user)
    if (!account || account.uid !== uid) return
    for (const { id, script } of missing) {
      await files.write(id, script, account)
      logger.warn({ user, id }, 'the script of a crontab entry was gone, and was written anew')
    }
  }

  /** Says once which entries leave their results where nobody looks. They are led here when somebody asks for a change. */
  #lookElsewhere(user: string, lines: string): void {
    const former = formerSpools(lines, this.#deps.files.spoolDir)
    if (former.length === 0) this.#elsewhere.delete(user)
    if (former.length === 0 || this.#elsewhere.has(user)) return
    this.#elsewhere.add(user)
    this.#deps.logger.warn(
      { user, entries: former, spoolDir: this.#deps.files.spoolDir },
      `crontab entries leave their results in a former spoolDir: agent cron repair ${user}`,
    )
  }

  #missing(entry: KeptEntry): { id: string; script: string }[] {
    const { files, host } = this.#deps
    const { script } = rendered(entry, { spoolDir: files.spoolDir, host })
    return script === null || files.has(entry.id) ? [] : [{ id: entry.id, script }]
  }
}
