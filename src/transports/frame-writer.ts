import type { Socket } from 'node:net'

/** Copying this much costs less than one more piece in a write. */
const COPIED_BYTES = 4096
const HEADER_MAX = 10
const FINAL_TEXT = 0x81
const LENGTH_16 = 126
const LENGTH_64 = 127

/**
 * Writes text frames as a server sends them: final, without extension, not masked (RFC 6455 5.2 and 5.3). Small ones
 * leave in one piece; large ones, and those that wait behind others, as they are, since other connections share their
 * bytes.
 */
export function writeTextFrames(socket: Socket, frames: readonly Buffer[]): void {
  const isWaiting = socket.writableLength > 0
  const run: Buffer[] = []
  socket.cork()
  for (const frame of frames) {
    if (!isWaiting && frame.length <= COPIED_BYTES) run.push(frame)
    else {
      writeRun(socket, run)
      socket.write(headerOf(frame.length))
      socket.write(frame)
    }
  }
  writeRun(socket, run)
  socket.uncork()
}

function writeRun(socket: Socket, run: Buffer[]): void {
  if (run.length === 0) return
  let size = 0
  for (const frame of run) size += HEADER_MAX + frame.length
  const bytes = Buffer.allocUnsafe(size)
  let end = 0
  for (const frame of run) {
    end = putHeader(bytes, end, frame.length)
    end += frame.copy(bytes, end)
  }
  socket.write(bytes.subarray(0, end))
  run.length = 0
}

function headerOf(length: number): Buffer {
  const bytes = Buffer.allocUnsafe(HEADER_MAX)
  return bytes.subarray(0, putHeader(bytes, 0, length))
}

/** @returns where the payload begins */
function putHeader(bytes: Buffer, at: number, length: number): number {
  bytes[at] = FINAL_TEXT
  if (length < LENGTH_16) {
    bytes[at + 1] = length
    return at + 2
  }
  if (length < 65_536) {
    bytes[at + 1] = LENGTH_16
    return bytes.writeUInt16BE(length, at + 2)
  }
  bytes[at + 1] = LENGTH_64
  return bytes.writeBigUInt64BE(BigInt(length), at + 2)
}
