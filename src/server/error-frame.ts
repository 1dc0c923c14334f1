import { toWireError } from '../protocol/errors.ts'
import type { RequestId } from '../protocol/frames.ts'

/** Of an error that does not fit into a frame. */
const LONG_MESSAGE = 2_000

/** The answer that a call failed; one that is too large goes out without its facts. */
export function errorFrame(id: RequestId | null, error: unknown, maxBytes: number): Buffer {
  const wire = toWireError(error)
  const frame = Buffer.from(JSON.stringify({ jsonrpc: '2.0', id, error: wire }))
  if (frame.length <= maxBytes) return frame
  const { name, retry } = wire.data
  const message = wire.message.slice(0, LONG_MESSAGE)
  const short = { ...wire, message, data: { name, retry, truncated: true } }
  return Buffer.from(JSON.stringify({ jsonrpc: '2.0', id, error: short }))
}
