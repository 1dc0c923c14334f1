// What a change of a program is about to do, on disk before it is begun. Whoever starts after an end in the middle of
// it finds what is to be undone.
import { mkdir, readdir, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import * as z from 'zod'
import { writeFileAtomic } from '../../lib/atomic-file.ts'
import { Instant } from '../../protocol/names.ts'
import { readOwnFile } from '../host/own-file.ts'
import { KeptRevision } from './revisions.ts'
import { writing } from './writing.ts'

const FileChange = z.object({
  path: z.string(),
  before: z.string().nullable(),
  after: z.string().nullable(),
  runs: z.string().exactOptional(),
  mode: z.int(),
  owner: z.object({ uid: z.int(), gid: z.int() }).exactOptional(),
})

/**
 * One step with a running group. Each can be taken back: `add` by removing the group, `remove` by adding it with those
 * up that `ran`, `replace` by replacing it once more with those up that it `had`, `start` and `stop` by each other.
 */
const GroupStep = z.discriminatedUnion('do', [
  z.object({ do: z.literal('add'), group: z.string() }),
  z.object({ do: z.literal('remove'), group: z.string(), ran: z.array(z.string()) }),
  z.object({
    do: z.literal('replace'),
    group: z.string(),
    ran: z.array(z.string()),
    /** Absent in what an agent of before noted: then those that ran. */
    had: z.array(z.string()).exactOptional(),
  }),
  z.object({ do: z.literal('start'), process: z.string() }),
  z.object({ do: z.literal('stop'), process: z.string() }),
])
export type GroupStep = z.infer<typeof GroupStep>

const Intent = z.object({
  program: z.string(),
  action: z.string(),
  /** Who asked for it; null when nobody did. */
  actor: z.string().nullable(),
  at: Instant,
  files: z.array(FileChange),
  steps: z.array(GroupStep),
  /** What the program is from then on; null when it goes. */
  kept: KeptRevision.nullable(),
  /** How many of the steps may have been begun. */
  begun: z.int(),
  /** True once the change is done and verified: it is not undone any more. */
  done: z.boolean(),
})
export type Intent = z.infer<typeof Intent>

/** A step that was taken, in words. */
export function textOf(step: GroupStep): string {
  switch (step.do) {
    case 'add':
      return `added the group ${step.group}`
    case 'remove':
      return `removed the group ${step.group}`
    case 'replace':
      return `restarted the group ${step.group}`
    case 'start':
      return `started ${step.process}`
    case 'stop':
      return `stopped ${step.process}`
  }
}

/** Intents by program, one file each in a folder of their own. */
export class IntentStore {
  readonly #folder: string

  constructor(folder: string) {
    this.#folder = folder
  }

  async write(intent: Intent): Promise<void> {
    await writing(this.#path(intent.program), async (path) => {
      await mkdir(this.#folder, { recursive: true, mode: 0o700 })
      await writeFileAtomic(path, JSON.stringify(intent))
    })
  }

  async delete(program: string): Promise<void> {
    await unlink(this.#path(program)).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOENT') throw error
    })
  }

  /** What was begun with a program and not ended; null for nothing. @throws {OwnFileError} */
  async get(program: string): Promise<Intent | null> {
    return await readOwnFile(this.#path(program), Intent, {
      what: `note of the change of ${program} that was not ended`,
      cure: 'put the files of the program right by hand, then move it away',
    })
  }

  /** The programs with which something was begun and not ended, also by an agent that was killed. */
  async pending(): Promise<string[]> {
    const names = await readdir(this.#folder).catch(() => [])
    return names.flatMap((name) => (name.endsWith('.json') ? [name.slice(0, -'.json'.length)] : []))
  }

  /** Deletes what an agent that was killed left of a write; to be called while nothing is being written. */
  async sweep(): Promise<void> {
    for (const name of await readdir(this.#folder).catch(() => []))
      if (name.endsWith('.tmp')) await unlink(join(this.#folder, name))
  }

  #path(program: string): string {
    return join(this.#folder, `${program}.json`)
  }
}
