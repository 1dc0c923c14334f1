import { constants } from 'node:fs'
import { open, readdir, rename, rm, unlink } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { writeFileAtomic } from '../../lib/atomic-file.ts'
import { AgentError } from '../../protocol/errors.ts'
import { writing } from './writing.ts'

const MAX_BYTES = 1024 * 1024
/** What writeFileAtomic leaves behind when the agent is killed in the middle of it. */
const TEMPORARY = /^\.(.+)\.[0-9a-f]{12}\.tmp$/

/** One configuration file before and after; null where there is none. */
export interface FileChange {
  path: string
  before: string | null
  after: string | null
  /** What supervisord runs by, where that is not `before`: others have written that, and it has not read it. */
  runs?: string
  mode: number
  /** Who owns it; absent: whoever the agent runs as. */
  owner?: { uid: number; gid: number }
}

/** The text of a configuration file, and how it is to be written again; null when there is none. */
export async function readConfigFile(
  path: string,
): Promise<{ text: string; mode: number; owner: { uid: number; gid: number } } | null> {
  const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK).catch(
    (error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return null
      throw unusable(
        path,
        error.code === 'ELOOP'
          ? 'it is a symbolic link: put the file itself in its place first'
          : (error.code ?? error.message),
      )
    },
  )
  if (file === null) return null
  try {
    const stats = await file.stat()
    if (!stats.isFile()) throw unusable(path, 'it is not a regular file')
    if (stats.nlink > 1)
      throw unusable(path, 'it has a second name (a hard link): put a copy in its place first')
    if (stats.size > MAX_BYTES) throw unusable(path, `it is longer than ${MAX_BYTES} bytes`)
    const bytes = await file.readFile()
    const text = bytes.toString('utf8')
    if (!Buffer.from(text).equals(bytes)) throw unusable(path, 'it is not UTF-8')
    return { text, mode: stats.mode & 0o777, owner: { uid: stats.uid, gid: stats.gid } }
  } finally {
    await file.close()
  }
}

/**
 * Makes a change whose file is still as it was when the change was made up. What was before waits beside it until
 * {@link settleChange}.
 * @throws {AgentError} REVISION_CONFLICT
 */
export async function applyChange(change: FileChange): Promise<void> {
  const { path, before, after, mode, owner } = change
  const found = await readConfigFile(path)
  if ((found?.text ?? null) !== before)
    throw new AgentError('REVISION_CONFLICT', `${path} was changed meanwhile: look at it again`, {
      facts: { file: path },
    })
  if (before === null) return await put(change, after)
  await writing(path, async () => {
    if (after === null) return await move(path, asideOf(path))
    await writeFileAtomic(asideOf(path), before, mode, owner)
    await writeFileAtomic(path, after, mode, owner)
  })
}

/**
 * Takes a change back, whether or not it was made. Where it was, the file of before comes back without a byte of room.
 * @param to how the file is to be: as it was before, or for as long as supervisord reads it, as that runs by
 * @returns false when the file is as none of these nor as after: somebody else wrote it, and it is left alone
 */
export async function undoChange(change: FileChange, to: string | null = change.before): Promise<boolean> {
  const { path, before, after, runs } = change
  await sweep(path)
  const text = (await readConfigFile(path))?.text ?? null
  const isOurs = text === after || text === before || text === runs
  if (isOurs && text !== to) {
    const aside = to === before ? await readConfigFile(asideOf(path)).catch(() => null) : null
    if (aside !== null && aside.text === to) await writing(path, () => move(asideOf(path), path))
    else await put(change, to)
  }
  if (!isOurs || to === before) await settleChange(change)
  return isOurs
}

/** A change stands, or there is none: what was before needs no more to be there. */
export async function settleChange({ path }: FileChange): Promise<void> {
  await rm(asideOf(path), { force: true })
}

/** Where the file of before waits: no glob of supervisord takes the name. */
function asideOf(path: string): string {
  return join(dirname(path), `.${basename(path)}.before`)
}

async function put({ path, mode, owner }: FileChange, text: string | null): Promise<void> {
  await writing(path, async () => {
    if (text !== null) return await writeFileAtomic(path, text, mode, owner)
    await unlink(path)
    await syncFolder(path)
  })
}

/** Within a folder. */
async function move(from: string, to: string): Promise<void> {
  await rename(from, to)
  await syncFolder(to)
}

async function syncFolder(path: string): Promise<void> {
  const folder = await open(dirname(path), 'r')
  try {
    await folder.sync()
  } finally {
    await folder.close()
  }
}

/** Deletes what an agent that was killed left of a write of this file. */
async function sweep(path: string): Promise<void> {
  const folder = dirname(path)
  const own = [path, asideOf(path)].map((file) => basename(file))
  for (const name of await readdir(folder).catch(() => []))
    if (own.includes(TEMPORARY.exec(name)?.[1] ?? '')) await unlink(join(folder, name)).catch(() => undefined)
}

function unusable(path: string, why: string): AgentError {
  return new AgentError('PROGRAM_INVALID', `${path}: ${why}`, {
    facts: { issues: [{ path: 'file', message: `${path}: ${why}` }] },
  })
}
