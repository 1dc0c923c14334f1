import type { Socket } from 'node:net'

/** What Node's own idle timeout looks at; see `Socket.prototype._onTimeout`. */
interface Handle {
  bytesWritten?: number
  /** Of the write under way, what the kernel has not taken yet. */
  writeQueueSize?: number
}

interface WithHandle {
  _handle?: Handle | null
  /** Of a TLS socket, the TCP socket: only its numbers change while a write is under way. */
  _parent?: WithHandle | null
}

/**
 * Bytes that the kernel took so far. What the public API tells changes only when a write is complete, and Node makes
 * one write of all that waits: a slow reader of a megabyte would look like one that does not read at all.
 */
export function takenBytes(socket: Socket): number {
  const within: WithHandle = socket as Socket & WithHandle
  const { _handle: handle } = within._parent ?? within
  return (handle?.bytesWritten ?? 0) - (handle?.writeQueueSize ?? 0)
}
