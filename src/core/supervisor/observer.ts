// Keeps the process table true. Three sources: supervisord's own events (through the listener), snapshots, and both
// put together: a snapshot is asked for in one request with a marker event, which supervisord queues behind the events
// that happened before the snapshot. When the marker comes out of the listener, memory must equal the snapshot; where
// it does not, events were lost, and the difference is published as observed.
import { randomBytes } from 'node:crypto'
import * as z from 'zod'
import type { Logger } from '../../logger.ts'
import type { ProcessState } from '../../protocol/process.ts'
import type { EventBus } from '../events/bus.ts'
import type { ExitLog } from './exit-log.ts'
import type { EventBody } from './listener-payload.ts'
import { nameOf, ProcessInfo, parseBatchItem } from './process-info.ts'
import type { Entry, ProcessTable, Transition } from './process-table.ts'
import { OWN_GROUP } from './program-index.ts'
import type { SupervisorRpc } from './rpc.ts'

const MARKER_TYPE = 'supervisor-agent-marker'
const MARKER_WAIT_MS = 3_000
const SETTLE_MS = 50
/** Without events: how often processes on their way from one state to another are asked for. */
const STEP_MS = 400
/** Without events, and with supervisord's children out of sight (it runs elsewhere): how often all are asked for. */
const BLIND_MS = 5_000
const ON_THE_WAY = new Set<ProcessState>(['STARTING', 'BACKOFF', 'STOPPING'])

interface Marker {
  nonce: string
  infos: ProcessInfo[] | null
  arrived: () => void
}

/**
 * What is done with a process event. `tell`: it lies before the snapshot in memory, from when the agent was down; it is
 * published and changes nothing. `skip`: comparison has told it already. A marker ends both.
 */
type Mode = 'apply' | 'tell' | 'skip'

export interface ObserverDeps {
  rpc: SupervisorRpc
  table: ProcessTable
  bus: EventBus
  exits: ExitLog
  logger: Logger
  /** True while the listener's shim is connected. */
  hasListener: () => boolean
  /** True while a change of supervisord's children is seen at once. */
  seesChildren: () => boolean
  /** The end of a process's log, for the events of a crash. */
  logTail: (entry: Entry) => string | null
}

export class Observer {
  readonly #deps: ObserverDeps
  #isPrimed = false
  #mode: Mode = 'apply'
  #hadListener = false
  #isStalled = false
  #isStopped = false
  #marker: Marker | null = null
  #running: Promise<void> | null = null
  #again = false
  #timer: NodeJS.Timeout | null = null
  #step: NodeJS.Timeout | null = null
  readonly #toRefresh = new Set<string>()

  constructor(deps: ObserverDeps) {
    this.#deps = deps
  }

  /** True once the table has been filled. */
  get isPrimed(): boolean {
    return this.#isPrimed
  }

  /** True when events keep the table true, so that nothing needs to be asked. */
  get isEventDriven(): boolean {
    return this.#deps.hasListener() && !this.#isStalled
  }

  /** Compares memory with supervisord. Calls that come meanwhile share one more round. */
  reconcile(signal?: AbortSignal): Promise<void> {
    if (this.#running) {
      this.#again = true
      return this.#running
    }
    this.#running = this.#rounds(signal).finally(() => {
      this.#running = null
      this.#stepOn()
    })
    return this.#running
  }

  /** Asks for a reconcile soon, once for a burst of reasons. */
  reconcileSoon(): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = null
      this.reconcile().catch((error: unknown) => this.#deps.logger.warn({ err: error }, 'reconcile failed'))
    }, SETTLE_MS)
  }

  stop(): void {
    this.#isStopped = true
    for (const timer of [this.#timer, this.#step]) if (timer) clearTimeout(timer)
  }

  /** Without events nobody tells how a start or a stop goes on: ask until all have arrived. */
  #stepOn(): void {
    if (this.#step || this.#isStopped || this.isEventDriven) return
    const onTheWay = this.#deps.table.all().filter(({ state }) => ON_THE_WAY.has(state))
    const isBlind = !this.#deps.seesChildren()
    if (onTheWay.length === 0 && !isBlind) return
    const names = onTheWay.map(({ name }) => name)
    this.#step = setTimeout(
      () => {
        this.#step = null
        const asking = names.length > 0 ? this.refresh(names) : this.reconcile()
        // when supervisord went away, the reconcile after its return goes on
        asking
          .then(() => this.#stepOn())
          .catch((error: unknown) => this.#deps.logger.debug({ err: error }, 'no answer'))
      },
      names.length > 0 ? STEP_MS : BLIND_MS,
    )
  }

  /** Asks supervisord about some processes alone and takes over what changed; also wakes its loop. */
  async refresh(names: readonly string[], signal?: AbortSignal): Promise<void> {
    const calls = names.map((name) => ({ method: 'supervisor.getProcessInfo', params: [name] }))
    const items = await this.#deps.rpc.batch(calls, signal ? { signal } : {})
    items.forEach((item, index) => {
      const entry = this.#deps.table.get(names[index] ?? '')
      if (!entry) return
      try {
        this.#compare(entry, parseBatchItem(ProcessInfo, item))
      } catch {
        // it left supervisord meanwhile: the next reconcile says so
        this.reconcileSoon()
      }
    })
  }

  /** The listener came (back): what supervisord kept for it comes first, up to the marker of a new comparison. */
  listenerConnected(): void {
    this.#mode = this.#hadListener ? 'skip' : 'tell'
    this.#hadListener = true
    this.#isStalled = false
  }

  /** One event of the listener, in order. */
  receive(event: EventBody): void {
    switch (event.kind) {
      case 'process-state':
        return this.#processEvent(event)
      case 'group-added':
        return event.group === OWN_GROUP ? undefined : this.reconcileSoon()
      case 'group-removed':
        if (this.#mode !== 'apply') return
        for (const { name, group } of this.#deps.table.all())
          if (group === event.group) this.#deps.table.remove(name)
        return
      case 'remote':
        if (event.type === MARKER_TYPE && event.body === this.#marker?.nonce) this.#markerArrived()
        return
      case 'supervisor-state':
      case 'other':
        return
    }
  }

  async #rounds(signal?: AbortSignal): Promise<void> {
    do {
      this.#again = false
      await this.#round(signal)
    } while (this.#again)
  }

  async #round(signal?: AbortSignal): Promise<void> {
    if (!this.#deps.hasListener()) {
      this.#take(await this.#snapshot(null, signal))
      return
    }
    const nonce = randomBytes(16).toString('hex')
    let arrived = () => {}
    const arrival = new Promise<void>((resolve) => {
      arrived = resolve
    })
    const marker: Marker = { nonce, infos: null, arrived }
    this.#marker = marker
    const isFirst = !this.#isPrimed
    try {
      const infos = await this.#snapshot(nonce, signal)
      if (isFirst) this.#take(infos)
      else marker.infos = infos
      const timer = setTimeout(() => this.#markerMissed(marker), MARKER_WAIT_MS)
      // the marker may have come with an answer still under way
      if (this.#marker !== marker) this.#settle(marker)
      await arrival
      clearTimeout(timer)
    } finally {
      if (this.#marker === marker) this.#marker = null
    }
  }

  async #snapshot(nonce: string | null, signal?: AbortSignal): Promise<ProcessInfo[]> {
    const marker =
      nonce === null ? [] : [{ method: 'supervisor.sendRemoteCommEvent', params: [MARKER_TYPE, nonce] }]
    const calls = [...marker, { method: 'supervisor.getAllProcessInfo', params: [] }]
    const items = await this.#deps.rpc.batch(calls, signal ? { signal } : {})
    return parseBatchItem(z.array(ProcessInfo), items.at(-1))
  }

  #markerArrived(): void {
    const marker = this.#marker
    this.#marker = null
    this.#isStalled = false
    if (marker) this.#settle(marker)
  }

  /** The events before the marker are all in: what still differs was lost. */
  #settle(marker: Marker): void {
    if (marker.infos) this.#take(marker.infos)
    if (this.#mode !== 'apply') this.#deps.exits.forget()
    this.#mode = 'apply'
    marker.arrived()
  }

  #markerMissed(marker: Marker): void {
    if (this.#marker !== marker) return
    this.#isStalled = true
    this.#deps.logger.warn(
      'the event listener is connected but no event comes through: falling back to comparison',
    )
    this.#settle(marker)
  }

  /** Takes a snapshot over: silently the first time, with events for each difference later. */
  #take(infos: readonly ProcessInfo[]): void {
    const { table, exits } = this.#deps
    const seen = new Set<string>()
    const known = this.#isPrimed ? null : exits.known()
    // whoever subscribed before saw an empty list
    if (!this.#isPrimed) this.#deps.bus.publishGap()
    for (const info of infos) {
      if (info.group === OWN_GROUP) continue
      const name = nameOf(info.group, info.name)
      seen.add(name)
      const before = table.get(name)
      if (before && this.#isPrimed) {
        this.#compare(before, info)
        continue
      }
      const entry = table.add(info.group, info.name, { silent: !this.#isPrimed })
      if (!entry) continue
      table.place(entry, info)
      const last = known?.get(info.name)
      if (last && info.stop > 0)
        entry.lastExit = {
          at: new Date(info.stop * 1000).toISOString(),
          ...(last.exitStatus === undefined ? {} : { exitStatus: last.exitStatus }),
          ...(last.signal === undefined ? {} : { signal: last.signal }),
          expected: last.expected ?? true,
        }
    }
    for (const { name } of table.all()) if (!seen.has(name)) table.remove(name)
    this.#isPrimed = true
  }

  #compare(entry: Entry, info: ProcessInfo): void {
    const { table } = this.#deps
    const pid = info.pid || null
    const to = info.statename
    const isReplaced = entry.pid !== null && pid !== null && pid !== entry.pid
    if (to !== entry.state || isReplaced) {
      const { state: from } = entry
      const isUp = from === 'RUNNING' || from === 'STARTING'
      if (isReplaced && isUp)
        table.move(entry, { to: 'EXITED', ...this.#exitOf(entry, entry.pid), pid: entry.pid, observed: true })
      if (to !== entry.state) {
        const hasExited = to === 'EXITED' || to === 'BACKOFF' || to === 'FATAL'
        const exit = hasExited && !isReplaced ? this.#exitOf(entry, isUp ? entry.pid : null) : {}
        const facts =
          to === 'FATAL' || (to === 'EXITED' && exit.expected === false)
            ? this.#crashFacts(entry, info.spawnerr)
            : {}
        table.move(entry, { to, pid: pid ?? entry.pid, ...exit, ...facts, observed: true })
      }
    } else if (to !== 'STOPPED' && pid === null && wasRespawned(entry, info))
      // it was spawned and ended again between two looks
      table.move(entry, { from: 'STARTING', to, pid: null, ...this.#exitOf(entry, null), observed: true })
    table.refresh(entry, info)
  }

  #processEvent(event: Extract<EventBody, { kind: 'process-state' }>): void {
    const { table } = this.#deps
    if (event.group === OWN_GROUP || this.#mode === 'skip') return
    const isPast = this.#mode === 'tell'
    const entry = table.get(nameOf(event.group, event.process)) ?? table.add(event.group, event.process)
    if (!entry) return
    const { from, to } = event
    const hasExited = to === 'EXITED' || to === 'BACKOFF' || to === 'STOPPED'
    const pid = event.pid || (to === 'STARTING' ? null : entry.pid)
    const isExactExit = event.pid !== undefined || !isPast
    const exit = hasExited && isExactExit ? this.#exitOf(entry, pid) : {}
    const expected = event.expected ?? (to === 'STOPPED' ? undefined : exit.expected)
    const isCrash = to === 'FATAL' || (to === 'EXITED' && expected === false)
    const transition: Transition & { from: ProcessState } = {
      from,
      to,
      pid: pid ?? null,
      ...(exit.exitStatus === undefined ? {} : { exitStatus: exit.exitStatus }),
      ...(exit.signal === undefined ? {} : { signal: exit.signal }),
      ...(expected === undefined ? {} : { expected }),
      ...(event.tries === undefined ? {} : { tries: event.tries }),
      ...(isCrash ? this.#crashFacts(entry, '') : {}),
    }
    if (isPast) return table.publish(entry, transition)
    table.move(entry, transition)
    // no event says why a spawn failed; the info struct does
    if (to === 'FATAL' || to === 'BACKOFF') this.#refreshSoon(entry.name)
  }

  #refreshSoon(name: string): void {
    this.#toRefresh.add(name)
    if (this.#toRefresh.size > 1) return
    setTimeout(() => {
      const names = [...this.#toRefresh]
      this.#toRefresh.clear()
      this.refresh(names).catch((error: unknown) => this.#deps.logger.debug({ err: error }, 'refresh failed'))
    }, SETTLE_MS)
  }

  #exitOf(entry: Entry, pid: number | null) {
    return this.#deps.exits.take(entry.process, pid)
  }

  #crashFacts(entry: Entry, spawnError: string): { logTail?: string; spawnError?: string } {
    const logTail = this.#deps.logTail(entry)
    return { ...(logTail ? { logTail } : {}), ...(spawnError ? { spawnError } : {}) }
  }
}

/** supervisord tells spawns in whole seconds: only one that is surely later than the one we know counts. */
function wasRespawned(entry: Entry, info: ProcessInfo): boolean {
  return info.start !== entry.startSeconds && info.start * 1000 >= entry.spawnedAtMs + 1000
}
