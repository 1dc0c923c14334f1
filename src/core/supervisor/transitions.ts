// What an event or a snapshot means for the process table: which transition to publish, with which facts of the exit.
import { isoTime } from '../../lib/iso-time.ts'
import type { ProcessState } from '../../protocol/process.ts'
import type { EventBus } from '../events/bus.ts'
import type { ExitFacts, ExitLog } from './exit-log.ts'
import type { EventBody } from './listener-payload.ts'
import { nameOf, type ProcessInfo } from './process-info.ts'
import type { Entry, ProcessTable, Transition } from './process-table.ts'
import { OWN_GROUP } from './program-index.ts'

export type StateEvent = Extract<EventBody, { kind: 'process-state' }>

export class Transitions {
  readonly #table: ProcessTable
  readonly #bus: EventBus
  readonly #exits: ExitLog
  readonly #logTail: (entry: Entry) => string | null
  /** What events of the past said last of each process. */
  readonly #told = new Map<string, { state: ProcessState; pid: number | null }>()

  constructor(deps: {
    table: ProcessTable
    bus: EventBus
    exits: ExitLog
    logTail: (entry: Entry) => string | null
  }) {
    this.#table = deps.table
    this.#bus = deps.bus
    this.#exits = deps.exits
    this.#logTail = deps.logTail
  }

  /**
   * The first snapshot: no events. Unless events of an earlier run go on without a hole it is a gap: nobody knows what
   * happened since, and whoever subscribed before saw an empty list.
   */
  fill(infos: readonly ProcessInfo[], options: { isContinuous: boolean }): void {
    const known = this.#exits.known()
    if (!options.isContinuous) this.#bus.publishGap()
    for (const info of infos) {
      const entry = this.#table.add(info.group, info.name, { silent: true })
      if (!entry) continue
      this.#table.place(entry, info)
      const last = known.get(info.name)
      if (!last || info.stop === 0) continue
      const { expected = true, ...how } = last
      entry.lastExit = { at: isoTime(info.stop * 1000), ...how, expected }
    }
  }

  /** A later snapshot: an event for each difference. */
  compareAll(infos: readonly ProcessInfo[]): void {
    const seen = new Set<string>()
    for (const info of infos) {
      const name = nameOf(info.group, info.name)
      seen.add(name)
      const before = this.#table.get(name)
      if (before) this.#compareTold(before, info)
      else {
        const entry = this.#table.add(info.group, info.name)
        if (entry) this.#table.place(entry, info)
      }
    }
    for (const { name } of this.#table.all()) if (!seen.has(name)) this.#table.remove(name)
    this.#told.clear()
  }

  /** Events of the past changed nothing in memory, but subscribers have them: what they told is not told again. */
  #compareTold(entry: Entry, info: ProcessInfo): void {
    const told = this.#told.get(entry.name)
    if (told) {
      if (told.state === info.statename && (told.pid === null || told.pid === (info.pid || null)))
        return this.#table.settle(entry, info)
      entry.state = told.state
      entry.pid = told.pid
    }
    this.compare(entry, info)
  }

  compare(entry: Entry, info: ProcessInfo): void {
    const pid = info.pid || null
    const { state: from } = entry
    const to = info.statename
    const wasUp = from === 'RUNNING' || from === 'STARTING'
    const isReplaced = entry.pid !== null && pid !== null && pid !== entry.pid
    if (isReplaced && wasUp) this.#moveTo(entry, { to: 'EXITED', pid: entry.pid }, entry.pid)
    if (to !== entry.state)
      this.#moveTo(entry, { to, pid: pid ?? entry.pid }, wasUp ? entry.pid : null, info.spawnerr)
    else if (pid === null && to !== 'STOPPED' && wasRespawned(entry, info))
      // it was spawned and ended again between two looks
      this.#moveTo(entry, { from: 'STARTING', to, pid: null }, null, info.spawnerr)
    this.#table.refresh(entry, info)
  }

  /** An event of supervisord. One of the past is published and changes nothing. */
  event(event: StateEvent, options: { isPast: boolean }): void {
    if (event.group === OWN_GROUP) return
    const name = nameOf(event.group, event.process)
    const entry = this.#table.get(name) ?? this.#table.add(event.group, event.process)
    if (!entry) return
    const { from, to, tries } = event
    const pid = event.pid || (to === 'STARTING' ? null : entry.pid)
    // without a pid an exit of the past cannot be told from others of that name
    const isKnown = event.pid !== undefined || !options.isPast
    const exit = isExit(to) && isKnown ? this.#exits.take(entry.process, pid) : {}
    const expected = event.expected ?? (to === 'STOPPED' ? undefined : exit.expected)
    const { expected: _told, ...how } = exit
    const transition: Transition & { from: ProcessState } = {
      from,
      to,
      pid,
      ...how,
      ...(expected === undefined ? {} : { expected }),
      ...(tries === undefined ? {} : { tries }),
      ...this.#crashFacts(entry, to, expected),
    }
    if (options.isPast) {
      this.#told.set(name, { state: to, pid: isExit(to) ? null : pid })
      this.#table.publish(entry, transition)
    } else this.#table.move(entry, transition)
  }

  #moveTo(entry: Entry, to: Transition, exitPid: number | null, spawnError = ''): void {
    const exit: ExitFacts =
      isExit(to.to) && to.to !== 'STOPPED' ? this.#exits.take(entry.process, exitPid) : {}
    this.#table.move(entry, {
      ...to,
      ...exit,
      ...this.#crashFacts(entry, to.to, exit.expected),
      ...(to.to === 'FATAL' && spawnError ? { spawnError } : {}),
      observed: true,
    })
  }

  #crashFacts(entry: Entry, to: ProcessState, expected: boolean | undefined): { logTail?: string } {
    const isCrash = to === 'FATAL' || (to === 'EXITED' && expected === false)
    const logTail = isCrash ? this.#logTail(entry) : null
    return logTail ? { logTail } : {}
  }
}

function isExit(to: ProcessState): boolean {
  return to === 'EXITED' || to === 'BACKOFF' || to === 'STOPPED'
}

/** supervisord tells spawns in whole seconds: only one that is surely later than the one we know counts. */
function wasRespawned(entry: Entry, info: ProcessInfo): boolean {
  return info.start !== entry.startSeconds && info.start * 1000 >= entry.spawnedAtMs + 1000
}
