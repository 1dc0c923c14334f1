import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import * as z from 'zod'
import { writeFileAtomic } from '../../lib/atomic-file.ts'
import { Definition } from '../../protocol/definition.ts'
import { Instant } from '../../protocol/names.ts'
import { Revision } from '../../protocol/program.ts'
import { readOwnFile } from '../host/own-file.ts'
import { writing } from './writing.ts'

/** Revisions of a program that are kept; a deleted program keeps its own. */
const KEPT = 20
/** Log files of a program that are remembered. */
const LOGS_KEPT = 500

/** A file that a program had, with what was asked for when it was written. */
export const KeptRevision = z.object({
  revision: Revision,
  at: Instant,
  actor: z.string().exactOptional(),
  method: z.string().exactOptional(),
  /** The whole file. */
  text: z.string(),
  /** What was asked for; absent where the file was written by hand and taken over. */
  definition: Definition.exactOptional(),
})
export type KeptRevision = z.infer<typeof KeptRevision>

const File = z.object({
  version: z.literal(1),
  revisions: z.array(KeptRevision),
  /** Log files that were given to it, also by a change that was undone: they stay on the disk. */
  logs: z.array(z.string()).default([]),
})
type File = z.infer<typeof File>

/** The files that each program had, newest last; one file a program. */
export class RevisionStore {
  readonly #folder: string

  constructor(folder: string) {
    this.#folder = folder
  }

  /** Newest last; empty for a program that never had one. @throws {OwnFileError} as all others here */
  async list(program: string): Promise<KeptRevision[]> {
    return (await this.#read(program)).revisions
  }

  /** The log files that it was given, by the real paths of their folders. */
  async logs(program: string): Promise<string[]> {
    return (await this.#read(program)).logs
  }

  /** Remembers that log files are the program's own; the oldest ones are forgotten. */
  async addLogs(program: string, paths: readonly string[]): Promise<void> {
    const { revisions, logs } = await this.#read(program)
    if (paths.every((path) => logs.includes(path))) return
    const others = logs.filter((path) => !paths.includes(path))
    await this.#write(program, { revisions, logs: [...others, ...paths] })
  }

  /** What is known of a revision; the newest of several with the same content. */
  async find(program: string, revision: string): Promise<KeptRevision | undefined> {
    return (await this.list(program)).findLast((kept) => kept.revision === revision)
  }

  /** Keeps a revision as the newest; the oldest ones go. */
  async add(program: string, revision: KeptRevision): Promise<void> {
    const { revisions, logs } = await this.#read(program)
    await this.#write(program, { revisions: [...revisions, revision], logs })
  }

  /** Takes back what was kept for a change that does not stand. */
  async drop(program: string, { at, revision }: KeptRevision): Promise<void> {
    const { revisions: before, logs } = await this.#read(program)
    const revisions = before.filter((kept) => kept.at !== at || kept.revision !== revision)
    if (revisions.length < before.length) await this.#write(program, { revisions, logs })
  }

  async #read(program: string): Promise<Omit<File, 'version'>> {
    const words = {
      what: `file of revisions of ${program}`,
      cure: 'mend it, or move it away: the program goes on without its earlier revisions',
    }
    return (await readOwnFile(this.#path(program), File, words)) ?? { revisions: [], logs: [] }
  }

  async #write(program: string, { revisions, logs }: Omit<File, 'version'>): Promise<void> {
    await writing(this.#path(program), async (path) => {
      await mkdir(this.#folder, { recursive: true, mode: 0o700 })
      const kept = { version: 1, revisions: revisions.slice(-KEPT), logs: logs.slice(-LOGS_KEPT) }
      await writeFileAtomic(path, JSON.stringify(kept))
    })
  }

  #path(program: string): string {
    return join(this.#folder, `${program}.json`)
  }
}
