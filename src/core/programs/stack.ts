// Everything that deals with programs, put together.
import { join } from 'node:path'
import type { Logger } from '../../logger.ts'
import type { EventBus } from '../events/bus.ts'
import type { RunAs } from '../host/run-as.ts'
import { Accounts } from '../policy/accounts.ts'
import type { Policy } from '../policy/policy.ts'
import { RecentFiles } from '../supervisor/recent-files.ts'
import type { SupervisorStack } from '../supervisor/stack.ts'
import { ChangeRunner } from './change-runner.ts'
import { Commits } from './commits.ts'
import { GracefulVerbs } from './graceful.ts'
import { IntentStore } from './intent.ts'
import { keepRevisions, unkeepRevisions } from './keep.ts'
import { Preparer } from './prepare.ts'
import type { PresetBook } from './presets/book.ts'
import { Quarantine } from './quarantine.ts'
import { RevisionStore } from './revisions.ts'
import { ProgramService } from './service.ts'
import { Trial } from './trial.ts'
import { Upkeep } from './upkeep.ts'

export interface ProgramStackDeps {
  supervisor: SupervisorStack
  policy: Policy
  presets: PresetBook
  runAs: RunAs
  bus: EventBus
  stateDir: string
  /** The first of `policy.logDirectories`. */
  logFolder: string
  logger: Logger
}

export class ProgramStack {
  readonly service: ProgramService
  readonly upkeep: Upkeep
  readonly graceful: GracefulVerbs
  readonly quarantine: Quarantine
  readonly #commits: Commits

  constructor({ supervisor, policy, presets, runAs, bus, stateDir, logFolder, logger }: ProgramStackDeps) {
    const { table, groups, steps, watch, connection } = supervisor
    const intents = new IntentStore(join(stateDir, 'programs', 'pending'))
    const revisions = new RevisionStore(join(stateDir, 'programs'))
    const discover = () => supervisor.discover()
    const onFiles = () => supervisor.readPrograms()
    const recent = new RecentFiles()
    const accounts = new Accounts()
    const runner = new ChangeRunner({
      intents,
      groups,
      steps,
      table,
      onFiles,
      keep: (intent) => keepRevisions(revisions, intent),
      unkeep: (intent) => unkeepRevisions(revisions, intent),
      stands: (intent) => this.#commits.stands(intent),
      logger,
    })
    const trial = new Trial({ accounts })
    const preparer = new Preparer({ table, revisions, policy, presets, logFolder })
    this.#commits = new Commits({
      preparer,
      runner,
      intents,
      revisions,
      trial,
      groups,
      policy,
      watch,
      bus,
      discover,
      logTail: async (process) => {
        // one that has just come is not known with its log files yet
        await supervisor.observer.refresh([process]).catch(() => undefined)
        const entry = table.get(process)
        return (entry && supervisor.logs.crashTail(entry)) ?? ''
      },
    })
    this.service = new ProgramService({
      preparer,
      commits: this.#commits,
      revisions,
      trial,
      connection,
      table,
      presets,
      logFolder,
      // a put reads all files once more before it does anything
      discover: () => supervisor.discover(recent),
    })
    this.graceful = new GracefulVerbs({ table, revisions, presets, policy, runAs, discover })
    this.quarantine = new Quarantine({ accounts, table, discover, onFiles })
    this.upkeep = new Upkeep({
      table,
      revisions,
      runner,
      bus,
      discover,
      alone: (program, task) => this.#commits.alone(program, task),
      logger,
    })
    supervisor.onUp(() => {
      this.upkeep.lookAnew()
      return this.recover()
    })
  }

  /** To be called before supervisord is asked for the first time. */
  async start(): Promise<void> {
    await this.#commits.undoFiles()
    this.upkeep.start()
  }

  /** Ends what an end in the middle of a change left. */
  async recover(): Promise<void> {
    await this.#commits.recover()
    await this.upkeep.fold()
  }

  /** What is to be done now and then: what could not be undone at once, and edits by hand. */
  async tend(): Promise<void> {
    await this.recover()
    await this.upkeep.drift()
  }

  stop(): void {
    this.upkeep.stop()
  }
}
