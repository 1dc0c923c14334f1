import { setMaxListeners } from 'node:events'
import { AgentError } from '../../protocol/errors.ts'
import type { Entry } from '../supervisor/process-table.ts'
import type { StateWatch } from '../supervisor/state-watch.ts'

/** How much longer than `startsecs` a start may take on a slow host. */
const GRACE_MS = 30_000

/** A process that did not come up. */
export class NotUp extends Error {
  override readonly name = 'NotUp'
  readonly process: string
  /** The end of what it wrote; to be taken before the change is undone, and its log with it. */
  logTail = ''

  constructor(process: string, why: string) {
    super(`${process} ${why}`)
    this.process = process
  }
}

export interface VerifyOptions {
  /** How long each must have been up. */
  verifyMs: number
  startSecs: number
  signal: AbortSignal
  onUp?: (process: string) => void
  logTail: (process: string) => Promise<string>
}

/**
 * Watches processes that were just started until each has been RUNNING and `verifyMs` have passed since its start.
 * @throws {NotUp} at the first BACKOFF, EXITED or FATAL; the signal's reason
 */
export async function verifyUp(
  watch: StateWatch,
  names: readonly string[],
  { verifyMs, startSecs, signal, onUp, logTail }: VerifyOptions,
): Promise<void> {
  const failed = new AbortController()
  const limit = AbortSignal.timeout(startSecs * 1000 + verifyMs + GRACE_MS)
  const ends = AbortSignal.any([signal, failed.signal, limit])
  setMaxListeners(0, ends, signal) // one for each process
  const one = async (name: string): Promise<void> => {
    const beganAt = performance.now()
    try {
      await watch.wait(name, (entry) => (isUp(entry) ? true : undefined), ends)
      const leftMs = verifyMs - (performance.now() - beganAt)
      if (leftMs > 0) await stays(watch, name, leftMs, ends)
    } catch (error) {
      if (error instanceof NotUp) error.logTail = await logTail(name)
      failed.abort(error)
      throw error
    }
    onUp?.(name)
  }
  const outcomes = await Promise.allSettled(names.map(one))
  if (outcomes.every(({ status }) => status === 'fulfilled')) return
  signal.throwIfAborted()
  if (failed.signal.reason instanceof NotUp) throw failed.signal.reason
  if (limit.aborted) throw new NotUp(names.join(', '), 'did not come up in time')
  throw failed.signal.reason
}

/** @throws {NotUp} when it goes down within that time */
async function stays(watch: StateWatch, name: string, forMs: number, signal: AbortSignal): Promise<void> {
  const end = AbortSignal.timeout(Math.ceil(forMs))
  try {
    await watch.wait(name, (entry) => (isUp(entry) ? undefined : true), AbortSignal.any([signal, end]))
  } catch (error) {
    if (!end.aborted || signal.aborted) throw error
  }
}

/** @returns false while it is on its way, or when somebody stops it: that is no failure of the program */
function isUp(entry: Entry | undefined): boolean {
  if (entry?.state === 'BACKOFF' || entry?.state === 'EXITED' || entry?.state === 'FATAL')
    throw new NotUp(entry.name, whyDown(entry))
  return entry?.state === 'RUNNING'
}

function whyDown({ state, spawnError, lastExit }: Entry): string {
  const end =
    lastExit?.signal ?? (lastExit?.exitStatus === undefined ? null : `exit status ${lastExit.exitStatus}`)
  const why = [spawnError, end].filter(Boolean).join('; ')
  return `is ${state}${why === '' ? '' : `: ${why}`}`
}

/** What an error of a change is told as, once the change was taken back. */
export function rolledBack(
  program: string,
  error: NotUp,
  { withLogs, stillUndoing }: { withLogs: boolean; stillUndoing: boolean },
): AgentError {
  const how = stillUndoing ? 'it is undone as soon as supervisord can be asked' : 'all is as it was before'
  return new AgentError('ROLLED_BACK', `${program}: ${error.message}; ${how}`, {
    cause: error,
    facts: { program, process: error.process, ...(withLogs ? { logTail: error.logTail } : {}) },
  })
}
