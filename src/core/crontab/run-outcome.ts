import { constants } from 'node:os'
import type { Run, RunVerdict } from '../../protocol/entry.ts'
import type { RunRecord } from './run-record.ts'

/** What else is known about the process of a run. */
export interface RunLife {
  isAlive: boolean
  /** Now, as the record counts; null when the host started again since. */
  upMs: number | null
}

/** What came of a run. */
export interface RunOutcome {
  verdict: Exclude<RunVerdict, 'running' | 'missed'>
  exitStatus?: number
  signal?: string
  /** Milliseconds since the boot; absent when nobody knows. */
  endUpMs?: number
  output?: Buffer
  detail?: Run['detail']
}

/** Of more output than that the first character may be cut. */
const OUTPUT_BYTES = 16 * 1024
/** So long the output may come after the end of the job. */
const OUTPUT_MS = 2_000
/** Of those that end a process: an exit status is not taken for another one. */
const HARMLESS = new Set([
  'SIGCHLD',
  'SIGCONT',
  'SIGSTOP',
  'SIGTSTP',
  'SIGTTIN',
  'SIGTTOU',
  'SIGURG',
  'SIGWINCH',
])
const SIGNALS = new Map(
  Object.entries(constants.signals)
    .filter(([name]) => !HARMLESS.has(name))
    .toReversed() // of two names the first is the usual one
    .map(([name, number]) => [number, name]),
)

/**
 * What came of a run as far as its record and its process tell; null while it goes on. A run whose process is gone
 * without a word (the host went down, or somebody killed it) has failed, and how is not known.
 */
export function outcomeOf(record: RunRecord, { isAlive, upMs }: RunLife): RunOutcome | null {
  switch (record.stage) {
    case 'started':
      return isAlive ? null : { verdict: 'failed', detail: 'interrupted' }
    case 'skipped':
      return { verdict: 'skipped' }
    case 'exited': {
      if (isAlive && upMs !== null && upMs - record.endUpMs < OUTPUT_MS) return null
      return { ...ending(record), detail: isAlive ? 'output-open' : 'output-lost' }
    }
    case 'ended':
      return { ...ending(record), output: record.output }
  }
}

function ending(end: { status: number; isLate: boolean; endUpMs: number }): RunOutcome {
  const { status, isLate, endUpMs } = end
  const signal = SIGNALS.get(status - 128)
  return {
    verdict: isLate ? 'timeout' : status === 0 ? 'success' : 'failed',
    ...(signal === undefined ? { exitStatus: status } : { signal }),
    endUpMs,
  }
}

/** What of an outcome is kept and told. */
export function resultOf({ verdict, exitStatus, signal, detail }: RunOutcome) {
  return {
    verdict,
    ...(exitStatus === undefined ? {} : { exitStatus }),
    ...(signal === undefined ? {} : { signal }),
    ...(detail === undefined ? {} : { detail }),
  }
}

/** What it wrote, as text. */
export function outputOf({ output }: RunOutcome): string | undefined {
  if (output === undefined) return undefined
  let start = 0
  if (output.length === OUTPUT_BYTES) while (start < 3 && ((output[start] ?? 0) & 0xc0) === 0x80) start++
  return output.toString('utf8', start)
}
