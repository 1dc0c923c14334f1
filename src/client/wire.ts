import type { ConnectionError } from './connection-error.ts'

/** One open link to an agent: text frames out, and an end. */
export interface Wire {
  send(frame: string): void
  /** Ends in order, by force after a second. Resolves when nothing is left open. */
  close(): Promise<void>
  /** Ends at once; for a peer that no longer answers. */
  terminate(): void
}

/** Whom a wire tells what comes. `closed` is the last call, and comes once if the wire was ever open. */
interface WireUser {
  text(frame: string): void
  /** A sign of life that is not a frame. */
  alive(): void
  closed(error: ConnectionError): void
}

/**
 * Opens a wire.
 * @throws {ConnectionError} when it cannot; the signal's reason when it aborts meanwhile
 */
export type Dial = (user: WireUser, signal: AbortSignal) => Promise<Wire>

/** Longest frame that is taken, far above what an agent sends. */
export const FRAME_MAX_BYTES = 16 * 1024 * 1024
export const HANDSHAKE_MS = 10_000
export const CLOSE_MS = 1_000
