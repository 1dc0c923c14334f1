// Reading of record files, also of those that another process writes meanwhile: nothing is opened for writing here.
import { closeSync, constants, fstatSync, openSync, readdirSync, readSync } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import { join } from 'node:path'

const NAME = /^(\d{16})\.jsonl$/
const LINE_END = 0x0a
const BLOCK_BYTES = 64 * 1024

export interface RecordFile {
  path: string
  /** Number of its first record. */
  first: number
}

/** The record files of a folder, oldest first. @throws what the file system says, such as ENOENT */
export function recordFilesOf(folder: string): RecordFile[] {
  return readdirSync(folder)
    .flatMap((name) => {
      const number = NAME.exec(name)?.[1]
      return number === undefined ? [] : [{ path: join(folder, name), first: Number(number) }]
    })
    .toSorted((a, b) => a.first - b.first)
}

export function recordFileName(first: number): string {
  return `${String(first).padStart(16, '0')}.jsonl`
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

/** Whole lines up to the present end; a line that is being written is not there yet. */
export async function* linesOf(path: string): AsyncGenerator<string> {
  const file = await openOrNothing(path)
  if (!file) return
  try {
    let rest = Buffer.alloc(0)
    const block = Buffer.alloc(BLOCK_BYTES)
    for (;;) {
      const { bytesRead } = await file.read(block, 0, block.length)
      if (bytesRead === 0) return
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

/** Null when it was removed meanwhile. */
async function openOrNothing(path: string): Promise<FileHandle | null> {
  try {
    return await open(path, constants.O_RDONLY | constants.O_NOFOLLOW)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null
    throw error
  }
}
