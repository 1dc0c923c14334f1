import { isoTime } from '../../lib/iso-time.ts'
import type { Run } from '../../protocol/entry.ts'
import type { FinishedRun } from './run-journal.ts'

/** A run that ended, without its output. */
export interface KeptRun extends FinishedRun {
  /** Number of its record in the journal. */
  n: number
}

/** The newest runs of each entry, in memory; their output is on disk alone. */
export class RunHistory {
  readonly #most: number
  /** Of each entry, by their start. */
  readonly #entries = new Map<string, KeptRun[]>()
  readonly #runs = new Map<string, KeptRun>()

  /** @param options.runs kept of each entry */
  constructor(options: { runs: number }) {
    this.#most = options.runs
  }

  /** Adds a run, or puts it in the place of itself. */
  add(run: KeptRun): void {
    this.#forget(run.run)
    this.#runs.set(run.run, run)
    const runs = this.#entries.get(run.id) ?? []
    this.#entries.set(run.id, runs)
    // nearly always the last place
    const after = runs.findLastIndex((other) => byStart(other, run) < 0)
    runs.splice(after + 1, 0, run)
    while (runs.length > this.#most) this.#runs.delete(runs.shift()?.run ?? '')
  }

  get(run: string): KeptRun | undefined {
    return this.#runs.get(run)
  }

  /** Those of an entry, or all; the newest first. */
  list(id: string | undefined, most: number): KeptRun[] {
    const runs =
      id === undefined ? [...this.#entries.values()].flat().toSorted(byStart) : (this.#entries.get(id) ?? [])
    return runs.slice(-most).toReversed()
  }

  /** How many runs of its entry are newer; null when it is not kept. */
  rank(run: string): number | null {
    const kept = this.#runs.get(run)
    const runs = kept && this.#entries.get(kept.id)
    return runs ? runs.length - 1 - runs.indexOf(kept) : null
  }

  /** The start of its oldest run when an entry has as many as are kept; null while it has fewer. */
  fullSince(id: string): number | null {
    const runs = this.#entries.get(id) ?? []
    return runs.length < this.#most ? null : (runs[0]?.startedAtMs ?? null)
  }

  /** Forgets those whose records have smaller numbers. */
  forgetBefore(n: number): void {
    for (const run of this.#runs.values()) if (run.n < n) this.#forget(run.run)
  }

  #forget(run: string): void {
    const before = this.#runs.get(run)
    const runs = before && this.#entries.get(before.id)
    this.#runs.delete(run)
    if (!runs) return
    runs.splice(runs.indexOf(before), 1)
    if (runs.length === 0) this.#entries.delete(before.id)
  }
}

/** Orders runs by their start, those of one moment by name. */
export function byStart(
  a: { startedAtMs: number; run: string },
  b: { startedAtMs: number; run: string },
): number {
  return a.startedAtMs - b.startedAtMs || (a.run < b.run ? -1 : 1)
}

/** A run that ended, as it is shown. */
export function shown(kept: KeptRun | FinishedRun): Run {
  const { run, id, startedAtMs, endedAtMs, verdict, exitStatus, signal, detail, byHand } = kept
  return {
    run,
    id,
    startedAt: isoTime(startedAtMs),
    ...(endedAtMs === undefined
      ? {}
      : { endedAt: isoTime(endedAtMs), durationMs: Math.max(0, endedAtMs - startedAtMs) }),
    ...(exitStatus === undefined ? {} : { exitStatus }),
    ...(signal === undefined ? {} : { signal }),
    verdict,
    ...(detail === undefined ? {} : { detail }),
    ...(byHand === undefined ? {} : { byHand }),
  }
}
