import { type BigIntStats, lstatSync } from 'node:fs'
import type { Cursor } from './cursor.ts'
import type { Disk } from './disk.ts'
import type { Generation } from './generation.ts'
import { isNotThereYet, toUnavailable } from './open.ts'
import { openGeneration, openOlder, openSuccessors, reopen } from './rotation.ts'

/** Beyond these the oldest held files are given up, and read from `path.N` while they are still there. */
const HELD_FILES = 32
const HELD_BYTES = 64 * 1024 * 1024

/** How far a reader is. `generation` is null as long as there is no file. */
export interface Position {
  generation: Generation | null
  offset: number
  check: number | null
  /** Bytes known to be destroyed since the last chunk; 0 when some were, but nobody knows how many. */
  dropped: number | null
}

export interface LogChunk {
  text: string
  cursor: string
  /**
   * Present where the text is not what followed the chunk before: the bytes known to have been destroyed in between,
   * 0 when their number is unknown (a file truncated or rotated away between two looks).
   */
  dropped?: number
}

/**
 * The generations of one path, oldest first, each held open from the first to the last position in it.
 * Looking, opening and moving on are synchronous, so that no two steps interleave; only reads are awaited.
 */
export class Chain {
  readonly path: string
  readonly #disk: Disk
  readonly #positions = new Set<Position>()
  #generations: Generation[] = []
  #isClosed = false

  constructor(path: string, disk: Disk) {
    this.path = path
    this.#disk = disk
  }

  get generations(): readonly Generation[] {
    return this.#generations
  }

  get current(): Generation | null {
    return this.#generations.at(-1) ?? null
  }

  /** A place at the end of what is there now. What it is in stays open until it is detached. */
  attach(): Position {
    const { current } = this
    const position: Position = { generation: current, offset: current?.size ?? 0, check: null, dropped: null }
    this.#positions.add(position)
    return position
  }

  detach(position: Position): void {
    this.#positions.delete(position)
    this.#prune()
  }

  /**
   * Looks what became of the path: grown, truncated, rotated, not there.
   * @returns false while a rotation is under way; look again soon
   * @throws {AgentError} LOG_UNAVAILABLE when what now is at the path may not be read
   */
  inspect(): boolean {
    if (this.#isClosed) return true
    const { current } = this
    const stat = this.#lstat()
    if (!current) return !stat || this.#begin()
    if (current.size === 0) this.#generations.at(-2)?.refresh() // until told to reopen, a writer stays in the old file
    const isSame = stat !== undefined && current.isSameFile(stat)
    const size = Number((isSame ? stat : current.descriptor?.stat())?.size ?? current.size)
    if (size < current.size) this.#append(current.truncated())
    else current.size = size
    return isSame || !stat || this.#rotate(current.next ?? current)
  }

  /** The next text for a position, which moves past it; null when there is none (yet). */
  async read(position: Position): Promise<LogChunk | null> {
    for (;;) {
      const generation = this.settle(position)
      if (!generation || this.#isClosed || position.offset >= generation.size) return null
      if (generation.isLost && !generation.next) return null
      if (!generation.descriptor && !reopen(this.#disk, this.path, generation)) {
        generation.isLost = true
        continue
      }
      const chunk = await generation.chunk(position.offset, position.check)
      if (chunk === 'changed') this.#changed(generation, position.offset)
      if (chunk === null && !generation.isLost) return null
      if (chunk === null || chunk === 'changed') continue
      position.generation = chunk.generation
      position.offset = chunk.offset
      position.check = chunk.check
      if (chunk.text === '') continue
      const { dropped } = position
      position.dropped = null
      const cursor = chunk.generation.cursor(chunk.offset, chunk.check)
      return dropped === null ? { text: chunk.text, cursor } : { text: chunk.text, cursor, dropped }
    }
  }

  /** Moves a position out of generations that have no more for it, and gives the one that it is in. */
  settle(position: Position): Generation | null {
    let generation = position.generation
    while (generation?.next) {
      if (!generation.isLost) {
        if (position.offset < generation.size || !generation.next.hasContent()) break
        generation.refresh() // a writer may go on in the old file until he is told to reopen
        if (!generation.isLost && position.offset < generation.size) break
      }
      if (generation.isLost)
        position.dropped = (position.dropped ?? 0) + Math.max(0, generation.size - position.offset)
      generation = generation.next
      if (generation.isAfterGap) position.dropped ??= 0
      position.generation = generation
      position.offset = 0
      position.check = null
      this.#prune()
    }
    return generation
  }

  /** Opens the rotated file before the oldest of the chain. */
  older(): Generation | null {
    return this.#prepend(() => true)
  }

  /** The generation of a cursor, in the chain or among the rotated files. */
  find({ generation: { dev, ino, truncations } }: Cursor): Generation | null {
    const same = this.#generations.filter((generation) => generation.isSameFile({ dev, ino }))
    const exact = same.find((generation) => generation.truncations === truncations)
    return exact ?? same.at(-1) ?? this.#prepend((stat) => stat.dev === dev && stat.ino === ino)
  }

  close(): void {
    this.#isClosed = true
    for (const generation of this.#generations) generation.release()
    this.#generations = []
  }

  #lstat(): BigIntStats | undefined {
    try {
      return lstatSync(this.path, { bigint: true, throwIfNoEntry: false })
    } catch (error) {
      throw toUnavailable(this.path, error)
    }
  }

  #begin(): boolean {
    try {
      this.#generations = [openGeneration(this.#disk, this.path)]
    } catch (error) {
      if (isNotThereYet(error)) return false
      throw error
    }
    for (const position of this.#positions) position.generation ??= this.current
    return true
  }

  #rotate(current: Generation): boolean {
    const successors = openSuccessors(this.#disk, this.path, current)
    if (!successors) return false
    for (const generation of successors) this.#append(generation)
    this.#prune()
    this.#bound()
    return true
  }

  #append(generation: Generation): void {
    if (this.current) this.current.next = generation
    this.#generations.push(generation)
  }

  /** A reader met other bytes than before. Unless the file is now shorter, what is known of its end is his place. */
  #changed(generation: Generation, offset: number): void {
    if (generation.isLost) return
    const size = Number(generation.descriptor?.stat().size ?? 0)
    if (generation === this.current) this.#append(generation.truncated())
    else generation.isLost = true
    if (size >= generation.size) generation.size = offset
  }

  #prepend(wanted: (stat: BigIntStats) => boolean): Generation | null {
    const older = openOlder(this.#disk, this.path, { known: this.#generations, wanted })
    this.#generations.unshift(...older)
    for (const [index, generation] of older.entries()) generation.next = this.#generations[index + 1] ?? null
    this.#bound()
    return older[0] ?? null
  }

  /** Closes the generations before the first that a position needs; the current one always stays. */
  #prune(): void {
    const needed = new Set([...this.#positions].map((position) => position.generation))
    while (this.#generations.length > 1) {
      const [oldest] = this.#generations
      if (!oldest || needed.has(oldest)) return
      oldest.release()
      this.#generations.shift()
    }
  }

  #bound(): void {
    let bytes = 0
    for (const [age, generation] of this.#generations.slice(0, -1).toReversed().entries()) {
      bytes += generation.size
      if (age === 0 || !generation.descriptor || (age < HELD_FILES && bytes <= HELD_BYTES)) continue
      generation.refresh()
      generation.release()
    }
  }
}
