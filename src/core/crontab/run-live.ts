import { isoTime } from '../../lib/iso-time.ts'
import { processStart } from '../../lib/process-start.ts'
import type { Run } from '../../protocol/entry.ts'
import type { HostClock } from '../host/host-clock.ts'
import type { RunRecord } from './run-record.ts'

/** A record as it was found. */
export interface FoundRecord {
  user: string
  record: RunRecord
  mtimeMs: number
  /** Its process was there before the record was read. */
  isAlive: boolean
}

/** A run that goes on. */
export interface LiveRun {
  run: string
  id: string
  user: string
  startedAtMs: number
  /** Of `cronrun`: a signal to it goes to all of the job. */
  pid: number
  startTicks: string
  boot: string
  /** By whom it was asked for when not by cron. */
  tag: string | null
}

/** Whether the process of a run is there still: the same one, and not another of that number. */
export function isLiving({ pid, startTicks, boot }: LiveRun | RunRecord, clock: HostClock): boolean {
  return boot === clock.boot && processStart(pid)?.startTicks === startTicks
}

export function liveRun({ user, record, mtimeMs }: FoundRecord, clock: HostClock): LiveRun {
  const { run, id, pid, startTicks, boot, tag } = record
  const startedAtMs = startOf(record, mtimeMs, clock)
  return { run, id, user, startedAtMs, pid, startTicks, boot, tag }
}

/** By today's clock and the time since the boot; where that was another boot, by when the file was written last. */
function startOf(record: RunRecord, mtimeMs: number, { boot, nowMs, upMs }: HostClock): number {
  if (record.boot === boot) return nowMs - upMs + record.upMs
  const ranMs = 'endUpMs' in record ? record.endUpMs - record.upMs : 0
  return Math.round(Math.min(mtimeMs, nowMs) - Math.max(0, ranMs))
}

/** A run that goes on, as it is shown. */
export function running({ run, id, startedAtMs, tag }: LiveRun): Run {
  const startedAt = isoTime(startedAtMs)
  return { run, id, startedAt, verdict: 'running', ...(tag === null ? {} : { byHand: true }) }
}

/** What is kept and told of it whatever becomes of it. */
export function identityOf({ run, id, user, startedAtMs, tag }: LiveRun) {
  return { run, id, user, startedAtMs, ...(tag === null ? {} : { byHand: true as const }) }
}
