import { isoTime } from '../../lib/iso-time.ts'
import type { EventPayload } from '../../protocol/events.ts'
import { shown } from './run-history.ts'
import type { FinishedRun, StartedRun } from './run-journal.ts'

/** What is told of a run: events that are on their way to the bus. */
export type Told =
  | { type: 'crontab.started'; payload: EventPayload<'crontab.started'> }
  | { type: 'crontab.finished'; payload: EventPayload<'crontab.finished'> }
  | { type: 'crontab.missed'; payload: EventPayload<'crontab.missed'> }

/**
 * The events of one record.
 * @param isBegun its start was kept or told before
 */
export function told(line: FinishedRun | (StartedRun & { started: true }), isBegun: boolean): Told[] {
  const { run, id, user, startedAtMs, byHand } = line
  const startedAt = isoTime(startedAtMs)
  const start: Told = {
    type: 'crontab.started',
    payload: { run, id, startedAt, ...(byHand ? { byHand } : {}), user },
  }
  if ('started' in line) return isBegun ? [] : [start]
  if (line.verdict === 'missed')
    return [{ type: 'crontab.missed', payload: { run, id, user, dueAt: startedAt } }]
  const end: Told = { type: 'crontab.finished', payload: { ...shown(line), user } }
  return isBegun || line.verdict === 'skipped' ? [end] : [start, end]
}
