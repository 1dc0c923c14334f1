// What of a change is kept: the file as it is from then on, and before it what others had made of it, so that nothing
// that was written over is lost.
import type { Intent } from './intent.ts'
import { isOurs } from './program-files.ts'
import { revisionOf } from './render.ts'
import type { RevisionStore } from './revisions.ts'

/** Safe to repeat. */
export async function keepRevisions(revisions: RevisionStore, intent: Intent): Promise<void> {
  const { program, kept, files, at } = intent
  const known = await revisions.list(program)
  for (const { path, before } of files) {
    if (before === null || !isOurs(path, program)) continue
    const revision = revisionOf(before)
    if (revision !== kept?.revision && !known.some((one) => one.revision === revision))
      await revisions.add(program, { revision, at, text: before })
  }
  if (kept !== null && known.at(-1)?.at !== kept.at) await revisions.add(program, kept)
}

/** Of a change that does not stand. */
export async function unkeepRevisions(revisions: RevisionStore, { program, kept }: Intent): Promise<void> {
  if (kept !== null) await revisions.drop(program, kept)
}
