// Numbered records on disk, one JSON text a line, in files that are only appended to and named by their first number.
// A record is with the kernel when `append` returns, so that it outlives the process; `flush` waits for the disk. How old
// a file is stands in the names: those of the file system go by a clock that can be set.
import {
  closeSync,
  constants,
  fdatasync,
  fdatasyncSync,
  fstatSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readSync,
  rmSync,
  statSync,
  unlinkSync,
  writeSync,
} from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { linesOf, type RecordFile, readWhole, recordFileName, recordFilesOf } from './record-lines.ts'

const syncLater = promisify(fdatasync)
const LINE_END = 0x0a
const BLOCK_BYTES = 64 * 1024

export interface RecordFilesOptions {
  /** Made with mode 0700 where it is missing. */
  folder: string
  /** Time for the ages of files; see `SteadyClock`. */
  now: () => number
  /** The number of a record by the beginning of its line, null when that does not show: finds it without reading all. */
  numberOf?: (head: string) => number | null
  /** A file that has grown over it is followed by a new one. */
  fileBytes: number
  /** The oldest files go while all of them hold more. */
  totalBytes: number
  /** Files last written longer ago go; a file is written for an eighth of that at most. */
  keepMs: number
  /** Files last written since then stay, whatever all of them hold. */
  spareMs?: number
  /** Told before the oldest files go: the number of the first record that stays. */
  onRetain?: (first: number) => void
}

export class RecordFiles {
  /** Bytes of a torn last line that were cut off when it was opened: a write that a crash interrupted. */
  readonly cutBytes: number
  readonly #options: RecordFilesOptions
  #files: RecordFile[]
  #fd: number | null = null
  #size = 0
  #syncing: Promise<void> | null = null
  #following: Promise<void> | null = null

  /** Opens what is there. @throws what the file system says */
  constructor(options: RecordFilesOptions) {
    this.#options = options
    mkdirSync(options.folder, { recursive: true, mode: 0o700 })
    this.#files = recordFilesOf(options.folder)
    let cut = 0
    for (let last = this.#files.at(-1); last; last = this.#files.at(-1)) {
      cut += this.#continue(last)
      if (this.#size > 0) break
      this.close() // begun and never written
      unlinkSync(last.path)
      this.#files.pop()
    }
    this.cutBytes = cut
  }

  /** Number of the oldest record that is kept; null when there is none. */
  get first(): number | null {
    const [oldest] = this.#files
    return oldest?.first ?? null
  }

  /**
   * Adds a record; its text has no line end. After an error nothing of it is in the file.
   * @throws what the file system says, such as ENOSPC
   */
  append(number: number, text: string): void {
    this.#makeRoom(number)
    const fd = this.#fd ?? this.#begin(number)
    const bytes = Buffer.from(`${text}\n`)
    let done = 0
    try {
      while (done < bytes.length) done += writeSync(fd, bytes, done)
    } catch (error) {
      if (done > 0) ftruncateSync(fd, this.#size)
      throw error
    }
    this.#size += bytes.length
  }

  /** Waits until the disk has all records. */
  flush(): void {
    if (this.#fd !== null) fdatasyncSync(this.#fd)
  }

  /**
   * Waits until the disk has what was appended up to now, and holds up nothing else. Calls at the same time share a
   * wait.
   */
  synced(): Promise<void> {
    // one that is under way may have begun before the last record
    this.#syncing ??= Promise.resolve()
    this.#following ??= this.#syncing
      .catch(() => undefined)
      .then(() => {
        this.#following = null
        const syncing = this.#fd === null ? Promise.resolve() : syncLater(this.#fd)
        this.#syncing = syncing
        return syncing
      })
    return this.#following
  }

  /** The texts of the newest file, oldest first; empty when nothing is kept. */
  newest(): string[] {
    const file = this.#files.at(-1)
    return file ? readWhole(file.path) : []
  }

  /** What all of them hold. */
  get totalBytes(): number {
    return this.#files.reduce((sum, { path }) => sum + sizeOf(path), 0)
  }

  /** The texts of the oldest file, for what is still wanted of it to be added again; null while it is the newest too. */
  oldest(): string[] | null {
    const [file, next] = this.#files
    return file && next ? readWhole(file.path) : null
  }

  /** Removes the oldest file, but never the newest. */
  dropOldest(): void {
    const [file, next] = this.#files
    if (!file || !next) return
    this.#options.onRetain?.(next.first)
    this.#files.shift()
    rmSync(file.path, { force: true })
  }

  /**
   * Whole records, oldest first, as of now and later: from the file that holds `from` on, or, with `numberOf`, from
   * nearby. Where a file was removed meanwhile it goes on with the next one.
   * @throws the signal's reason when it aborts
   */
  async *read(from: number, signal?: AbortSignal): AsyncGenerator<string> {
    const { numberOf } = this.#options
    const isBefore = numberOf && ((head: string) => (numberOf(head) ?? from) < from)
    const following = ({ first }: RecordFile) => this.#files.find((other) => other.first > first)
    let file = this.#files.findLast(({ first }) => first <= from) ?? this.#files[0]
    while (file) {
      const current = file
      const isComplete = () => following(current) !== undefined
      const isEnd = yield* linesOf(current.path, { signal, isBefore, isComplete })
      if (!isEnd) return
      file = following(current)
    }
  }

  /** Removes the files that are too old or too many, but never the newest. @returns whether any went */
  retain(): boolean {
    const { now, totalBytes, keepMs, spareMs = -Infinity, onRetain } = this.#options
    const nowMs = now()
    const sizes = this.#files.map(({ path }) => sizeOf(path))
    let total = sizes.reduce((sum, size) => sum + size, 0)
    let count = 0
    for (const [index, next] of this.#files.slice(1).entries()) {
      const ageMs = nowMs - next.begunMs
      if (ageMs <= keepMs && (total <= totalBytes || ageMs < spareMs)) break
      count++
      total -= sizes[index] ?? 0
    }
    const stays = this.#files[count]
    if (count === 0 || !stays) return false
    onRetain?.(stays.first)
    for (const { path } of this.#files.splice(0, count)) rmSync(path, { force: true })
    return true
  }

  /** Removes everything. */
  clear(): void {
    this.close()
    for (const { path } of this.#files) rmSync(path, { force: true })
    this.#files = []
    this.#size = 0
  }

  close(): void {
    if (this.#fd !== null) this.#closeLater(this.#fd)
    this.#fd = null
  }

  #makeRoom(next: number): void {
    const { fileBytes, keepMs, now } = this.#options
    // by age too, so that a quiet host lets old records go
    const isOld = this.#size > 0 && now() - (this.#files.at(-1)?.begunMs ?? 0) > keepMs / 8
    if (this.#fd === null || (this.#size < fileBytes && !isOld)) return
    const old = this.#fd
    if (this.#syncing) fdatasyncSync(old) // whoever waits for the disk from now on waits for the new file
    this.#begin(next)
    this.#closeLater(old)
    this.retain()
  }

  /** A number that is in use must not be given to another file. */
  #closeLater(fd: number): void {
    if (!this.#syncing) return closeSync(fd)
    const close = () => closeSync(fd)
    this.#syncing.then(close, close)
  }

  #begin(first: number): number {
    const { folder, now } = this.#options
    const begunMs = Math.max(0, Math.floor(now()))
    const path = join(folder, recordFileName({ first, begunMs }))
    const { O_APPEND, O_CREAT, O_EXCL, O_NOFOLLOW, O_RDWR } = constants
    this.#fd = openSync(path, O_APPEND | O_CREAT | O_EXCL | O_NOFOLLOW | O_RDWR, 0o600)
    this.#files.push({ path, first, begunMs })
    this.#size = 0
    return this.#fd
  }

  /** @returns the bytes cut off */
  #continue({ path }: RecordFile): number {
    const fd = openSync(path, constants.O_APPEND | constants.O_NOFOLLOW | constants.O_RDWR)
    const { size } = fstatSync(fd)
    this.#fd = fd
    this.#size = endOfLines(fd, size)
    if (this.#size < size) ftruncateSync(fd, this.#size)
    return size - this.#size
  }
}

/** Zero when somebody removed it: that must not keep others from being removed, or records from being written. */
function sizeOf(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.size ?? 0
}

/** Where the last line end of a file is passed. */
function endOfLines(fd: number, size: number): number {
  const block = Buffer.alloc(BLOCK_BYTES)
  for (let to = size; to > 0; to -= BLOCK_BYTES) {
    const from = Math.max(0, to - BLOCK_BYTES)
    const length = readSync(fd, block, 0, to - from, from)
    const at = block.subarray(0, length).lastIndexOf(LINE_END)
    if (at >= 0) return from + at + 1
  }
  return 0
}
