// Entries and foreign lines as they are shown: what they run only to those with the scope and the user.
import { isoTime } from '../../lib/iso-time.ts'
import type { Entry, Run } from '../../protocol/entry.ts'
import type { Zone } from '../host/zone.ts'
import type { BlockLine } from './block.ts'
import { parseSchedule } from './schedule.ts'
import { nextRuns } from './schedule-next.ts'
import type { ForeignJob } from './table-foreign.ts'
import { bare, linesOf, readLine, shown } from './table-lines.ts'
import { type EntryState, revisionOfText } from './user-state.ts'

const NEXT = 3

/** The next runs by schedule, each computed once. */
export class NextRuns {
  readonly #zone: Zone
  readonly #afterMs = Date.now()
  readonly #known = new Map<string, string[] | null>()

  constructor(zone: Zone) {
    this.#zone = zone
  }

  /** Null for what has none that can be told. */
  of(schedule: string): string[] | null {
    const known = this.#known.get(schedule)
    if (known !== undefined) return known
    const parsed = parseSchedule(schedule)
    const next =
      parsed.kind === 'timed'
        ? nextRuns(parsed, { afterMs: this.#afterMs, zone: this.#zone, count: NEXT }).map(({ atMs }) =>
            isoTime(atMs),
          )
        : null
    this.#known.set(schedule, next)
    return next
  }
}

export function entryView(
  { user, entry, revision }: EntryState,
  { isOpen, next, lastRun }: { isOpen: boolean; next: NextRuns; lastRun: Run | undefined },
): Entry {
  const { command, env, options, original: _original, importedCommand: _imported, ...plain } = entry
  const times = entry.enabled ? next.of(entry.schedule) : null
  return {
    ...plain,
    user,
    managed: true,
    revision,
    ...(isOpen ? { command, ...(env ? { env } : {}), ...(options ? { options } : {}) } : { masked: true }),
    ...(times ? { next: times } : {}),
    ...(lastRun ? { lastRun } : {}),
  }
}

export function foreignView(
  user: string,
  job: ForeignJob,
  { isOpen, next }: { isOpen: boolean; next: NextRuns },
): Entry {
  const { key, line, schedule, command, stdin, owner } = job
  const env = isOpen ? job.environment() : {}
  const times = next.of(schedule)
  return {
    key,
    name: owner?.name || `line ${line}`,
    user,
    schedule,
    enabled: true,
    managed: false,
    revision: key.slice(0, key.indexOf('-')),
    ...(owner ? { owner: owner.tool } : {}),
    ...(isOpen
      ? { command, ...(stdin === null ? {} : { stdin }), env, obstacles: job.obstacles() }
      : { masked: true }),
    ...(times ? { next: times } : {}),
  }
}

/** A line of ours that was changed so that it cannot be read any more. */
export function alteredView(user: string, { id, name, text }: BlockLine, isOpen: boolean): Entry {
  const job = readLine(bare(linesOf(text).at(-1) ?? ''))
  return {
    ...(id === null ? {} : { id }),
    name: name ?? 'a line of ours that was changed by hand',
    user,
    schedule: job.kind === 'job' ? shown(job.schedule) : '',
    enabled: job.kind === 'job',
    managed: true,
    revision: revisionOfText(text),
    obstacles: ['it was changed by hand and can no longer be read'],
    ...(isOpen && job.kind === 'job' ? { command: shown(job.command) } : { masked: true }),
  }
}
