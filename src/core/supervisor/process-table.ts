// The processes of supervisord as memory knows them. Whoever changes an entry publishes the event for it in the same
// tick, so that a list and the number of the last event always belong together.
import { isoTime } from '../../lib/iso-time.ts'
import { AgentError } from '../../protocol/errors.ts'
import type { EventPayload } from '../../protocol/events.ts'
import type { LastExit, Process, ProcessFlag, ProcessState } from '../../protocol/process.ts'
import type { EventBus } from '../events/bus.ts'
import { CrashWatch } from './crash-watch.ts'
import { nameOf, type ProcessInfo } from './process-info.ts'
import { type Membership, OWN_GROUP, ProgramIndex } from './program-index.ts'

/** One process, with what the wire does not show. */
export interface Entry extends Membership {
  name: string
  group: string
  process: string
  state: ProcessState
  pid: number | null
  startedAtMs: number | null
  /** supervisord's `start`, whole seconds since 1970, of the last snapshot. */
  startSeconds: number
  /** When its last spawn was seen, by our clock; a stop too soon after it is lost (see control.ts). */
  spawnedAtMs: number
  spawnError: string | null
  exitStatus: number | null
  lastExit: LastExit | null
  restarts: number
  stdoutLogfile: string | null
  stderrLogfile: string | null
  /** Who asked for what is going on with it; their name goes into the events. */
  actor: string | null
  /** The states in which what they asked for has ended, well or not. */
  actorUntil: ReadonlySet<ProcessState>
  /** Of one that was told to come: a spawn later than that is not theirs. */
  comesUntilMs: number
  readonly crashes: CrashWatch
}

/** Usage of a process, by pid. */
export type UsageOf = (pid: number) => { cpuPercent: number | null; memoryBytes: number } | null

export type Transition = Omit<EventPayload<'process.state'>, 'process' | 'program' | 'from'> & {
  from?: ProcessState
}

const UP = new Set<ProcessState>(['RUNNING', 'STARTING', 'STOPPING'])
const NOBODY: ReadonlySet<ProcessState> = new Set()
/** Where the coming of a process ends. */
const HAS_COME: ReadonlySet<ProcessState> = new Set(['RUNNING', 'FATAL'])
const COMES_WITHIN_MS = 30_000
/** From where a process may come back by itself. */
const RETURNS: ReadonlySet<ProcessState> = new Set(['EXITED', 'BACKOFF'])
const DOWN: ReadonlySet<ProcessState> = new Set(['STOPPED', 'FATAL', 'EXITED'])

export class ProcessTable {
  readonly #bus: EventBus
  readonly #now: () => number
  readonly #entries = new Map<string, Entry>()
  readonly #listeners = new Set<(name: string) => void>()
  /** Whoever asked for groups to be added, by group. */
  readonly #groupActors = new Map<string, string>()
  #sorted: Entry[] | null = null
  #programs = new ProgramIndex()
  #usageOf: UsageOf = () => null
  #comer: () => string | null = () => null

  constructor(deps: { bus: EventBus; now?: () => number }) {
    this.#bus = deps.bus
    this.#now = deps.now ?? Date.now
  }

  setUsage(usageOf: UsageOf): void {
    this.#usageOf = usageOf
  }

  /** Takes who tells whether somebody makes all processes come, and who that is. */
  setComer(comer: () => string | null): void {
    this.#comer = comer
  }

  /** Takes what the configuration files say of the processes, for those known and those to come. */
  setPrograms(programs: ProgramIndex): void {
    this.#programs = programs
    for (const entry of this.#entries.values())
      Object.assign(entry, programs.lookup(entry.group, entry.process))
  }

  get size(): number {
    return this.#entries.size
  }

  get(name: string): Entry | undefined {
    return this.#entries.get(name)
  }

  /** @throws {AgentError} PROCESS_NOT_FOUND */
  need(name: string): Entry {
    const entry = this.#entries.get(name)
    if (!entry) throw new AgentError('PROCESS_NOT_FOUND', `no process ${name}`, { facts: { process: name } })
    return entry
  }

  /** All entries, by group and then by name. */
  all(): readonly Entry[] {
    this.#sorted ??= [...this.#entries.values()].toSorted((a, b) =>
      a.group === b.group ? compare(a.process, b.process) : compare(a.group, b.group),
    )
    return this.#sorted
  }

  /** Those that are shown: not what a smaller number of processes has left behind, stopped. */
  shown(): readonly Entry[] {
    return this.all().filter(({ surplus, state }) => !(surplus && state === 'STOPPED'))
  }

  /** Calls back with the name of each entry that changed or left, in the same tick. @returns the undo */
  onChange(listener: (name: string) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** Adds a process that was not known; silent while the first snapshot is taken. */
  add(group: string, process: string, options: { silent?: boolean } = {}): Entry | null {
    if (group === OWN_GROUP) return null
    const name = nameOf(group, process)
    const known = this.#entries.get(name)
    if (known) return known
    const { program, kind, managed, surplus } = this.#programs.lookup(group, process)
    // no spread: what follows one makes each entry a hash table, 1.6 KB in the place of 200 bytes
    const entry: Entry = {
      program,
      kind,
      managed,
      surplus,
      name,
      group,
      process,
      state: 'STOPPED',
      pid: null,
      startedAtMs: null,
      startSeconds: 0,
      spawnedAtMs: 0,
      spawnError: null,
      exitStatus: null,
      lastExit: null,
      restarts: 0,
      stdoutLogfile: null,
      stderrLogfile: null,
      actor: null,
      actorUntil: NOBODY,
      comesUntilMs: 0,
      crashes: new CrashWatch(),
    }
    this.#entries.set(name, entry)
    this.#sorted = null
    const actor = this.#groupActors.get(group) ?? this.#comer() ?? undefined
    if (actor !== undefined) this.comes(entry, actor)
    if (!options.silent)
      this.#bus.publish('process.added', { process: name, program: entry.program, group }, actor)
    return entry
  }

  /** Names who asked for a group: its processes come through them. @returns the undo */
  expectGroup(group: string, actor: string): () => void {
    this.#groupActors.set(group, actor)
    return () => this.#groupActors.delete(group)
  }

  /** Names who makes a process come, until it runs or has failed. */
  comes(entry: Entry, actor: string, withinMs = COMES_WITHIN_MS): void {
    entry.actor = actor
    entry.actorUntil = HAS_COME
    entry.comesUntilMs = this.#now() + withinMs
  }

  /** supervisord has started all that it starts by itself: what is at rest now does not come through anybody. */
  allCame(): void {
    for (const entry of this.#entries.values())
      if (entry.actorUntil === HAS_COME && DOWN.has(entry.state)) entry.actor = null
  }

  remove(name: string): void {
    const entry = this.#entries.get(name)
    if (!entry) return
    this.#entries.delete(name)
    this.#sorted = null
    const { program, group } = entry
    this.#bus.publish('process.removed', { process: name, program, group }, entry.actor ?? undefined)
    this.#tell(name)
  }

  /** Copies what only a snapshot knows; tells nobody. */
  refresh(entry: Entry, info: ProcessInfo): void {
    entry.startSeconds = info.start
    entry.stdoutLogfile = info.stdout_logfile || null
    entry.stderrLogfile = info.stderr_logfile || null
    entry.spawnError = info.spawnerr || null
    // supervisord keeps 0 for what never exited and for BACKOFF and FATAL, and -1 for a signal
    if (info.statename === 'EXITED' || info.statename === 'STOPPED')
      entry.exitStatus = info.stop > 0 && info.exitstatus >= 0 ? info.exitstatus : null
    if (
      info.start > 0 &&
      (entry.startedAtMs === null || Math.abs(entry.startedAtMs - info.start * 1000) > 2000)
    )
      entry.startedAtMs = info.start * 1000
    if (UP.has(info.statename)) entry.pid = info.pid || null
  }

  /** Sets a state without an event, for the first snapshot. */
  place(entry: Entry, info: ProcessInfo): void {
    entry.state = info.statename
    entry.pid = info.pid || null
    entry.spawnedAtMs = info.start * 1000
    this.refresh(entry, info)
  }

  /** Takes over a state that was told already. */
  settle(entry: Entry, info: ProcessInfo): void {
    this.place(entry, info)
    this.#tell(entry.name)
  }

  /** Moves a process to a state and publishes the event. */
  move(entry: Entry, transition: Transition): void {
    const from = transition.from ?? entry.state
    const { to, pid } = transition
    const isLate = entry.actorUntil === HAS_COME && this.#now() > entry.comesUntilMs
    if (to === 'STARTING' && isLate) entry.actor = null
    // a comparison cannot tell what ended or came back by itself
    const isByItself = !transition.observed && (to === 'EXITED' || RETURNS.has(from))
    const comer = entry.actor === null && !isByItself ? this.#comer() : null
    if (comer !== null) this.comes(entry, comer)
    this.#note(entry, from, transition)
    entry.state = to
    entry.pid = UP.has(to) ? pid : null
    this.publish(entry, { ...transition, from })
    if (entry.actorUntil.has(to)) entry.actor = null
    this.#tell(entry.name)
  }

  /** Publishes a transition that memory already holds, or that lies before the snapshot in memory. */
  publish(entry: Entry, transition: Transition & { from: ProcessState }): void {
    this.#bus.publish(
      'process.state',
      { ...transition, process: entry.name, program: entry.program },
      entry.actor ?? undefined,
    )
  }

  /** A process as the wire shows it. */
  view(entry: Entry): Process {
    const nowMs = this.#now()
    const isUp = UP.has(entry.state)
    const usage = entry.pid === null ? null : this.#usageOf(entry.pid)
    const flags: ProcessFlag[] = []
    if (entry.crashes.isLoop(nowMs)) flags.push('crash-loop')
    if (entry.state === 'RUNNING' && entry.pid === null) flags.push('running-without-pid')
    return {
      name: entry.name,
      group: entry.group,
      process: entry.process,
      program: entry.program,
      kind: entry.kind,
      state: entry.state,
      pid: entry.pid,
      startedAt: entry.startedAtMs === null ? null : isoTime(entry.startedAtMs),
      uptimeMs: isUp && entry.startedAtMs !== null ? Math.max(0, nowMs - entry.startedAtMs) : null,
      exitStatus: entry.exitStatus,
      spawnError: entry.spawnError,
      restarts: entry.restarts,
      lastExit: entry.lastExit,
      flags,
      cpuPercent: usage?.cpuPercent ?? null,
      memoryBytes: usage?.memoryBytes ?? null,
      stdoutLogfile: entry.stdoutLogfile,
      stderrLogfile: entry.stderrLogfile,
      managed: entry.managed,
    }
  }

  /** Keeps the books of spawns and exits. */
  #note(entry: Entry, from: ProcessState, { to, exitStatus, signal, expected }: Transition): void {
    const nowMs = this.#now()
    const isBack = (to === 'STARTING' || to === 'RUNNING') && (from === 'EXITED' || from === 'BACKOFF')
    // it came back and ended again before anybody looked
    const wasBack = from === 'STARTING' && (entry.state === 'EXITED' || entry.state === 'BACKOFF')
    if ((isBack || wasBack) && entry.actor === null) entry.restarts++
    if (to === 'STARTING') {
      entry.startedAtMs = nowMs
      entry.spawnedAtMs = nowMs
      entry.spawnError = null
    }
    // found by comparison, the STARTING before it was not seen; with startsecs=0 there is hardly one
    const wasSeen =
      from === 'STARTING' ||
      from === 'RUNNING' ||
      from === 'STOPPING' ||
      (to === 'FATAL' && from === 'BACKOFF')
    if (to !== 'STARTING' && !wasSeen) entry.spawnedAtMs = nowMs
    const hasExited = to === 'EXITED' || to === 'BACKOFF' || (to === 'STOPPED' && from === 'STOPPING')
    if (!hasExited) return
    if (to !== 'STOPPED') entry.crashes.exited(nowMs, expected ?? false)
    entry.exitStatus = exitStatus ?? null
    if (exitStatus === undefined && signal === undefined) return
    entry.lastExit = {
      at: isoTime(nowMs),
      ...(exitStatus === undefined ? {} : { exitStatus }),
      ...(signal === undefined ? {} : { signal }),
      expected: expected ?? to === 'STOPPED',
    }
  }

  #tell(name: string): void {
    for (const listener of this.#listeners) listener(name)
  }
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}
