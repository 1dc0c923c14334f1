// Crontabs as they lie in the spool of cron: `crontab -l` of Debian's cron leaves lines away and changes bytes.
import { type BigIntStats, constants, existsSync, lstatSync } from 'node:fs'
import { open, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { userProblem } from './entry-text.ts'

/** Debian and its kin, SUSE, Red Hat; the last is the parent of the others. */
const FOLDERS = ['/var/spool/cron/crontabs', '/var/spool/cron/tabs', '/var/spool/cron']
/** Far above what both daemons take. */
const BYTES_MAX = 32 * 1024 * 1024

/** A user's crontab at one moment. */
export interface CrontabFile {
  bytes: Buffer
  mtimeMs: number
  /** Another one after each write: that is a rename, and an inode's number may come back. */
  version: string
}

export class CrontabFiles {
  readonly #folders: readonly string[]

  constructor(options: { folders?: readonly string[] } = {}) {
    this.#folders = options.folders ?? FOLDERS
  }

  /** Where crontabs lie here. */
  get folder(): string {
    return this.#folders.find((folder) => existsSync(folder)) ?? this.#folders[0] ?? ''
  }

  /** Null when that user has none. @throws what the file system says, or when it is no plain file */
  async read(user: string): Promise<CrontabFile | null> {
    if (userProblem(user) !== null) return null
    const path = join(this.folder, user)
    const { O_RDONLY, O_NOFOLLOW, O_NONBLOCK } = constants
    const file = await open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK).catch((error: unknown) => {
      if (isMissing(error)) return null
      throw error
    })
    if (file === null) return null
    try {
      const stat = await file.stat({ bigint: true })
      if (!stat.isFile()) throw new Error(`${path} is no plain file`)
      if (stat.size > BYTES_MAX) throw new Error(`${path} is larger than ${BYTES_MAX} bytes`)
      return {
        bytes: await file.readFile(),
        mtimeMs: Number(stat.mtimeNs / 1000n) / 1000,
        version: versionOf(stat),
      }
    } finally {
      await file.close()
    }
  }

  /** Whether that user's crontab is the one that was read, told at once: nothing else of ours comes between. */
  isStill(user: string, file: CrontabFile | null): boolean {
    const stat = lstatSync(join(this.folder, user), { bigint: true, throwIfNoEntry: false })
    return (stat ? versionOf(stat) : null) === (file?.version ?? null)
  }

  /** Everybody who has one, by name. */
  async users(): Promise<string[]> {
    const entries = await readdir(this.folder, { withFileTypes: true }).catch((error: unknown) => {
      if (isMissing(error)) return []
      throw error
    })
    // files in the making are called tmp.XXXXXX
    return entries
      .flatMap((entry) => (entry.isFile() && userProblem(entry.name) === null ? [entry.name] : []))
      .filter((name) => !name.startsWith('tmp.'))
      .toSorted()
  }
}

function versionOf({ ino, size, mtimeNs, ctimeNs }: BigIntStats): string {
  return [ino, size, mtimeNs, ctimeNs].join(':')
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ENOENT'
}
