// Which runs did not come: every managed entry, as it stands in its crontab, is compared with the runs that are known.
// Where runs may have gone by unrecorded, or the crontab may have been another one, nothing is called missed.
import type { Logger } from '../../logger.ts'
import type { Zone } from '../host/zone.ts'
import { readBlock } from './block.ts'
import { CronWatch } from './cron-watch.ts'
import type { EntryRecords } from './entry-records.ts'
import { missedRuns } from './missed.ts'
import type { Runs } from './runs.ts'
import { parseSchedule, type TimedSchedule } from './schedule.ts'
import { nextRuns } from './schedule-next.ts'
import type { CrontabStore } from './store.ts'
import { linesOf } from './table-lines.ts'
import { textsOf } from './user-state.ts'

export interface MissedWatchDeps {
  watch?: CronWatch
  runs: Pick<Runs, 'list' | 'startsOf' | 'knownSince' | 'missed'>
  records: EntryRecords
  store: CrontabStore
  /** Up to then a user's runs may have left no record. */
  blindMs: (user: string) => number
  /** A line that leads to another one leaves no record here. */
  spoolDir: string
  zone: () => Zone
  logger: Logger
}

/** An entry as it was seen last. */
interface Watched {
  /** Its lines: with others it is another entry. */
  text: string
  /** All up to here is judged. */
  judgedMs: number
  /** Nothing is due before. */
  restMs: number
}

/** cron reads a changed crontab at the minute. */
const SETTLE_MS = 1_000
/** An agent that was killed may not have judged what was due so short before the last run that it knows. */
const LATELY_MS = 2 * 3_600_000
/** So long a schedule is not looked at again: the zone of the host may change. */
const REST_MS = 3_600_000

export class MissedWatch {
  readonly #deps: MissedWatchDeps
  readonly #watch: CronWatch
  readonly #entries = new Map<string, Watched>()
  /** By entry, the newest run that an earlier run of the agent knew. */
  readonly #known = new Map<string, number>()
  #lookedMs: number | null = null

  constructor(deps: MissedWatchDeps) {
    this.#deps = deps
    this.#watch = deps.watch ?? new CronWatch()
  }

  /** To be called when what earlier runs of the agent knew is read, and nothing that came since. */
  start(): void {
    const { records, runs } = this.#deps
    for (const user of records.users)
      for (const { id } of records.of(user)?.entries ?? []) {
        const [newest] = runs.list({ id, limit: 1 })
        if (newest) this.#known.set(id, Date.parse(newest.startedAt))
      }
  }

  /** Looks at every entry; all that is in the spool was read before. */
  async look(): Promise<void> {
    const nowMs = this.#watch.sample()
    const seen = new Set<string>()
    for (const user of this.#deps.records.users)
      try {
        for (const id of await this.#lookAt(user, nowMs)) seen.add(id)
      } catch (error) {
        this.#deps.logger.warn({ err: error, user }, 'whether runs of cron jobs were missed cannot be told')
      }
    for (const id of this.#entries.keys()) if (!seen.has(id)) this.#entries.delete(id)
    this.#lookedMs = nowMs
  }

  /** @returns the entries that cron runs by the clock */
  async #lookAt(user: string, nowMs: number): Promise<string[]> {
    const { store, records, spoolDir } = this.#deps
    const { block } = await store.read(user)
    const lines = block?.entries.map(({ text }) => text).join('') ?? ''
    const ids: string[] = []
    for (const [id, text] of textsOf(lines)) {
      if (records.ownerOf(id) !== user) continue
      const job = readBlock(linesOf(text)).entries[0]?.job
      const isRecorded = job?.isEnabled && job.spoolDir === spoolDir
      const schedule = isRecorded ? parseSchedule(job.schedule) : null
      if (schedule?.kind !== 'timed') continue
      ids.push(id)
      const known = this.#entries.get(id)
      const watched =
        known?.text === text ? known : { text, judgedMs: await this.#inForceMs(id, user, nowMs), restMs: 0 }
      this.#entries.set(id, watched)
      const delayMs = (job?.delaySeconds ?? 0) * 1000
      this.#judge({ id, user, watched, schedule, delayMs }, nowMs)
    }
    return ids
  }

  /** Since when these lines stand there for certain, as far as it was not judged before. */
  async #inForceMs(id: string, user: string, nowMs: number): Promise<number> {
    const writtenMs = (await this.#deps.store.writtenMs(user)) ?? nowMs
    const known = this.#known.get(id)
    const judgedMs = this.#lookedMs ?? (known === undefined ? -Infinity : known - LATELY_MS)
    return Math.min(nowMs, Math.max(writtenMs + SETTLE_MS, judgedMs))
  }

  #judge(
    entry: { id: string; user: string; watched: Watched; schedule: TimedSchedule; delayMs: number },
    nowMs: number,
  ): void {
    const { runs, blindMs } = this.#deps
    const { id, user, watched, schedule, delayMs } = entry
    if (nowMs < watched.restMs) return
    const zone = this.#deps.zone()
    const nextAfter = (ms: number) => nextDue(schedule, zone, ms)
    const { missed, judgedMs } = missedRuns({
      nextAfter,
      afterMs: Math.max(watched.judgedMs, Math.min(nowMs, Math.max(runs.knownSince(id), blindMs(user)))),
      nowMs,
      starts: runs.startsOf(id),
      hostUp: this.#watch.hostUp,
      cronAlive: this.#watch.cronAlive,
      delayMs,
    })
    for (const dueAtMs of missed) runs.missed({ id, user, dueAtMs })
    watched.judgedMs = judgedMs
    watched.restMs = Math.min(nextAfter(judgedMs) ?? Infinity, nowMs + REST_MS)
  }
}

/** The next time that cron does not only catch up with: when that comes is not certain. */
function nextDue(schedule: TimedSchedule, zone: Zone, afterMs: number): number | null {
  for (let ms = afterMs; ; ) {
    const [run] = nextRuns(schedule, { afterMs: ms, zone, count: 1 })
    if (!run) return null
    if (!run.isCatchUp) return run.atMs
    ms = run.atMs
  }
}
