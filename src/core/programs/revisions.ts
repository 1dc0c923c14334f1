import { mkdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import * as z from 'zod'
import { writeFileAtomic } from '../../lib/atomic-file.ts'
import { Definition } from '../../protocol/definition.ts'
import { Instant } from '../../protocol/names.ts'
import { Revision } from '../../protocol/program.ts'
import { writing } from './writing.ts'

/** Revisions of a program that are kept; a deleted program keeps its own. */
const KEPT = 20

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

const File = z.object({ version: z.literal(1), revisions: z.array(KeptRevision) })

/** The files that each program had, newest last; one file a program. */
export class RevisionStore {
  readonly #folder: string

  constructor(folder: string) {
    this.#folder = folder
  }

  /** Newest last; empty for a program that never had one. */
  async list(program: string): Promise<KeptRevision[]> {
    const text = await readFile(this.#path(program), 'utf8').catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return null
      throw error
    })
    return text === null ? [] : File.parse(JSON.parse(text)).revisions
  }

  /** What is known of a revision; the newest of several with the same content. */
  async find(program: string, revision: string): Promise<KeptRevision | undefined> {
    return (await this.list(program)).findLast((kept) => kept.revision === revision)
  }

  /** Keeps a revision as the newest; the oldest ones go. */
  async add(program: string, revision: KeptRevision): Promise<void> {
    await this.#write(program, [...(await this.list(program)), revision])
  }

  /** Takes back what was kept for a change that does not stand. */
  async drop(program: string, { at, revision }: KeptRevision): Promise<void> {
    const before = await this.list(program)
    const revisions = before.filter((kept) => kept.at !== at || kept.revision !== revision)
    if (revisions.length < before.length) await this.#write(program, revisions)
  }

  async #write(program: string, revisions: readonly KeptRevision[]): Promise<void> {
    await writing(this.#path(program), async (path) => {
      await mkdir(this.#folder, { recursive: true, mode: 0o700 })
      await writeFileAtomic(path, JSON.stringify({ version: 1, revisions: revisions.slice(-KEPT) }))
    })
  }

  #path(program: string): string {
    return join(this.#folder, `${program}.json`)
  }
}
