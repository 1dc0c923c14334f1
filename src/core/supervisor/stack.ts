// Everything that deals with supervisord, put together: who tells whom. Starts and stops as one.
import { chownSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { Teardown } from '../../lib/teardown.ts'
import type { Logger } from '../../logger.ts'
import { AgentError } from '../../protocol/errors.ts'
import type { EventBus } from '../events/bus.ts'
import { openLogFile } from '../logs/open.ts'
import type { LogService } from '../logs/service.ts'
import { SupervisorConnection } from './connection.ts'
import { ProcessControl } from './control.ts'
import { type DiscoverOptions, type Discovery, discover } from './discovery.ts'
import { readSupervisordProcess } from './discovery-process.ts'
import { requireSound } from './dry-parse.ts'
import { ExitLog } from './exit-log.ts'
import type { ListenerPosition } from './listener-sequence.ts'
import { ListenerServer } from './listener-server.ts'
import { Nudge } from './nudge.ts'
import { Observer } from './observer.ts'
import { OrphanWatch } from './orphans.ts'
import { ProcessGroups } from './process-groups.ts'
import { ProcessLogs } from './process-logs.ts'
import { ProcessService } from './process-service.ts'
import { ProcessSteps } from './process-steps.ts'
import { ProcessTable, type UsageOf } from './process-table.ts'
import { ProcessTasks } from './process-tasks.ts'
import { indexPrograms } from './program-index-files.ts'
import type { RecentFiles } from './recent-files.ts'
import { RestartNotes } from './restart-notes.ts'
import { type RpcAddress, SupervisorRpc } from './rpc.ts'
import { StateWatch } from './state-watch.ts'
import { SupervisorService } from './supervisor-service.ts'
import { Transitions } from './transitions.ts'

const POKE_DEADLINE_MS = 2_000
/** The shim tries five times a second; on a host that is out of breath it still gets there. */
const SHIM_WAITS = { aliveMs: 5_000, unseenMs: 1_500 }

export interface SupervisorStackDeps {
  address: RpcAddress
  files: Omit<DiscoverOptions, 'pid' | 'recent'>
  runDir: string
  stateDir: string
  bus: EventBus
  /** Where the listener stood at the end of an earlier run of the agent. */
  position: ListenerPosition | null
  logs: LogService
  usageOf: UsageOf
  logger: Logger
}

export class SupervisorStack {
  readonly rpc: SupervisorRpc
  readonly table: ProcessTable
  readonly connection: SupervisorConnection
  readonly listener: ListenerServer
  readonly observer: Observer
  readonly processes: ProcessService
  readonly logs: ProcessLogs
  readonly watch: StateWatch
  readonly steps: ProcessSteps
  readonly groups: ProcessGroups
  readonly service: SupervisorService
  readonly #deps: SupervisorStackDeps
  readonly #exits: ExitLog
  readonly #nudge: Nudge
  readonly #tasks: ProcessTasks
  readonly #onUp = new Set<() => Promise<void>>()
  readonly #orphans: OrphanWatch
  readonly #teardown = new Teardown()
  readonly #listenerSocket: string
  #isContinuous = false

  constructor(deps: SupervisorStackDeps) {
    const { bus, logs, logger } = deps
    this.#deps = deps
    this.#listenerSocket = join(deps.runDir, 'listener.sock')
    this.rpc = new SupervisorRpc(deps.address)
    this.table = new ProcessTable({ bus })
    this.table.setUsage(deps.usageOf)
    this.#orphans = new OrphanWatch({ table: this.table })
    this.#exits = new ExitLog({ open: (path) => openLogFile(path).fd })
    this.observer = new Observer({
      rpc: this.rpc,
      table: this.table,
      transitions: new Transitions({
        table: this.table,
        bus,
        exits: this.#exits,
        logTail: (entry) => this.logs.crashTail(entry),
      }),
      logger,
      seesChildren: () => this.#nudge.isWatching,
      hasListener: () => this.listener.status().connected,
      isContinuous: () => this.#isContinuous && !this.connection.isSettled,
      forgetExits: () => this.#exits.forget(),
    })
    this.listener = new ListenerServer({
      socketPath: this.#listenerSocket,
      position: deps.position,
      logger,
      onEvent: ({ body }, position) => this.observer.receive(body, (task) => bus.causedBy(position, task)),
      onConnected: () => {
        this.observer.listenerConnected()
        this.#listenerChanged()
      },
      onGap: () => {
        bus.publishGap()
        this.observer.reconcileSoon()
      },
      onReset: () => this.observer.reconcileSoon(),
      onDisconnected: () => {
        this.#orphans.mayBeGone()
        this.#listenerChanged()
      },
    })
    this.connection = new SupervisorConnection({
      rpc: this.rpc,
      bus,
      logger,
      onUp: ({ pid }) => this.#up(pid),
      onGone: () => {
        this.#tasks.supervisordGone()
        this.groups.supervisordGone()
      },
      onDown: () => {
        this.#orphans.mayBeGone()
        this.#nudge.stop()
      },
    })
    this.table.setComer(() => this.connection.restarter)
    this.#nudge = new Nudge({
      table: this.table,
      poke: () => this.rpc.call('supervisor.getState', [], { deadlineMs: POKE_DEADLINE_MS }),
      onChildren: () => {
        if (!this.observer.isEventDriven) this.observer.reconcileSoon()
      },
      onGone: () => void this.connection.check(),
    })
    const watch = new StateWatch({
      table: this.table,
      observer: this.observer,
      poke: () => this.#nudge.poke(),
      logger,
    })
    this.watch = watch
    const steps = new ProcessSteps({ rpc: this.rpc, table: this.table, watch })
    this.steps = steps
    const tasks = new ProcessTasks({
      table: this.table,
      steps,
      connection: this.connection,
      notes: new RestartNotes({ path: join(deps.stateDir, 'restarts.json'), logger }),
      localPid: () => this.#localPid(this.connection.status.identity?.pid),
      logger,
    })
    this.#tasks = tasks
    const control = new ProcessControl({
      rpc: this.rpc,
      table: this.table,
      steps,
      connection: this.connection,
      tasks,
    })
    this.processes = new ProcessService({ table: this.table, control, connection: this.connection, bus })
    this.logs = new ProcessLogs({ logs, table: this.table })
    this.groups = new ProcessGroups({
      rpc: this.rpc,
      table: this.table,
      watch,
      observer: this.observer,
      connection: this.connection,
    })
    this.service = new SupervisorService({
      rpc: this.rpc,
      connection: this.connection,
      observer: this.observer,
      table: this.table,
      groups: this.groups,
      listener: this.listener,
      exits: this.#exits,
      orphans: this.#orphans,
      logs,
      discover: () => this.discover(),
      dryRun: async (discovery) => {
        const { judged } = await requireSound(discovery, 'supervisord was left running')
        if (!judged) throw cannotJudge()
      },
    })
  }

  async start(): Promise<void> {
    await this.listener.start()
    this.#teardown.defer(() => this.listener.stop())
    this.#teardown.defer(() => this.#exits.close())
    this.#isContinuous = await this.listener.resumed(SHIM_WAITS)
    await this.connection.start()
    this.#teardown.defer(() => {
      this.observer.stop()
      this.#nudge.stop()
    })
    this.#teardown.defer(() => this.connection.stop())
  }

  /** Ends at once, also while supervisord gives no answer. */
  stop(): Promise<void> {
    this.#tasks.stop()
    this.watch.stop()
    this.rpc.close()
    return this.#teardown.run()
  }

  /**
   * How the running supervisord is configured. Never throws.
   * @param recent where it may take files from that it read a moment ago
   */
  discover(recent?: RecentFiles): Promise<Discovery> {
    const pid = this.#localPid(this.connection.status.identity?.pid)
    return discover({ ...this.#deps.files, pid, ...(recent ? { recent } : {}) })
  }

  /** As whom it runs and where it looks for commands, as far as this host shows. */
  async facts(): Promise<{ uid: number | null; searchPath: string[] | null }> {
    const pid = this.#localPid(this.connection.status.identity?.pid)
    const seen = pid === null ? null : await readSupervisordProcess(pid)
    const path = seen?.environment?.['PATH']
    return { uid: seen?.uid ?? null, searchPath: path ? path.split(':') : null }
  }

  /** Called each time that supervisord can be asked and its processes are known. */
  onUp(listener: () => Promise<void>): void {
    this.#onUp.add(listener)
  }

  /** The configuration files were changed: whose process is whose is read from them anew. */
  async readPrograms(): Promise<void> {
    this.table.setPrograms(indexPrograms(await this.discover()))
  }

  async #up(pid: number): Promise<void> {
    const local = this.#localPid(pid)
    const found = await discover({ ...this.#deps.files, pid: local })
    this.table.setPrograms(indexPrograms(found))
    this.#exits.follow(found.mainLog)
    if (local !== null) {
      this.#orphans.cameUp(local)
      this.#ownListenerSocket(local)
      this.#nudge.watch(local)
    }
    await this.observer.reconcile()
    // before it gives its first answer it has begun all that it starts by itself
    this.table.allCame()
    this.#tasks.finishRestarts(pid)
    for (const listener of this.#onUp)
      void listener().catch((error: unknown) => this.#deps.logger.warn({ err: error }, 'not done yet'))
  }

  #listenerChanged(): void {
    // a listener that goes is often the first sign that supervisord goes
    void this.connection.check()
    if (this.connection.isUp) this.observer.reconcileSoon()
  }

  /** Its pid when it runs on this host, in our pid namespace; null when that cannot be seen. */
  #localPid(pid: number | undefined): number | null {
    if (pid === undefined) return null
    try {
      return readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('supervisord') ? pid : null
    } catch {
      return null
    }
  }

  /** The listener runs as supervisord does; the socket is for that user alone. */
  #ownListenerSocket(pid: number): void {
    if (process.getuid?.() !== 0) return
    const { uid } = statSync(`/proc/${pid}`)
    chownSync(this.#listenerSocket, uid, -1)
  }
}

/** A restart with a broken file would stop everything and end: without a verdict there is none. */
function cannotJudge(): AgentError {
  return new AgentError(
    'SUPERVISOR_FAULT',
    'its configuration cannot be tried out from here, because the agent may not look into supervisord (as in its ' +
      'systemd unit): nothing was done. On the host: supervisorctl reload, or systemctl restart supervisor',
    { facts: { fault: 'NOT_JUDGED' } },
  )
}
