// Which minutes a schedule is due at, clock changes of its zone included, as cron has it: fixed times that the clock
// leaves out run right after, once, and those that come twice run once; with a star as minute or hour it follows the clock.
import type { Zone } from '../host/zone.ts'

export interface Times {
  /** Whether it names that minute of the wall clock, given as an instant at which UTC shows the same. */
  matches(wallMs: number): boolean
  isFixed: boolean
}

const MINUTE_MS = 60_000
/** A greater change of the clock is a new time, and nothing is made up for. */
const JUMP_MS = 180 * MINUTE_MS

/** @param atMs the beginning of a minute */
export function isDue(times: Times, zone: Zone, atMs: number): boolean {
  const offset = zone.offsetAt(atMs)
  const wallMs = atMs + offset * 1000
  if (!times.isFixed) return times.matches(wallMs)
  if (times.matches(wallMs) && !wasThere(zone, atMs)) return true
  const leftOutMs = (offset - zone.offsetAt(atMs - MINUTE_MS)) * 1000
  if (leftOutMs > JUMP_MS) return false
  for (let backMs = MINUTE_MS; backMs <= leftOutMs; backMs += MINUTE_MS)
    if (times.matches(wallMs - backMs)) return true
  return false
}

/** Whether the clock showed that minute before it was set back. */
function wasThere(zone: Zone, atMs: number): boolean {
  const change = zone.changeAfter(atMs - JUMP_MS)
  if (!change || change.atMs > atMs || change.after >= change.before) return false
  return atMs < change.atMs + (change.before - change.after) * 1000
}
