// A call on many processes has a row for each, whatever becomes of the others.
import { setMaxListeners } from 'node:events'
import { orAbort } from '../../lib/or-abort.ts'
import { AgentError, type ErrorCode } from '../../protocol/errors.ts'
import type { ProcessResult } from '../../protocol/process.ts'
import type { Entry } from './process-table.ts'

export interface RowOptions {
  /** For each process. */
  timeoutMs: number
  /** Aborts the call as a whole: CANCELLED, SHUTTING_DOWN. With FORBIDDEN what is not done yet has rows that say it. */
  signal: AbortSignal
  /** Aborts when the supervisord that is asked ends: no other one that takes its place goes on with it. */
  run: AbortSignal
  onProgress?: (done: number, total: number, text: string) => void
  /** The state of a process, for who waited for another one in vain. */
  stateOf: (name: string) => string
}

/** One process within a call. */
export interface Turn {
  signal: AbortSignal
  /** False while an earlier call for the process runs. */
  hasBegun: boolean
  /** What is to be said of it although it was done. */
  remark?: string
  /** What it waits for, where its state alone does not tell. */
  note?: string
}

/**
 * Does something with each process, all at once. What fails, and what is not done in time, is in its row.
 * @throws the reason of the call's own signal, unless that is the end of a right
 */
export async function eachRow(
  entries: readonly Entry[],
  options: RowOptions,
  act: (entry: Entry, turn: Turn) => Promise<boolean>,
): Promise<ProcessResult[]> {
  const deadline = AbortSignal.timeout(options.timeoutMs)
  const signal = AbortSignal.any([options.signal, deadline, options.run])
  setMaxListeners(0, signal) // one for each process
  let done = 0
  const row = async (entry: Entry): Promise<ProcessResult> => {
    const { name } = entry
    const turn: Turn = { signal, hasBegun: false }
    const result = await orAbort(act(entry, turn), signal).then<ProcessResult, ProcessResult>(
      (changed) => ({
        process: name,
        ok: true,
        changed,
        ...(turn.remark === undefined ? {} : { note: turn.remark }),
      }),
      (error: unknown) => {
        if (deadline.aborted)
          return failedRow(name, 'TIMEOUT', `${name} is still ${options.stateOf(name)}; ${goesOn(turn)}`)
        const lost = lostRight(options.signal)
        if (lost) return failedRow(name, lost.code, `${lost.message}; ${goesOn(turn)}`)
        if (options.signal.aborted) return failedRow(name, 'CANCELLED', `cancelled; ${goesOn(turn)}`)
        if (error instanceof AgentError) return failedRow(name, error.code, error.message)
        throw error
      },
    )
    options.onProgress?.(++done, entries.length, `${name} ${result.ok ? 'done' : result.error?.name}`)
    return result
  }
  const results = await Promise.all(entries.map(row))
  if (!lostRight(options.signal)) options.signal.throwIfAborted()
  return results
}

/** A caller whose right was taken away: what became of the call is kept as it was, done and not done. */
export function lostRight({ aborted, reason }: AbortSignal): AgentError | null {
  return aborted && reason instanceof AgentError && reason.code === 'FORBIDDEN' ? reason : null
}

export function failedRow(process: string, code: ErrorCode, message: string): ProcessResult {
  return { process, ok: false, changed: false, error: { name: code, message } }
}

export function byProgram(entries: readonly Entry[]): Map<string, Entry[]> {
  const groups = new Map<string, Entry[]>()
  for (const entry of entries) groups.set(entry.program, [...(groups.get(entry.program) ?? []), entry])
  return groups
}

function goesOn({ hasBegun, note }: Turn): string {
  if (note !== undefined) return note
  return hasBegun ? 'what was begun goes on' : 'nothing was begun, because an earlier call for it still runs'
}
