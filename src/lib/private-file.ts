import { constants, type Stats } from 'node:fs'
import { open } from 'node:fs/promises'

/** A file that holds a secret cannot be used; the message names the file and the reason, never its content. */
export class PrivateFileError extends Error {
  override readonly name = 'PrivateFileError'
}

/**
 * Reads a file that nobody but its owner may read; null when there is none.
 * @throws {PrivateFileError} not a plain file, owned by a stranger, open to group or world, or too large
 */
export async function readPrivateFile(path: string, maxBytes: number): Promise<string | null> {
  // NONBLOCK: a pipe put in its place must not hold us
  const opened = await open(path, constants.O_RDONLY | constants.O_NONBLOCK).catch(
    (error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return null
      throw new PrivateFileError(`${path}: cannot be opened (${error.code})`)
    },
  )
  if (opened === null) return null
  try {
    const refusal = whyNotPrivate(await opened.stat(), maxBytes)
    if (refusal !== null) throw new PrivateFileError(`${path}: ${refusal}`)
    return await opened.readFile('utf8')
  } finally {
    await opened.close()
  }
}

/** Why a file may not hold what only its owner may know, or has another owner than root or us; null when it may. */
export function whyNotPrivate(stats: Stats, maxBytes: number): string | null {
  if (!stats.isFile()) return 'not a regular file'
  if (stats.uid !== 0 && stats.uid !== process.getuid?.())
    return `owned by uid ${stats.uid}; it must be root or ours`
  const mode = stats.mode & 0o777
  if ((mode & 0o077) !== 0)
    return `its mode is 0${mode.toString(8)}; only its owner may have access (chmod 600)`
  return stats.size > maxBytes ? `larger than ${maxBytes} bytes` : null
}
