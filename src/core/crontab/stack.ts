// Everything that deals with crontabs, put together.
import { hostname } from 'node:os'
import { join } from 'node:path'
import type { Logger } from '../../logger.ts'
import { packagedFile } from '../../packaged.ts'
import type { EventBus } from '../events/bus.ts'
import { cronDaemon } from '../host/cron-daemon.ts'
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
  logger: Logger
  places?: Partial<CronPlaces>
}

export class CrontabStack {
  readonly service: CrontabService
  readonly drift: DriftWatch
  readonly #records: EntryRecords

  constructor({ policy, bus, stateDir, spoolDir, cronDrift, logger, places = {} }: CrontabStackDeps) {
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
    this.service = new CrontabService({
      ...parts,
      preparer: new Preparer(parts),
      drift: this.drift,
      bus,
      onUser: async () => undefined,
    })
  }

  async start(): Promise<void> {
    await this.#records.start()
  }
}
