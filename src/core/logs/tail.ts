import type { Chain, Position } from './chain.ts'
import { type Cursor, parseCursor } from './cursor.ts'
import { CHUNK_BYTES } from './disk.ts'
import type { Generation } from './generation.ts'
import { JSON_BYTES_PER_BYTE, jsonEnd, jsonSize } from './json-size.ts'
import { readBack } from './read-back.ts'
import { wholeCharactersEnd } from './utf8.ts'

/** Most bytes of log in one answer; a longer line is cut at its front. */
const TAIL_BYTES = 256 * 1024
/** And most bytes of it as JSON, where a control character takes six: an answer must fit into a frame of 1 MiB. */
const TAIL_JSON_BYTES = 900 * 1024

const DEFAULT_LINES = 100

export interface LogTail {
  text: string
  cursor: string
  /** Without a cursor: there is older text. With a cursor: there is more to come. */
  truncated: boolean
}

export interface TailOptions {
  lines?: number
  bytes?: number
  cursor?: string
}

/** The end of a log, or what came after a cursor. The chain has a file; `position` is attached to it. */
export async function readTail(chain: Chain, position: Position, options: TailOptions): Promise<LogTail> {
  if (options.cursor !== undefined) return readAfter(chain, position, options.cursor)
  const { current: generation } = chain
  if (!generation) return { text: '', cursor: '', truncated: false }
  const size = generation.size
  const lines = options.bytes === undefined ? (options.lines ?? DEFAULT_LINES) : Number.POSITIVE_INFINITY
  const limit = lines === 0 ? 0 : Math.min(options.bytes ?? TAIL_BYTES, TAIL_BYTES)
  const { bytes, isWhole } = await readBack(chain, position, { lines, limit, countsPart: true })
  const end = Math.max(wholeCharactersEnd(bytes, 0, bytes.length), bytes.length - size)
  const offset = size - (bytes.length - end)
  const whole = bytes.toString('utf8', 0, end)
  const text = jsonEnd(whole, TAIL_JSON_BYTES)
  return {
    text,
    cursor: generation.cursor(offset, await generation.checkAt(offset)),
    truncated: !isWhole || text.length < whole.length,
  }
}

/** Places a follower: at its cursor, or before the last complete lines; at the start of a file that is not there yet. */
export async function place(
  chain: Chain,
  position: Position,
  options: { lines: number; cursor?: string },
): Promise<void> {
  if (options.cursor !== undefined) await placeAtCursor(chain, position, options.cursor)
  else if (options.lines > 0 && chain.current)
    await readBack(chain, position, { lines: options.lines, limit: TAIL_BYTES, countsPart: false })
}

async function readAfter(chain: Chain, position: Position, from: string): Promise<LogTail> {
  let cursor = from
  let text = ''
  await placeAtCursor(chain, position, from)
  for (let bytes = 0, json = 0; hasRoom(bytes, json); ) {
    const chunk = await chain.read(position)
    if (!chunk) return { text, cursor, truncated: false }
    text += chunk.text
    cursor = chunk.cursor
    bytes += Buffer.byteLength(chunk.text)
    json += jsonSize(chunk.text)
  }
  const generation = chain.settle(position)
  return { text, cursor, truncated: generation !== null && position.offset < generation.size }
}

/** For one more chunk, whatever it holds. */
function hasRoom(bytes: number, json: number): boolean {
  return bytes + CHUNK_BYTES <= TAIL_BYTES && json + CHUNK_BYTES * JSON_BYTES_PER_BYTE <= TAIL_JSON_BYTES
}

/**
 * Goes to a cursor whose generation is still there. Otherwise begins with the last TAIL_BYTES of what is there now,
 * with `dropped` set: what was between is unknown.
 */
async function placeAtCursor(chain: Chain, position: Position, text: string): Promise<void> {
  const cursor = parseCursor(text)
  const generation = chain.find(cursor)
  if (!generation) {
    if (!chain.current) return
    const { start } = await readBack(chain, position, {
      lines: Number.POSITIVE_INFINITY,
      limit: TAIL_BYTES,
      countsPart: true,
    })
    position.dropped = start
    return
  }
  Object.assign(position, { generation, offset: cursor.offset, check: null })
  if (generation.isLost) return
  if (await isStillThere(generation, cursor)) position.check = cursor.check ?? null
  else Object.assign(position, { offset: 0, dropped: 0 })
}

async function isStillThere(generation: Generation, cursor: Cursor): Promise<boolean> {
  if (cursor.offset > generation.size) return false
  if (cursor.check === undefined) return generation.truncations === cursor.generation.truncations
  return (await generation.checkAt(cursor.offset)) === cursor.check
}
