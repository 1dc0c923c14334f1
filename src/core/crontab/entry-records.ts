// What the agent knows of its entries beyond their lines: names, presets, environment, and the block as it wrote it last.
import { mkdir, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import * as z from 'zod'
import { writeFileAtomic } from '../../lib/atomic-file.ts'
import { EntryId } from '../../protocol/entry.ts'
import { readOwnFile } from '../host/own-file.ts'

const KeptEntry = z.strictObject({
  id: EntryId,
  name: z.string(),
  schedule: z.string(),
  command: z.string(),
  env: z.record(z.string(), z.string()).optional(),
  enabled: z.boolean(),
  noOverlap: z.boolean().optional(),
  timeoutMs: z.int().optional(),
  splayMs: z.int().optional(),
  preset: z.string().optional(),
  options: z.record(z.string(), z.unknown()).optional(),
  /** The line that it was imported from, as latin-1. */
  original: z.string().optional(),
  /** Its command as it was judged then: with the full path of what it runs. */
  importedCommand: z.string().optional(),
})
export type KeptEntry = z.infer<typeof KeptEntry>
export const KeptEntries = z.array(KeptEntry)

const UserRecord = z.strictObject({
  version: z.literal(1),
  user: z.string(),
  uid: z.int(),
  /** The lines in the block as they were written last, as latin-1. */
  lines: z.string(),
  entries: KeptEntries,
})
/** One user's part. */
export type UserRecord = z.infer<typeof UserRecord>

/** What is known of an entry; null when it is nothing. */
export function knownEntry(record: UserRecord | undefined, id: string | null): KeptEntry | null {
  return record?.entries.find((entry) => entry.id === id) ?? null
}

const WORDS = {
  what: 'file of the crontab entries of a user',
  cure: 'mend it, or move it away: of those entries only what their lines say is then known',
}

/** One file a user, all of them in memory too: whose an entry is is asked for each result of a run. */
export class EntryRecords {
  readonly #folder: string
  readonly #users = new Map<string, UserRecord>()
  readonly #owners = new Map<string, string>()

  constructor(folder: string) {
    this.#folder = folder
  }

  /** Reads what is there. @throws {OwnFileError} for a file that is not ours */
  async start(): Promise<void> {
    await mkdir(this.#folder, { recursive: true, mode: 0o700 })
    for (const name of await readdir(this.#folder)) {
      if (!name.endsWith('.json') || name.startsWith('.')) continue
      const record = await readOwnFile(join(this.#folder, name), UserRecord, WORDS)
      if (record !== null) this.#learn(record)
    }
  }

  /** Users with entries, by name. */
  get users(): string[] {
    return [...this.#users.keys()].toSorted()
  }

  get count(): number {
    return this.#owners.size
  }

  of(user: string): UserRecord | undefined {
    return this.#users.get(user)
  }

  /** Whose entry that is. */
  ownerOf(id: string): string | undefined {
    return this.#owners.get(id)
  }

  entry(id: string): KeptEntry | undefined {
    const owner = this.#owners.get(id)
    return owner === undefined ? undefined : this.#users.get(owner)?.entries.find((one) => one.id === id)
  }

  async save(record: UserRecord): Promise<void> {
    await writeFileAtomic(join(this.#folder, `${record.user}.json`), JSON.stringify(record))
    this.#learn(record)
  }

  #learn(record: UserRecord): void {
    const { user, entries } = record
    for (const [id, owner] of this.#owners) if (owner === user) this.#owners.delete(id)
    for (const { id } of entries) this.#owners.set(id, user)
    this.#users.set(user, record)
  }
}
