import { isUtf8 } from 'node:buffer'
import type { BigIntStats } from 'node:fs'
import { crc32 } from 'node:zlib'
import { type Cursor, formatCursor } from './cursor.ts'
import { CHECK_BYTES, CHUNK_BYTES, type Descriptor, type Disk } from './disk.ts'
import { wholeCharactersEnd } from './utf8.ts'

const CACHED_CHUNKS = 8
/** Shorter pieces than this are not made only to end at a multiple of CHUNK_BYTES. */
const ALIGNED_BYTES = 4096

/** Decoded bytes of a log, up to `offset` of `generation`. `text` is empty where only a hole was passed over. */
export interface Chunk {
  text: string
  generation: Generation
  offset: number
  check: number
}

/**
 * One content of a log: a file between its creation or truncation and its end. Generations form a chain from old to
 * new; each owns its descriptor. Chunks read at the same place are read and decoded once.
 */
export class Generation {
  readonly dev: bigint
  readonly ino: bigint
  readonly truncations: number
  /** Bytes as last seen; of a lost generation, all that is known of it. */
  size: number
  mtimeNs: bigint
  next: Generation | null = null
  /** Its bytes are destroyed: truncated in place, or deleted after the descriptor was given up. */
  isLost = false
  /** An unknown number of generations between the one before and this was destroyed unseen. */
  isAfterGap = false
  readonly #disk: Disk
  #descriptor: Descriptor | null
  readonly #chunks = new Map<number, Promise<Chunk | 'changed' | null>>()
  #holeEnd = 0

  constructor(opened: { descriptor: Descriptor; stat: BigIntStats; disk: Disk; truncations?: number }) {
    this.dev = opened.stat.dev
    this.ino = opened.stat.ino
    this.size = Number(opened.stat.size)
    this.mtimeNs = opened.stat.mtimeNs
    this.truncations = opened.truncations ?? 0
    this.#disk = opened.disk
    this.#descriptor = opened.descriptor
  }

  get descriptor(): Descriptor | null {
    return this.#descriptor
  }

  isSameFile({ dev, ino }: { dev: bigint; ino: bigint }): boolean {
    return this.dev === dev && this.ino === ino
  }

  /** True when a reader who leaves the generation before has something to go on to. */
  hasContent(): boolean {
    return this.isLost || this.size > 0 || (this.next?.hasContent() ?? false)
  }

  /** Looks at the size again; a file that shrank is lost, since bytes were destroyed. */
  refresh(): void {
    const stat = this.#descriptor?.stat()
    if (!stat || this.isLost) return
    if (Number(stat.size) < this.size) this.isLost = true
    else this.size = Number(stat.size)
    this.mtimeNs = stat.mtimeNs
  }

  /** Marks this as destroyed in place; the content that now is in the file becomes the next generation. */
  truncated(): Generation {
    if (!this.#descriptor) throw new Error('a generation without descriptor was truncated')
    const descriptor = this.#descriptor
    const next = new Generation({
      descriptor,
      stat: descriptor.stat(),
      disk: this.#disk,
      truncations: this.truncations + 1,
    })
    this.isLost = true
    this.#descriptor = null
    this.#chunks.clear()
    this.next = next
    return next
  }

  /** True when NULs at its front are a hole rather than output. */
  mayHaveHole(): boolean {
    const stat = this.#descriptor?.stat()
    return this.truncations > 0 || (stat !== undefined && stat.blocks * 512n < stat.size)
  }

  adopt(descriptor: Descriptor): void {
    this.#descriptor = descriptor
  }

  release(): void {
    this.#descriptor?.release()
    this.#descriptor = null
    this.#chunks.clear()
  }

  cursor(offset: number, check: number | null): string {
    const cursor: Cursor = { generation: this, offset }
    if (check !== null) cursor.check = check
    return formatCursor(cursor)
  }

  /** Reads into the front of `buffer`; nothing when the descriptor was given up. */
  async read(buffer: Buffer, length: number, position: number): Promise<number> {
    return (await this.#descriptor?.read(buffer, length, position)) ?? 0
  }

  /** The check of a place, to compare with that of a cursor. */
  checkAt(offset: number): Promise<number> {
    return this.#disk.borrow(async (buffer) => {
      const length = Math.min(offset, CHECK_BYTES)
      return crc32(buffer.subarray(0, await this.read(buffer, length, offset - length)))
    })
  }

  /**
   * The next chunk from `offset`, at most 64 KiB.
   * @returns null when no whole character is there yet; 'changed' when the bytes before `offset` are not those of `check`
   */
  async chunk(offset: number, check: number | null): Promise<Chunk | 'changed' | null> {
    const known = this.#chunks.get(offset)
    if (known) return known
    const reading = this.#disk.borrow((buffer) => this.#read(buffer, offset, check))
    this.#chunks.set(offset, reading)
    for (const oldest of this.#chunks.keys()) {
      if (this.#chunks.size <= CACHED_CHUNKS) break
      this.#chunks.delete(oldest)
    }
    const forget = (): void => {
      if (this.#chunks.get(offset) === reading) this.#chunks.delete(offset)
    }
    try {
      const chunk = await reading
      if (chunk === null || chunk === 'changed') forget()
      return this.isLost ? null : chunk
    } catch (error) {
      forget()
      throw error
    }
  }

  async #read(buffer: Buffer, offset: number, check: number | null): Promise<Chunk | 'changed' | null> {
    const back = Math.min(offset, CHECK_BYTES)
    const limit = chunkLimit(offset, this.size)
    const count = await this.read(buffer, back + limit - offset, offset - back)
    if (count < back || (check !== null && crc32(buffer.subarray(0, back)) !== check)) return 'changed'
    const end = wholeCharactersEnd(buffer, back, count)
    if (end === back)
      return count > back ? this.#readAcross(Buffer.from(buffer.subarray(back, count)), offset) : null
    const start = back + this.#holeBytes(buffer.subarray(back, end), offset)
    return {
      text: buffer.toString('utf8', start, end),
      generation: this,
      offset: offset + end - back,
      check: crc32(buffer.subarray(Math.max(0, end - CHECK_BYTES), end)),
    }
  }

  /** A rotation may cut a character: its first bytes end this file, the rest begins the next. */
  async #readAcross(begun: Buffer, offset: number): Promise<Chunk | null> {
    const { next } = this
    if (!next?.hasContent() || this.size > offset + begun.length) return null
    const rest = Buffer.alloc(3)
    const count = next.isLost || next.isAfterGap ? 0 : await next.read(rest, rest.length, 0)
    for (let taken = 1; taken <= count; taken++) {
      const character = Buffer.concat([begun, rest.subarray(0, taken)])
      if (isUtf8(character))
        return {
          text: character.toString(),
          generation: next,
          offset: taken,
          check: crc32(rest.subarray(0, taken)),
        }
    }
    const joined = Buffer.concat([begun, rest.subarray(0, count)])
    const isIncomplete = count > 0 && wholeCharactersEnd(joined, 0, joined.length) === 0
    if (isIncomplete && !next.next) return null
    const end = offset + begun.length
    return { text: begun.toString('utf8'), generation: this, offset: end, check: await this.checkAt(end) }
  }

  /** How many NULs at the front are the hole that a writer leaves who goes on at his old place after a truncation. */
  #holeBytes(bytes: Buffer, offset: number): number {
    if (offset > this.#holeEnd || bytes[0] !== 0) return 0
    if (!this.mayHaveHole()) return 0
    const data = bytes.findIndex((byte) => byte !== 0)
    const length = data === -1 ? bytes.length : data
    this.#holeEnd = Math.max(this.#holeEnd, offset + length)
    return length
  }
}

/** Ends chunks at multiples of CHUNK_BYTES, so that followers who started apart come to read the same ones. */
function chunkLimit(offset: number, size: number): number {
  const aligned = Math.floor((offset + CHUNK_BYTES) / CHUNK_BYTES) * CHUNK_BYTES
  const limit = aligned - offset >= ALIGNED_BYTES ? aligned : offset + CHUNK_BYTES
  return Math.min(limit, size)
}
