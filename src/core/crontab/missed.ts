/** A span of time, both ends in it. */
export interface Period {
  fromMs: number
  toMs: number
}

export interface MissedQuestion {
  /** The first time after an instant at which the entry is due; null when there is none. */
  nextAfter: (ms: number) => number | null
  /** It has been in force since then, or was looked at up to then: only later times count. */
  afterMs: number
  /** The periods are known up to here. */
  nowMs: number
  /** When cron started it, runs that were skipped too; in any order. */
  starts: readonly number[]
  /** When the host was up, and awake. */
  hostUp: readonly Period[]
  /** When a cron daemon was there. */
  cronAlive: readonly Period[]
  /** How much later than due a run begins on purpose. */
  delayMs?: number
}

export interface MissedAnswer {
  missed: number[]
  /** All up to here is judged: where the next question goes on from. */
  judgedMs: number
}

/** The daemons start jobs within a second of the minute; a host under load, or one that catches up, is slower. */
const GRACE_MS = 90_000
/** Clocks read a hundredth of a second apart. */
const EARLY_MS = 1_000
/** cron reads a changed crontab at the minute: what changed just before may count or not. */
const SETTLE_MS = 1_000
/** One question judges no more: a host that was asleep for long has been told so by then. */
const MOST = 1_000

/**
 * The times at which an entry was due while the host was up and cron alive, and did not start. A start counts for the
 * latest time that it can belong to, and for one only; a time is judged once its run could not come any more.
 */
export function missedRuns(question: MissedQuestion): MissedAnswer {
  const { nextAfter, afterMs, nowMs, starts, hostUp, cronAlive, delayMs = 0 } = question
  const lateMs = delayMs + GRACE_MS
  const due: number[] = []
  for (let at = nextAfter(afterMs); at !== null && at <= nowMs && due.length < MOST; at = nextAfter(at))
    due.push(at)
  const taken = new Set<number>()
  for (const start of starts.toSorted((a, b) => a - b)) {
    const at = due.findLast(
      (time) => !taken.has(time) && time <= start - delayMs + EARLY_MS && start <= time + lateMs,
    )
    if (at !== undefined) taken.add(at)
  }
  const judged = due.filter((at) => at + lateMs <= nowMs)
  const isWithin = (periods: readonly Period[], at: number) =>
    periods.some(({ fromMs, toMs }) => fromMs <= at - SETTLE_MS && at + lateMs <= toMs)
  const missed = judged.filter((at) => !taken.has(at) && isWithin(hostUp, at) && isWithin(cronAlive, at))
  return { missed, judgedMs: judged.at(-1) ?? afterMs }
}
