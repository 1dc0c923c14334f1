// What becomes of the records that `cronrun` leaves: who runs, and what came of each run. A result is journalled, told
// and only then taken out of the spool; one that comes again, since the agent was killed in between, is known by its name.
// One that was journalled and not told is told at the next start.
import type { Logger } from '../../logger.ts'
import type { Run } from '../../protocol/entry.ts'
import type { EventBus } from '../events/bus.ts'
import { type HostClock, readHostClock } from '../host/host-clock.ts'
import { byStart, type KeptRun, RunHistory, shown } from './run-history.ts'
import { type FinishedRun, type JournalLine, type Mark, RunJournal } from './run-journal.ts'
import { type FoundRecord, identityOf, isLiving, type LiveRun, liveRun, running } from './run-live.ts'
import { outcomeOf, outputOf, resultOf } from './run-outcome.ts'
import { type Told, told } from './run-told.ts'
import { RunWaits } from './run-waits.ts'

/** Of each entry, and how long; the files in which they are let go hold some days. */
const LIMITS = { runs: 200, keepMs: 30 * 24 * 3_600_000 }
/** While the journal has to be made smaller, so many of an entry's newest runs keep their output. */
const OUTPUTS_KEPT = 3
/** Far more than the spools of all users hold. */
const KEPT_MOST = 200_000

export interface RunsOptions {
  /** Where they are kept; made where it is missing. */
  folder: string
  bus: EventBus
  /** Time for the ages of records; see `SteadyClock`. */
  now: () => number
  logger: Logger
  limits?: { runs: number; keepMs: number }
  /** Of the journal. */
  sizes?: { fileBytes: number; totalBytes: number }
}

export class Runs {
  readonly #bus: EventBus
  readonly #logger: Logger
  readonly #journal: RunJournal
  readonly #history: RunHistory
  readonly #live = new Map<string, LiveRun>()
  /** Kept as started and not over, with the numbers of their records: they are told, or will be when all is read. */
  readonly #told = new Map<string, { n: number; id: string; user: string }>()
  /** Kept, and perhaps in the spool still, with their users: a sweep tells. Not all of them stay in the history. */
  readonly #kept = new Map<string, string>()
  readonly #waits = new RunWaits()
  #isFailing = false

  /** Opens what is there. @throws what the file system says */
  constructor({ folder, bus, now, logger, limits = LIMITS, sizes }: RunsOptions) {
    this.#bus = bus
    this.#logger = logger
    this.#history = new RunHistory(limits)
    this.#journal = new RunJournal({
      folder,
      keepMs: limits.keepMs,
      now,
      onRetain: (first) => this.#forgetBefore(first),
      logger,
      ...(sizes ? { limits: sizes } : {}),
    })
  }

  /** Reads what is known of earlier runs. */
  async start(): Promise<void> {
    let mark: Mark | null = null
    let untold: (() => Told[])[] = []
    for await (const line of this.#journal.load()) {
      if ('mark' in line) {
        mark = line.mark
        untold = []
      } else {
        const isBegun = this.#told.has(line.run)
        if (mark && line.told !== true) untold.push(() => told(line, isBegun))
        this.#learn(line)
      }
    }
    if (mark && untold.length > 0)
      await this.#tellAgain(
        untold.flatMap((one) => one()),
        mark,
      )
    this.#mark()
  }

  /**
   * Takes a record in. Never throws: what the disk does not take is to be brought again.
   * @returns true when its run is over and kept here, so that it may leave the spool once {@link flush} is done
   */
  take(found: FoundRecord, clock: HostClock): boolean {
    const { record, isAlive } = found
    if (this.#kept.has(record.run) || this.#history.get(record.run)) return true
    const outcome = outcomeOf(record, { isAlive, upMs: record.boot === clock.boot ? clock.upMs : null })
    const live = this.#live.get(record.run) ?? liveRun(found, clock)
    if (outcome === null) {
      this.#started(live, true)
      return false
    }
    const { endUpMs } = outcome
    const end =
      endUpMs === undefined ? {} : { endedAtMs: live.startedAtMs + Math.max(0, endUpMs - record.upMs) }
    return this.#finished({ ...identityOf(live), ...end, ...resultOf(outcome) }, outputOf(outcome), live)
  }

  /** Waits until the disk has all that was taken. */
  flush(): Promise<void> {
    return this.#journal.synced()
  }

  /** A user's folder holds these records and no others: a run that is gone without one was cut off. */
  settle(user: string, names: ReadonlySet<string>, clock: HostClock): void {
    for (const [run, of] of this.#kept) if (of === user && !names.has(run)) this.#kept.delete(run)
    for (const live of this.#live.values())
      if (live.user === user && !names.has(live.run) && !isLiving(live, clock))
        this.#finished({ ...identityOf(live), verdict: 'failed', detail: 'interrupted' }, undefined, live)
  }

  /** Keeps that a run was due and did not come; a second time does nothing. */
  missed({ id, user, dueAtMs }: { id: string; user: string; dueAtMs: number }): void {
    const run = `${id}.missed.${dueAtMs}`
    if (this.#history.get(run)) return
    const kept = { run, id, user, startedAtMs: dueAtMs, verdict: 'missed' as const }
    if (!this.#keep(kept, undefined)) return
    this.#tell(told(kept, true))
  }

  /** Runs of an entry, or of all, the newest first; no output. */
  list({ id, limit }: { id?: string; limit: number }): Run[] {
    const isOf = (run: { id: string }) => id === undefined || run.id === id
    const live = [...this.#live.values()].filter(isOf)
    return [...live, ...this.#history.list(id, limit)]
      .toSorted((a, b) => byStart(b, a))
      .slice(0, limit)
      .map((run) => ('n' in run ? shown(run) : running(run)))
  }

  /** The output of these runs, as far as it is kept. */
  async outputs(runs: readonly string[]): Promise<Map<string, string>> {
    const kept = runs.flatMap((run) => this.#history.get(run) ?? [])
    const found = await this.#journal.outputs(kept.map(({ n }) => n))
    return new Map(
      kept.flatMap(({ run, n }) => {
        const output = found.get(n)
        return output === undefined ? [] : [[run, output] as const]
      }),
    )
  }

  /** When cron started an entry, as far as it is known, in no order: runs that were skipped too, none by hand. */
  startsOf(id: string): number[] {
    const live = [...this.#live.values()].filter((run) => run.id === id && run.tag === null)
    const kept = this.#history
      .list(id, Infinity)
      .filter(({ verdict, byHand }) => verdict !== 'missed' && byHand !== true)
    return [...live, ...kept].map(({ startedAtMs }) => startedAtMs)
  }

  /** A run that goes on, looked at now; null when it does not. */
  living(run: string): LiveRun | null {
    const live = this.#live.get(run)
    return live && isLiving(live, readHostClock()) ? live : null
  }

  /** Whether a run of an entry goes on that is that user's, as far as is known: its end was not kept. */
  hasLiving(id: string, user: string): boolean {
    const isIts = (run: { id: string; user: string }) => run.id === id && run.user === user
    return [...this.#live.values(), ...this.#told.values()].some(isIts)
  }

  /** A run as it is shown, without output; null when it is not known, or no more. */
  find(run: string): { shown: Run; user: string } | null {
    const live = this.#live.get(run)
    if (live) return { shown: running(live), user: live.user }
    const kept = this.#history.get(run)
    return kept ? { shown: shown(kept), user: kept.user } : null
  }

  /** All runs of an entry since then are known: older ones may have been let go of. */
  knownSince(id: string): number {
    return this.#history.fullSince(id) ?? -Infinity
  }

  /** Waits for the run that an actor starts with a tag, or that is skipped at once. @throws the signal's reason */
  async whenStarted(tag: string, signal: AbortSignal, actor?: string): Promise<string> {
    return await this.#waits.started(tag, signal, actor)
  }

  /** Names who ends a run that goes on, for the event of its end. @returns the undo, for one that goes on all the same */
  endsBy(run: string, actor: string): () => void {
    return this.#live.has(run) ? this.#waits.endsBy(run, actor) : () => undefined
  }

  /** Waits for the end of a run that goes on. @throws the signal's reason */
  async whenOver(run: string, signal: AbortSignal): Promise<void> {
    if (this.#live.has(run)) await this.#waits.over(run, signal)
  }

  /** Lets go of what is too old or too much. */
  retain(): void {
    this.#journal.retain(
      (line) => this.#wanted(line),
      (line) => this.#learn(line),
    )
    this.#mark()
  }

  stop(): void {
    this.#journal.close()
  }

  #forgetBefore(first: number): void {
    this.#history.forgetBefore(first)
    for (const [run, { n }] of this.#told) if (n < first) this.#told.delete(run)
  }

  #wanted(line: JournalLine): 'all' | 'without-output' | 'none' {
    if ('mark' in line) return 'none'
    if ('started' in line) return this.#told.get(line.run)?.n === line.n ? 'all' : 'none'
    if (this.#history.get(line.run)?.n !== line.n) return 'none'
    return (this.#history.rank(line.run) ?? Infinity) < OUTPUTS_KEPT ? 'all' : 'without-output'
  }

  #learn(line: JournalLine): void {
    if ('mark' in line) return
    if ('started' in line) {
      this.#told.set(line.run, line)
      return
    }
    const { output: _, told: _told, ...kept } = line
    this.#told.delete(line.run)
    this.#remember(kept)
  }

  /** @param isKept false for a run that is over, which is kept as a whole when the disk takes it */
  #started(live: LiveRun, isKept: boolean): void {
    const { run, id, user } = live
    if (this.#live.has(run)) return
    this.#live.set(run, live)
    if (this.#told.has(run)) return
    const begun = identityOf(live)
    if (isKept) this.#try(() => this.#told.set(run, { n: this.#journal.started(begun), id, user }))
    this.#tell(told({ ...begun, started: true }, false), { start: this.#waits.starterOf(live) })
    this.#waits.tellStart(live)
  }

  /** @returns false when the disk does not take it */
  #finished(run: FinishedRun, output: string | undefined, live: LiveRun): boolean {
    const isBegun = this.#live.has(run.run) || this.#told.has(run.run)
    if (!this.#keep(run, output)) {
      if (run.verdict !== 'skipped') this.#started(live, false)
      return false
    }
    this.#live.delete(run.run)
    this.#told.delete(run.run)
    this.#tell(told(run, isBegun), {
      start: this.#waits.starterOf(live),
      end: this.#waits.enderOf(run, live),
    })
    this.#waits.tellEnd(live)
    return true
  }

  #tell(all: readonly Told[], actors: { start?: string | undefined; end?: string | undefined } = {}): void {
    for (const { type, payload } of all)
      this.#bus.publish(type, payload, type === 'crontab.started' ? actors.start : actors.end)
    this.#mark()
    if (this.#journal.isDue) this.#try(() => this.retain())
  }

  /** Tells what an earlier run of the agent kept and did not come to tell. */
  async #tellAgain(all: readonly Told[], { epoch, seq }: Mark): Promise<void> {
    const from = epoch === this.#bus.epoch ? seq + 1 : this.#bus.oldestKept
    const known = new Set<string>()
    for await (const { type, payload } of this.#bus.history(from, new AbortController().signal))
      if (payload) known.add(`${type} ${String(payload['run'])}`)
    this.#tell(all.filter(({ type, payload }) => !known.has(`${type} ${payload.run}`)))
  }

  /** All that is kept is told, and the events are on disk. */
  #mark(): void {
    const { epoch, seq, isOnDisk } = this.#bus
    if (!isOnDisk) return
    try {
      this.#journal.mark({ epoch, seq })
    } catch {
      // what is behind the last mark is looked for among the events at the next start
    }
  }

  #keep(run: FinishedRun, output: string | undefined): boolean {
    const isKept = this.#try(() => {
      this.#remember({ ...run, n: this.#journal.finished(run, output) })
    })
    return isKept
  }

  #remember(run: KeptRun): void {
    this.#history.add(run)
    if (run.verdict === 'missed') return
    this.#kept.set(run.run, run.user)
    const [oldest] = this.#kept.keys()
    if (this.#kept.size > KEPT_MOST && oldest !== undefined) this.#kept.delete(oldest)
  }

  #try(task: () => unknown): boolean {
    try {
      task()
      this.#isFailing = false
      return true
    } catch (error) {
      if (!this.#isFailing) this.#logger.error({ err: error }, 'runs of cron jobs cannot be recorded')
      this.#isFailing = true
      return false
    }
  }
}
