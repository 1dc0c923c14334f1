// What each user's crontab was before the agent wrote it: as it was, byte for byte, and what the agent knew of its entries.
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { writeFileAtomic } from '../../lib/atomic-file.ts'
import { isoTime } from '../../lib/iso-time.ts'
import { OwnFileError, readOwnFile } from '../host/own-file.ts'
import { KeptEntries, type KeptEntry } from './entry-records.ts'

const KEPT = 10
const NAME = /^\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d-\d{3}Z(?:-\d{1,3})?$/

export interface Backup {
  backup: string
  /** When it was taken. */
  at: string
  sizeBytes: number
}

export class CrontabBackups {
  readonly #folder: string

  constructor(folder: string) {
    this.#folder = folder
  }

  /** Keeps a crontab as the newest, unless that is the same; the oldest ones go. */
  async add(user: string, bytes: Buffer, entries: readonly KeptEntry[]): Promise<void> {
    const folder = join(this.#folder, user)
    await mkdir(folder, { recursive: true, mode: 0o700 })
    const names = await this.#names(user)
    const last = names.at(-1)
    const known = JSON.stringify(entries)
    // a write that is refused, and tried again and again, must not drive out what was before it
    if (last !== undefined && (await this.#holds(join(folder, last), bytes, known))) return
    const name = nameAfter(last, new Date())
    await writeFileAtomic(join(folder, `${name}.json`), known)
    await writeFile(join(folder, `${name}.crontab`), bytes, { mode: 0o600, flush: true })
    for (const old of [...names, name].slice(0, -KEPT))
      for (const end of ['crontab', 'json']) await rm(join(folder, `${old}.${end}`), { force: true })
  }

  /** The newest first. */
  async list(user: string): Promise<Backup[]> {
    const names = await this.#names(user)
    const found = await Promise.all(
      names.map(async (backup) => {
        const bytes = await readFile(join(this.#folder, user, `${backup}.crontab`))
        const at = backup.replace(/T(\d\d)-(\d\d)-(\d\d)-(\d{3})Z.*/, 'T$1:$2:$3.$4Z')
        return { backup, at, sizeBytes: bytes.length }
      }),
    )
    return found.toReversed()
  }

  /** Null when there is none of that name. @throws {OwnFileError} when it was damaged */
  async read(user: string, backup: string): Promise<{ bytes: Buffer; entries: KeptEntry[] } | null> {
    if (!(await this.#names(user)).includes(backup)) return null
    const path = join(this.#folder, user, backup)
    const bytes = await readFile(`${path}.crontab`)
    const words = { what: 'entries of a backup', cure: `restore another one: agent cron backups ${user}` }
    const entries = await readOwnFile(`${path}.json`, KeptEntries, words)
    if (entries === null) throw new OwnFileError(`${path}.json`, { ...words, reason: 'it is missing' })
    return { bytes, entries }
  }

  async #holds(path: string, bytes: Buffer, known: string): Promise<boolean> {
    const read = (end: string) => readFile(`${path}.${end}`).catch(() => null)
    const [crontab, entries] = await Promise.all([read('crontab'), read('json')])
    return crontab?.equals(bytes) === true && entries?.toString() === known
  }

  async #names(user: string): Promise<string[]> {
    const names = await readdir(join(this.#folder, user)).catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return []
      throw error
    })
    return names
      .flatMap((name) => (name.endsWith('.crontab') ? [name.slice(0, -'.crontab'.length)] : []))
      .filter((name) => NAME.test(name))
      .toSorted()
  }
}

/** Names sort by time; a clock that was set back does not put a new copy among old ones. */
function nameAfter(last: string | undefined, now: Date): string {
  const name = isoTime(now.getTime()).replaceAll(/[:.]/g, '-')
  if (last === undefined || name > last) return name
  const [, base = last, count = '0'] = /^(.*Z)(?:-(\d+))?$/.exec(last) ?? []
  return `${base}-${String(Number(count) + 1).padStart(3, '0')}`
}
