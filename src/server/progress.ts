import type { CallSource } from '../methods/context.ts'
import type { RequestId } from '../protocol/frames.ts'
import { notification } from './event-frames.ts'

const EVERY_MS = 100

/** Tells how far a call is: not too often, the end always. */
export function progressOf(id: RequestId, send: (frame: Buffer) => void): CallSource['progress'] {
  let toldAtMs = 0
  return (done, total, text) => {
    const nowMs = performance.now()
    if (total < 2 || (done < total && nowMs - toldAtMs < EVERY_MS)) return
    toldAtMs = nowMs
    send(notification('progress', { id, done, total, text }))
  }
}
