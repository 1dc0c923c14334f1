import type { Finding } from '../../protocol/doctor.ts'
import type { Principal } from '../access/principal.ts'
import type { CronDaemon } from '../host/cron-daemon.ts'
import type { SupervisorStack } from '../supervisor/stack.ts'
import type { DoctorAgent, DoctorConfig, DoctorHost, SeenProcess } from './host.ts'
import type { Examined } from './run.ts'

export interface DoctorServiceDeps {
  config: DoctorConfig
  configFile: string
  supervisor: SupervisorStack
  panel: DoctorAgent['panel']
  isJournalBehind: DoctorAgent['isJournalBehind']
  cron: () => CronDaemon
}

/** The doctor as methods see it. Its checks are loaded when somebody asks for the first time. */
export class DoctorService {
  readonly #deps: DoctorServiceDeps
  #running: Promise<Examined[]> | null = null

  constructor(deps: DoctorServiceDeps) {
    this.#deps = deps
  }

  /** Asks all questions; who asks meanwhile gets the same answers, each as far as their rights go. */
  async findings(principal: Principal): Promise<Finding[]> {
    const { findingsFor } = await import('./run.ts')
    this.#running ??= this.#examine().finally(() => {
      this.#running = null
    })
    return findingsFor(await this.#running, principal)
  }

  async #examine(): Promise<Examined[]> {
    const [{ agentChecks, hostChecks }, { once }, { examine }] = await Promise.all([
      import('./index.ts'),
      import('./host.ts'),
      import('./run.ts'),
    ])
    const { config, configFile, supervisor, cron, panel, isJournalBehind } = this.#deps
    const { connection, service, listener } = supervisor
    const host: DoctorHost = {
      config,
      configFile,
      rpc: supervisor.rpc,
      pid: async () => (connection.isUp ? (connection.status.identity?.pid ?? null) : null),
      discover: once(() => supervisor.discover()),
      processes: async () => this.#processes(),
      cron,
    }
    const agent: DoctorAgent = {
      listener: () => listener.status(),
      hasExitStatuses: () => service.brief().exitStatuses,
      orphans: () => service.orphans(),
      panel,
      isJournalBehind,
    }
    return await examine([...hostChecks(host), ...agentChecks(host, agent)])
  }

  #processes(): SeenProcess[] {
    const { table, logs } = this.#deps.supervisor
    return table.shown().map((entry) => {
      const { name, program, state, pid, spawnError, flags } = table.view(entry)
      const isCrashLoop = flags.includes('crash-loop')
      return { name, program, state, pid, spawnError, isCrashLoop, logTail: () => logs.crashTail(entry) }
    })
  }
}
