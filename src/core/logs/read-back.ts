import type { Chain, Position } from './chain.ts'
import { CHUNK_BYTES } from './disk.ts'
import type { Generation } from './generation.ts'
import { characterStart } from './utf8.ts'

const NEWLINE = 0x0a

interface Wanted {
  lines: number
  /** Most bytes to go back. */
  limit: number
  /** Whether the part of a line at the end counts as one of `lines`. */
  countsPart: boolean
}

interface Found {
  bytes: Buffer
  /** Where `bytes` begin in the generation that `position` then is in. */
  start: number
  /** True when nothing older is there. */
  isWhole: boolean
}

/**
 * Reads the last lines of the current file, and of the rotated file before it when there are too few, backwards in
 * blocks, and leaves `position` at their start.
 */
export async function readBack(chain: Chain, position: Position, wanted: Wanted): Promise<Found> {
  let generation = chain.current
  let older: Generation | null = null
  const blocks: Buffer[] = []
  const seek: Seek = { missing: null, bytesLeft: wanted.limit }
  let start = generation?.size ?? 0
  while (generation) {
    position.generation = generation
    start = await readFileBack(generation, { blocks, seek, wanted })
    position.offset = start
    if (start > 0 || seek.missing === 0 || seek.bytesLeft === 0 || older) break
    older = olderThan(chain, generation)
    generation = older
  }
  const bytes = Buffer.concat(blocks)
  const skipped = position.generation ? skippedAtFront(bytes, position.generation, start) : 0
  position.offset = start + skipped
  return {
    bytes: bytes.subarray(skipped),
    start: position.offset,
    isWhole: start === 0 && !hasOlder(chain, position.generation),
  }
}

interface Seek {
  /** Newlines still to be met; null before the first byte was seen. */
  missing: number | null
  bytesLeft: number
}

interface FileBack {
  blocks: Buffer[]
  seek: Seek
  wanted: Wanted
}

/** Adds the blocks of one file to the front; gives the offset where they begin. */
async function readFileBack(generation: Generation, { blocks, seek, wanted }: FileBack): Promise<number> {
  let at = generation.size
  while (at > 0 && seek.bytesLeft > 0) {
    const length = Math.min(at, CHUNK_BYTES, seek.bytesLeft)
    const block = Buffer.allocUnsafeSlow(length)
    const count = await generation.read(block, length, at - length)
    seek.missing ??= wanted.countsPart && block[count - 1] !== NEWLINE ? wanted.lines : wanted.lines + 1
    const cut = lineStart(block.subarray(0, count), seek)
    blocks.unshift(block.subarray(cut, count))
    seek.bytesLeft -= length
    at -= length
    if (seek.missing === 0) return at + cut
  }
  return at
}

/** Counts newlines from the end; gives the place after the last one that was missing, else 0. */
function lineStart(block: Buffer, seek: Seek): number {
  for (let at = block.length; seek.missing !== null; ) {
    at = at === 0 ? -1 : block.lastIndexOf(NEWLINE, at - 1)
    if (at < 0) return 0
    seek.missing--
    if (seek.missing === 0) return at + 1
  }
  return 0
}

function skippedAtFront(bytes: Buffer, generation: Generation, start: number): number {
  if (bytes[0] === 0 && generation.mayHaveHole()) {
    const data = bytes.findIndex((byte) => byte !== 0)
    return data === -1 ? bytes.length : data
  }
  return start > 0 ? characterStart(bytes, 0) : 0
}

function hasOlder(chain: Chain, generation: Generation | null): boolean {
  return generation !== null && (olderThan(chain, generation)?.size ?? 0) > 0
}

function olderThan(chain: Chain, generation: Generation): Generation | null {
  const index = chain.generations.indexOf(generation)
  const older = index > 0 ? (chain.generations[index - 1] ?? null) : chain.older()
  return older?.descriptor ? older : null
}
