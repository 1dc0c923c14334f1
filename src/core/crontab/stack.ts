// Everything that deals with crontabs, put together.
import { hostname } from 'node:os'
import { join } from 'node:path'
import type { Logger } from '../../logger.ts'
import { packagedFile } from '../../packaged.ts'
import { EventBus } from '../events/bus.ts'
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
import { JobKeeper } from './job-keeper.ts'
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

interface PartsDeps {
  policy: Policy
  stateDir: string
  spoolDir: string
  /** `policy.cronDrift`. */
  cronDrift: 'report' | 'enforce'
  places?: Partial<CronPlaces> | undefined
}

export interface CrontabStackDeps extends PartsDeps {
  bus: EventBus
  runAs: RunAs
  /** Time for the ages of records; see `SteadyClock`. */
  now: () => number
  logger: Logger
}

/** What deals with crontabs, and starts nothing. */
function partsOf({ policy, stateDir, spoolDir, cronDrift, places = {} }: PartsDeps) {
  const folder = join(stateDir, 'crontabs')
  const command = new CrontabCommand(places.crontab ? { argv: places.crontab } : {})
  return {
    store: new CrontabStore({
      files: new CrontabFiles(places.folders ? { folders: places.folders } : {}),
      command,
    }),
    command,
    records: new EntryRecords(folder),
    backups: new CrontabBackups(join(folder, 'copies')),
    files: new JobFiles(spoolDir, { shim: packagedFile('assets/cronrun') }),
    accounts: new Accounts(places.passwd ? { file: places.passwd } : {}),
    policy,
    host: hostname(),
    isEnforced: cronDrift === 'enforce',
    zone: localZone,
    isCronAlive: () => cronDaemon(places.pidFile).alive,
    shadow: places.shadow,
  }
}

/** Crontabs for a command while no agent runs: nobody is told, and results wait. */
export async function offlineCrontabs(deps: PartsDeps & { logger: Logger }): Promise<CrontabService> {
  const parts = partsOf(deps)
  await parts.records.start()
  const bus = new EventBus()
  return new CrontabService({
    ...parts,
    preparer: new Preparer(parts),
    drift: new DriftWatch({ ...parts, bus, logger: deps.logger }),
    bus,
    onUser: () => parts.files.start(),
    lastRun: () => undefined,
  })
}

export class CrontabStack {
  readonly service: CrontabService
  readonly runner: CronRunner
  readonly results: CronResults
  readonly drift: DriftWatch
  readonly #keeper: JobKeeper
  readonly #records: EntryRecords

  constructor(deps: CrontabStackDeps) {
    const { bus, logger, places = {} } = deps
    const parts = partsOf(deps)
    this.#records = parts.records
    this.#keeper = new JobKeeper({ ...parts, logger })
    this.drift = new DriftWatch({ ...parts, bus, logger })
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
    await this.#keeper.tend()
    await this.results.start()
  }

  /** What must be done once a minute: somebody may have changed a block, or cleared away what its lines run. */
  async tend(): Promise<void> {
    await this.#keeper.tend()
    await this.drift.sweep()
  }

  async stop(): Promise<void> {
    await this.results.stop()
  }
}
