import { randomBytes } from 'node:crypto'
import { type FileHandle, open, rename, unlink } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'

/**
 * Replaces a file as a whole: a reader sees the old or the new content, also after a crash.
 * The temporary name starts with a dot and ends in `.tmp`, so that no `*.conf` glob matches it.
 */
export async function writeFileAtomic(
  path: string,
  content: string,
  mode = 0o600,
  owner?: { uid: number; gid: number },
): Promise<void> {
  const folder = dirname(path)
  const temporary = join(folder, `.${basename(path)}.${randomBytes(6).toString('hex')}.tmp`)
  try {
    await withFile(open(temporary, 'wx', mode), async (file) => {
      await file.writeFile(content)
      if (owner) await file.chown(owner.uid, owner.gid)
      await file.chmod(mode) // the umask must not narrow or widen what was asked for
      await file.sync()
    })
    await rename(temporary, path)
  } catch (error) {
    await unlink(temporary).catch(() => undefined)
    throw error
  }
  await withFile(open(folder, 'r'), (handle) => handle.sync())
}

async function withFile(
  opening: Promise<FileHandle>,
  task: (file: FileHandle) => Promise<void>,
): Promise<void> {
  const file = await opening
  try {
    await task(file)
  } finally {
    await file.close()
  }
}
