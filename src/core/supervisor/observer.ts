// Keeps the process table true. Three sources: supervisord's own events (through the listener), snapshots, and both
// put together: a snapshot is asked for in one request with a marker event, which supervisord queues behind the events
// that happened before the snapshot. When the marker comes out of the listener, memory must equal the snapshot; where
// it does not, events were lost, and the difference is published as observed.
import { randomBytes } from 'node:crypto'
import * as z from 'zod'
import type { Logger } from '../../logger.ts'
import type { ProcessState } from '../../protocol/process.ts'
import { isSafe } from './codec.ts'
import type { EventBody } from './listener-payload.ts'
import { INFO_MEMBERS, nameOf, ProcessInfo, parseBatchItem } from './process-info.ts'
import type { ProcessTable } from './process-table.ts'
import { OWN_GROUP } from './program-index.ts'
import type { SupervisorRpc } from './rpc.ts'
import type { Transitions } from './transitions.ts'

const MARKER_TYPE = 'supervisor-agent-marker'
/** Silence of the listener after which a marker counts as lost; a long queue before it is no silence. */
const SILENCE_MS = 5_000
const SETTLE_MS = 50
/** Without events: how often processes on their way from one state to another are asked for. */
const STEP_MS = 400
/** Without events, and with supervisord's children out of sight (it runs elsewhere): how often all are asked for. */
const BLIND_MS = 5_000
const ON_THE_WAY = new Set<ProcessState>(['STARTING', 'BACKOFF', 'STOPPING'])

interface Marker {
  nonce: string
  /** The snapshot, null when it could not be had. Events behind the marker wait for it. */
  snapshot: Promise<ProcessInfo[] | null>
  done: () => void
}

/**
 * What is done with a process event. `tell`: it lies before the snapshot in memory, from when the agent was down; it is
 * published and changes nothing. `skip`: comparison has told it already. A marker ends both.
 */
type Mode = 'apply' | 'tell' | 'skip'

export interface ObserverDeps {
  rpc: SupervisorRpc
  table: ProcessTable
  transitions: Transitions
  logger: Logger
  /** True while the listener's shim is connected. */
  hasListener: () => boolean
  /** True when the listener hands over all that happened since the last event of an earlier run. */
  isContinuous: () => boolean
  /** True while a change of supervisord's children is seen at once. */
  seesChildren: () => boolean
  /** What was read of past exits belongs to events that will not come any more. */
  forgetExits: () => void
}

export class Observer {
  readonly #deps: ObserverDeps
  readonly #toRefresh = new Set<string>()
  readonly #timers = new Map<'soon' | 'step' | 'refresh', NodeJS.Timeout>()
  #isPrimed = false
  #prime = () => {}
  readonly #primed = new Promise<void>((resolve) => {
    this.#prime = resolve
  })
  #mode: Mode = 'apply'
  #hadListener = false
  #isStalled = false
  #isStopped = false
  #heardAtMs = 0
  #marker: Marker | null = null
  #running: Promise<void> | null = null
  #again = false

  constructor(deps: ObserverDeps) {
    this.#deps = deps
  }

  /** True when events keep the table true, so that nothing needs to be asked. */
  get isEventDriven(): boolean {
    return this.#deps.hasListener() && !this.#isStalled
  }

  /** Compares memory with supervisord. Calls that come meanwhile share one more round. */
  reconcile(): Promise<void> {
    if (this.#running) {
      this.#again = true
      return this.#running
    }
    this.#running = this.#rounds().finally(() => {
      this.#running = null
      this.#stepOn()
    })
    return this.#running
  }

  /** Asks for a reconcile soon, once for a burst of reasons. */
  reconcileSoon(): void {
    this.#later('soon', SETTLE_MS, () => this.reconcile())
  }

  stop(): void {
    this.#isStopped = true
    for (const timer of this.#timers.values()) clearTimeout(timer)
    this.#marker?.done()
    this.#prime()
  }

  /**
   * Asks supervisord about some processes alone, which also wakes its loop. Without a listener what changed is taken
   * over; with one only what no event tells, since an event about the rest may be under way.
   */
  async refresh(names: readonly string[]): Promise<void> {
    const { rpc, table, transitions } = this.#deps
    const asked = names.filter(isSafe)
    if (asked.length === 0) return
    const calls = asked.map((name) => ({ method: 'supervisor.getProcessInfo', params: [name] }))
    const items = await rpc.batch(calls, { members: INFO_MEMBERS })
    items.forEach((item, index) => {
      const entry = table.get(asked[index] ?? '')
      const info = ProcessInfo.safeParse(item)
      if (!entry) return
      if (!info.success)
        this.reconcileSoon() // it left supervisord meanwhile
      else if (!this.isEventDriven) transitions.compare(entry, info.data)
      else if (entry.state === info.data.statename) table.refresh(entry, info.data)
    })
  }

  /** The listener came (back): what supervisord kept for it comes first, up to the marker of a new comparison. */
  listenerConnected(): void {
    // what a comparison has perhaps told already is not told again
    this.#mode = this.#hadListener || this.#isPrimed ? 'skip' : 'tell'
    this.#hadListener = true
    this.#isStalled = false
  }

  /**
   * One event of the listener, in order. The next one must wait for what this returns. What it means is published
   * within `cause`.
   */
  async receive(event: EventBody, cause: (task: () => void) => void): Promise<void> {
    // what came before the first snapshot is told after it, with the exits that it brings; supervisord keeps the rest
    if (!this.#isPrimed) await this.#primed
    this.#heardAtMs = performance.now()
    // it hears again: a marker will tell what it missed
    if (this.#isStalled && event.kind !== 'remote') this.reconcileSoon()
    cause(() => this.#apply(event))
    if (event.kind === 'remote' && event.type === MARKER_TYPE && event.body === this.#marker?.nonce)
      await this.#markerArrived(this.#marker)
  }

  #apply(event: EventBody): void {
    switch (event.kind) {
      case 'process-state':
        if (this.#mode === 'skip') return
        this.#deps.transitions.event(event, { isPast: this.#mode === 'tell' })
        // no event says why a spawn failed; the info struct does
        if (event.to === 'FATAL' || event.to === 'BACKOFF') this.#refreshSoon(event.group, event.process)
        return
      case 'group-added':
        if (event.group !== OWN_GROUP) this.reconcileSoon()
        return
      case 'group-removed':
        if (this.#mode !== 'apply') return
        for (const { name, group } of this.#deps.table.all())
          if (group === event.group) this.#deps.table.remove(name)
        return
      case 'remote':
      case 'supervisor-state':
      case 'other':
        return
    }
  }

  async #rounds(): Promise<void> {
    do {
      this.#again = false
      await this.#round()
    } while (this.#again && !this.#isStopped)
  }

  async #round(): Promise<void> {
    if (!this.#deps.hasListener()) {
      this.#take(await this.#snapshot(null))
      // it came meanwhile: what it brings counts as past, until a marker shows where that ends
      this.#again ||= this.#deps.hasListener()
      return
    }
    const nonce = randomBytes(16).toString('hex')
    const asking = this.#snapshot(nonce)
    const arrival = new Promise<void>((resolve) => {
      this.#marker = { nonce, snapshot: asking.catch(() => null), done: resolve }
    })
    const marker = this.#marker
    try {
      const infos = await asking
      if (!this.#isPrimed) this.#take(infos)
      this.#heardAtMs = performance.now()
      const watch = setInterval(() => this.#findSilence(marker, infos), SILENCE_MS / 4)
      await arrival
      clearInterval(watch)
    } finally {
      if (this.#marker === marker) this.#marker = null
    }
  }

  async #snapshot(nonce: string | null): Promise<ProcessInfo[]> {
    const marker =
      nonce === null ? [] : [{ method: 'supervisor.sendRemoteCommEvent', params: [MARKER_TYPE, nonce] }]
    const calls = [...marker, { method: 'supervisor.getAllProcessInfo', params: [] }]
    const items = await this.#deps.rpc.batch(calls, { members: INFO_MEMBERS })
    return parseBatchItem(z.array(ProcessInfo), items.at(-1))
  }

  /** The events before the marker are all in: what still differs from the snapshot was lost. */
  async #markerArrived(marker: Marker): Promise<void> {
    this.#marker = null
    const infos = await marker.snapshot
    if (infos) {
      this.#take(infos)
      if (this.#mode !== 'apply') this.#deps.forgetExits()
      this.#mode = 'apply'
      this.#isStalled = false
    }
    marker.done()
  }

  #findSilence(marker: Marker | null, infos: readonly ProcessInfo[]): void {
    if (!marker || this.#marker !== marker || performance.now() - this.#heardAtMs < SILENCE_MS) return
    this.#marker = null
    this.#isStalled = true
    this.#mode = 'skip'
    this.#deps.logger.warn('the event listener is connected but no event comes through: states are compared')
    this.#take(infos)
    marker.done()
  }

  #take(infos: readonly ProcessInfo[]): void {
    if (this.#isPrimed) return this.#deps.transitions.compareAll(infos)
    const isContinuous = this.#deps.isContinuous()
    this.#deps.transitions.fill(infos, { isContinuous })
    // behind a gap nobody misses them, and whether they were told before is not known
    if (!isContinuous && this.#mode === 'tell') this.#mode = 'skip'
    this.#isPrimed = true
    this.#prime()
  }

  /** Without events nobody tells how a start or a stop goes on: ask until all have arrived. */
  #stepOn(): void {
    if (this.isEventDriven) return
    const onTheWay = this.#deps.table.all().filter(({ state }) => ON_THE_WAY.has(state))
    const names = onTheWay.map(({ name }) => name)
    if (names.length > 0)
      this.#later('step', STEP_MS, async () => {
        await this.refresh(names)
        this.#stepOn()
      })
    else if (!this.#deps.seesChildren()) this.#later('step', BLIND_MS, () => this.reconcile())
  }

  #refreshSoon(group: string, process: string): void {
    this.#toRefresh.add(nameOf(group, process))
    this.#later('refresh', SETTLE_MS, async () => {
      const names = [...this.#toRefresh]
      this.#toRefresh.clear()
      await this.refresh(names)
    })
  }

  /** Runs a task after a while, one of a kind at a time. When supervisord went away, its return brings all again. */
  #later(kind: 'soon' | 'step' | 'refresh', ms: number, task: () => Promise<void>): void {
    if (this.#isStopped || this.#timers.has(kind)) return
    const run = () => {
      this.#timers.delete(kind)
      task().catch((error: unknown) => this.#deps.logger.debug({ err: error }, 'supervisord gave no answer'))
    }
    this.#timers.set(kind, setTimeout(run, ms))
  }
}
