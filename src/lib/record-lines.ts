// Reading of record files, also of those that another process writes meanwhile: nothing is opened for writing here.
import { closeSync, constants, fstatSync, openSync, readdirSync, readSync } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import { join } from 'node:path'

const NAME = /^(\d{16})-(\d+)\.jsonl$/
const LINE_END = 0x0a
const BLOCK_BYTES = 64 * 1024
/** So much of a line is looked at to find its number. */
const HEAD_BYTES = 128

export interface RecordFile {
  path: string
  /** Number of its first record. */
  first: number
  /** When it was begun, by the clock of whoever writes it. All before it was written earlier. */
  begunMs: number
}

export interface LineOptions {
  /** Looked at before each block; a reading that it ends throws its reason. */
  signal?: AbortSignal | undefined
  /** True when the line that begins so, and with it all before it, need not come. */
  isBefore?: ((head: string) => boolean) | undefined
  /** True when nothing is added to the file any more. */
  isComplete?: () => boolean
}

/** The record files of a folder, oldest first. @throws what the file system says, such as ENOENT */
export function recordFilesOf(folder: string): RecordFile[] {
  return readdirSync(folder)
    .flatMap((name) => {
      const [, first, begunMs] = NAME.exec(name) ?? []
      return first === undefined
        ? []
        : [{ path: join(folder, name), first: Number(first), begunMs: Number(begunMs) }]
    })
    .toSorted((a, b) => a.first - b.first)
}

export function recordFileName({ first, begunMs }: Omit<RecordFile, 'path'>): string {
  return `${String(first).padStart(16, '0')}-${begunMs}.jsonl`
}

/** The lines of a file that no line is missing from. */
export function readWhole(path: string): string[] {
  const fd = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW)
  try {
    const bytes = Buffer.alloc(fstatSync(fd).size)
    const length = readSync(fd, bytes)
    return bytes.toString('utf8', 0, length).split('\n').slice(0, -1)
  } finally {
    closeSync(fd)
  }
}

/**
 * Whole lines up to the present end; a line that is being written is not there yet.
 * @returns whether that was the end for good, which a file that was removed meanwhile has too
 */
export async function* linesOf(path: string, options: LineOptions = {}): AsyncGenerator<string, boolean> {
  const { signal, isBefore, isComplete } = options
  const file = await openOrNothing(path)
  if (!file) return true
  try {
    const block = Buffer.alloc(BLOCK_BYTES)
    let at = isBefore ? await startOf(file, { block, isBefore, signal }) : 0
    let rest = Buffer.alloc(0)
    for (;;) {
      signal?.throwIfAborted()
      // asked first: what is added after the look must not be passed over
      const isEnd = isComplete?.() ?? true
      const { bytesRead } = await file.read(block, 0, block.length, at)
      if (bytesRead === 0) return isEnd
      at += bytesRead
      const bytes = Buffer.concat([rest, block.subarray(0, bytesRead)])
      let from = 0
      for (let end = bytes.indexOf(LINE_END); end >= 0; end = bytes.indexOf(LINE_END, from)) {
        yield bytes.toString('utf8', from, end)
        from = end + 1
      }
      rest = bytes.subarray(from)
    }
  } finally {
    await file.close()
  }
}

/** Where a line begins that lies near the first one that must come, or is it; found by halving. */
async function startOf(
  file: FileHandle,
  { block, isBefore, signal }: Required<Pick<LineOptions, 'isBefore' | 'signal'>> & { block: Buffer },
): Promise<number> {
  let from = 0
  let to = (await file.stat()).size
  while (to - from > block.length) {
    signal?.throwIfAborted()
    const middle = from + Math.floor((to - from) / 2)
    const { bytesRead } = await file.read(block, 0, block.length, middle)
    const start = block.subarray(0, bytesRead).indexOf(LINE_END) + 1
    const head = block.toString('latin1', start, Math.min(start + HEAD_BYTES, bytesRead))
    if (start > 0 && isBefore?.(head)) from = middle + start
    else to = middle
  }
  return from
}

/** Null when it was removed meanwhile. */
async function openOrNothing(path: string): Promise<FileHandle | null> {
  try {
    return await open(path, constants.O_RDONLY | constants.O_NOFOLLOW)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null
    throw error
  }
}
