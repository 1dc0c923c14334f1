// Everything that deals with crontabs, put together.
import { hostname } from 'node:os'
import { join } from 'node:path'
import type { Logger } from '../../logger.ts'
import { packagedFile } from '../../packaged.ts'
import type { EventBus } from '../events/bus.ts'
import { cronDaemon } from '../host/cron-daemon.ts'
import type { RunAs } from '../host/run-as.ts'
import { localZone } from '../host/zone.ts'
import { Accounts } from '../policy/accounts.ts'
import type { Policy } from '../policy/policy.ts'
import { CrontabBackups } from './backups.ts'
import { CrontabCommand } from './crontab-command.ts'
import { CrontabFiles } from './crontab-file.ts'
import { DriftWatch } from './drift.ts'
import { EntryRecords } from './entry-records.ts'
import { JobFiles } from './job-files.ts'
import { Preparer } from './prepare.ts'
import { CronResults } from './results.ts'
import { CronRunner } from './runner.ts'
import { CrontabService } from './service.ts'
import { CrontabStore } from './store.ts'

/** Where the cron of this host is, for one that is not at its usual place. */
export interface CronPlaces {
  folders: readonly string[]
  /** How `crontab` is called. */
  crontab: readonly [string, ...string[]]
  passwd: string
  shadow: string
  pidFile: string
}

export interface CrontabStackDeps {
  policy: Policy
  bus: EventBus
  stateDir: string
  spoolDir: string
  /** `policy.cronDrift`. */
  cronDrift: 'report' | 'enforce'
  runAs: RunAs
  /** Time for the ages of records; see `SteadyClock`. */
  now: () => number
  logger: Logger
  places?: Partial<CronPlaces>
}

export class CrontabStack {
  readonly service: CrontabService
  readonly runner: CronRunner
  readonly results: CronResults
  readonly drift: DriftWatch
  readonly #records: EntryRecords

  constructor(deps: CrontabStackDeps) {
    const { policy, bus, stateDir, spoolDir, cronDrift, logger, places = {} } = deps
    const folder = join(stateDir, 'crontabs')
    const backups = new CrontabBackups(join(folder, 'copies'))
    const records = new EntryRecords(folder)
    const command = new CrontabCommand(places.crontab ? { argv: places.crontab } : {})
    const store = new CrontabStore({
      files: new CrontabFiles(places.folders ? { folders: places.folders } : {}),
      command,
    })
    const isEnforced = cronDrift === 'enforce'
    const parts = {
      store,
      command,
      records,
      backups,
      files: new JobFiles(spoolDir, { shim: packagedFile('assets/cronrun') }),
      accounts: new Accounts(places.passwd ? { file: places.passwd } : {}),
      policy,
      host: hostname(),
      isEnforced,
      zone: localZone,
      isCronAlive: () => cronDaemon(places.pidFile).alive,
      shadow: places.shadow,
    }
    this.#records = records
    this.drift = new DriftWatch({ store, records, backups, isEnforced, bus, logger })
    const results = new CronResults({ ...parts, ...deps, pidFile: places.pidFile })
    this.results = results
    const preparer = new Preparer(parts)
    this.service = new CrontabService({
      ...parts,
      preparer,
      drift: this.drift,
      bus,
      onUser: (account) => results.add(account),
      lastRun: (id) => results.runs.list({ id, limit: 1 })[0],
    })
    this.runner = new CronRunner({
      ...parts,
      preparer,
      results,
      runAs: deps.runAs,
      cron: () => cronDaemon(places.pidFile),
    })
  }

  async start(): Promise<void> {
    await this.#records.start()
    await this.results.start()
  }

  async stop(): Promise<void> {
    await this.results.stop()
  }
}
