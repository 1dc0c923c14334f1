// One user's folder of the spool. Root reads and removes here what that user made: every name is taken through the open
// folder, none is followed elsewhere, and what was opened is judged before it is read.
import {
  closeSync,
  constants,
  fchmodSync,
  fchownSync,
  fstatSync,
  lstatSync,
  mkdirSync,
  opendirSync,
  openSync,
  readSync,
  renameSync,
  rmdirSync,
  statfsSync,
  unlinkSync,
} from 'node:fs'
import { basename, dirname, join } from 'node:path'

/** Why a file of a spool is not read. */
export type SpoolRefusal =
  | 'symbolic-link'
  | 'not-regular'
  | 'hard-link'
  | 'foreign-owner'
  | 'too-large'
  | 'unreadable'
  | 'malformed'
  | 'foreign-name'
  | 'foreign-entry'

export type SpoolFile =
  | { kind: 'file'; bytes: Buffer; mtimeMs: number }
  | { kind: 'gone' }
  | { kind: 'refused'; why: SpoolRefusal }

interface Owner {
  uid: number
}

const { O_RDONLY, O_DIRECTORY, O_NOFOLLOW, O_NONBLOCK, O_NOCTTY } = constants

export class SpoolFolder {
  readonly path: string
  readonly #fd: number
  readonly #uid: number

  private constructor(path: string, fd: number, uid: number) {
    this.path = path
    this.#fd = fd
    this.#uid = uid
  }

  /**
   * Opens a user's folder, and makes it where it is missing.
   * @throws when it cannot, or when it is not that user's own folder
   */
  static open(path: string, { uid }: Owner): SpoolFolder {
    makeFolder(path, uid)
    const fd = openFolder(path)
    try {
      const stat = fstatSync(fd)
      if (stat.uid !== uid) throw new Error(`${path} belongs to uid ${stat.uid} and not to ${uid}`)
    } catch (error) {
      closeSync(fd)
      throw error
    }
    return new SpoolFolder(path, fd, uid)
  }

  /** The folder itself, whatever its name stands for by now. */
  get selfPath(): string {
    return `/proc/self/fd/${this.#fd}`
  }

  /** False when its name stands for another folder, or for none. */
  isInPlace(): boolean {
    const stat = lstatSync(this.path, { throwIfNoEntry: false })
    const { dev, ino } = fstatSync(this.#fd)
    return stat?.dev === dev && stat.ino === ino
  }

  /** Whether its disk takes nothing more of a user. */
  isFull(): boolean {
    return statfsSync(this.selfPath).bavail === 0
  }

  /** Names in it, in no order, as many at most. */
  names(most: number): string[] {
    const names: string[] = []
    const folder = opendirSync(this.selfPath)
    try {
      for (let entry = folder.readSync(); entry && names.length < most; entry = folder.readSync())
        names.push(entry.name)
    } finally {
      folder.closeSync()
    }
    return names
  }

  /** Reads a regular file of its user with no other name. */
  read(name: string, mostBytes: number): SpoolFile {
    let fd: number
    try {
      // NONBLOCK: neither a pipe nor a lease on the file may hold us
      fd = openSync(this.#at(name), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY)
    } catch (error) {
      return notOpened(error)
    }
    try {
      const stat = fstatSync(fd)
      if (!stat.isFile()) return { kind: 'refused', why: 'not-regular' }
      if (stat.uid !== this.#uid) return { kind: 'refused', why: 'foreign-owner' }
      if (stat.nlink !== 1) return stat.nlink === 0 ? { kind: 'gone' } : { kind: 'refused', why: 'hard-link' }
      if (stat.size > mostBytes) return { kind: 'refused', why: 'too-large' }
      const bytes = Buffer.alloc(stat.size)
      const length = readSync(fd, bytes, 0, stat.size, 0)
      return { kind: 'file', bytes: bytes.subarray(0, length), mtimeMs: stat.mtimeMs }
    } catch {
      return { kind: 'refused', why: 'unreadable' }
    } finally {
      closeSync(fd)
    }
  }

  /** Takes a name away, not what it may point to. @returns false when it stays, as a folder with something in it does */
  remove(name: string): boolean {
    try {
      unlinkSync(this.#at(name))
      return true
    } catch (error) {
      if (codeOf(error) === 'ENOENT') return true
      if (codeOf(error) !== 'EISDIR' && codeOf(error) !== 'EPERM') return false
    }
    try {
      rmdirSync(this.#at(name))
      return true
    } catch {
      return false
    }
  }

  close(): void {
    closeSync(this.#fd)
  }

  #at(name: string): string {
    return join(this.selfPath, name)
  }
}

/**
 * Makes a user's folder, whole from its first moment: nothing that is there already is ever given to anybody. The
 * agent's own group may write in it, so that root needs no right over the files of others to take records away.
 */
function makeFolder(path: string, uid: number): void {
  if (lstatSync(path, { throwIfNoEntry: false })) return
  const draft = join(dirname(path), `.${basename(path)}.new`)
  try {
    mkdirSync(draft, { mode: 0o700 })
  } catch (error) {
    if (codeOf(error) !== 'EEXIST') throw error // of an agent that was killed
  }
  const fd = openFolder(draft)
  try {
    fchmodSync(fd, 0o770) // the umask must not narrow it
    fchownSync(fd, uid, process.getgid?.() ?? 0)
  } finally {
    closeSync(fd)
  }
  renameSync(draft, path)
}

function openFolder(path: string): number {
  return openSync(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_NONBLOCK)
}

/** EAGAIN: somebody has a lease on it; it is there next time, or is not. */
const GONE = new Set(['ENOENT', 'EAGAIN'])
const REFUSALS = new Map<string, SpoolRefusal>([
  ['ELOOP', 'symbolic-link'],
  ['ENXIO', 'not-regular'],
])

function notOpened(error: unknown): SpoolFile {
  const code = codeOf(error) ?? ''
  return GONE.has(code) ? { kind: 'gone' } : { kind: 'refused', why: REFUSALS.get(code) ?? 'unreadable' }
}

function codeOf(error: unknown): string | undefined {
  return (error as NodeJS.ErrnoException).code
}
