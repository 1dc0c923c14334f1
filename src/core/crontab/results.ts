// What comes of cron jobs: the users' spools are read, runs are kept and told, and those that did not come are missed.
import { join } from 'node:path'
import type { Logger } from '../../logger.ts'
import type { EventBus } from '../events/bus.ts'
import type { Zone } from '../host/zone.ts'
import type { Account, Accounts } from '../policy/accounts.ts'
import { CronWatch } from './cron-watch.ts'
import type { EntryRecords } from './entry-records.ts'
import type { JobFiles } from './job-files.ts'
import { MissedWatch } from './missed-watch.ts'
import { Runs } from './runs.ts'
import { Spool } from './spool.ts'
import type { CrontabStore } from './store.ts'

export interface CronResultsDeps {
  stateDir: string
  bus: EventBus
  /** Time for the ages of records; see `SteadyClock`. */
  now: () => number
  records: EntryRecords
  accounts: Accounts
  files: JobFiles
  store: CrontabStore
  zone: () => Zone
  pidFile?: string | undefined
  logger: Logger
}

export class CronResults {
  readonly runs: Runs
  readonly #deps: CronResultsDeps
  readonly #spool: Spool
  readonly #missed: MissedWatch
  /** Whose spool is not read, and why. */
  readonly #problems = new Map<string, string>()

  /** Opens what is there. @throws what the file system says */
  constructor(deps: CronResultsDeps) {
    const { stateDir, records, files, logger } = deps
    this.#deps = deps
    this.runs = new Runs({ ...deps, folder: join(stateDir, 'runs') })
    this.#spool = new Spool({
      root: files.spoolDir,
      runs: this.runs,
      // the last run of an entry that was deleted meanwhile is told too
      isEntry: (id, user) => records.ownerOf(id) === user || this.runs.hasLiving(id, user),
      logger,
    })
    this.#missed = new MissedWatch({
      ...deps,
      watch: new CronWatch({ pidFile: deps.pidFile }),
      runs: this.runs,
      blindMs: (user) => this.#spool.blindMs(user),
      spoolDir: files.spoolDir,
    })
  }

  /** Reads what came while there was no agent, and then what comes. */
  async start(): Promise<void> {
    await this.runs.start()
    this.#missed.start()
    await this.#addUsers()
    this.#spool.start()
  }

  /** A user has entries: what their runs leave is read from now on. */
  async add({ name, uid }: Account): Promise<void> {
    await this.#deps.files.start()
    await this.#spool.add({ name, uid })
  }

  /** What must be done once a minute: all that is there is read, and then what did not come is known. */
  async tend(): Promise<void> {
    await this.#addUsers()
    await this.#spool.sweep()
    await this.#missed.look()
  }

  /** Reads all that is in the spools now. */
  async sweep(): Promise<void> {
    await this.#spool.sweep()
  }

  async stop(): Promise<void> {
    await this.#spool.stop()
    this.runs.stop()
  }

  async #addUsers(): Promise<void> {
    const { records, logger } = this.#deps
    for (const user of records.users) {
      if (this.#spool.has(user) || !records.of(user)?.entries.length) continue
      const problem = await this.#addUser(user).catch((error: unknown) => String(error))
      if (problem !== null && this.#problems.get(user) !== problem)
        logger.warn({ user, problem }, 'results of cron jobs cannot be read')
      if (problem === null) this.#problems.delete(user)
      else this.#problems.set(user, problem)
    }
  }

  /** @returns why not */
  async #addUser(user: string): Promise<string | null> {
    const account = await this.#deps.accounts.find(user)
    if (account === null) return 'there is no such user any more'
    const known = this.#deps.records.of(user)?.uid
    if (known !== account.uid) return `it is uid ${account.uid} and was ${known} when its entries were made`
    await this.add(account)
    return null
  }
}
