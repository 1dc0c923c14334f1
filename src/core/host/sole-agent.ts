// One agent to a folder: two with the same state would give out the same numbers of events and write over each other's
// records, two with the same sockets could each take the other's for those of a dead one, and of two with the same spool
// each would take away results that the other waits for. The claim is a symbolic link that leads nowhere: whole from its
// first moment, and made without a free block of the disk.
import { createHash, randomBytes } from 'node:crypto'
import {
  accessSync,
  chmodSync,
  constants,
  mkdirSync,
  readlinkSync,
  renameSync,
  rmSync,
  symlinkSync,
} from 'node:fs'
import { join } from 'node:path'
import { bootIdOfHost } from '../../lib/boot-id.ts'
import { processStart } from '../../lib/process-start.ts'
import type { Logger } from '../../logger.ts'

const FILE = 'agent.lock'
const FULL = new Set(['ENOSPC', 'EDQUOT'])
/** Who may not write there takes nothing away either. */
const CLOSED = new Set(['EACCES', 'EPERM', 'EROFS'])

/**
 * Claims a folder for this process until the returned function is called, or the process ends.
 * @throws {Error} when a living agent has claimed it; what the file system says
 */
export function claimFolder(folder: string, logger: Logger): () => void {
  const path = join(folder, FILE)
  const own = ownMark()
  try {
    take(path, own)
  } catch (error) {
    if (!FULL.has((error as NodeJS.ErrnoException).code ?? '')) throw error
    logger.warn({ err: error }, 'the disk is full: a second agent on this folder would not be noticed')
  }
  return () => {
    if (markAt(path) === own) rmSync(path)
  }
}

/**
 * Claims the spool in the same way, and makes it where it is missing. Where that cannot be the agent goes without: it does
 * more than to keep crontab entries.
 * @throws {Error} when a living agent has claimed it
 */
export function claimSpool(folder: string, logger: Logger): () => void {
  try {
    // the umask must not narrow it
    if (mkdirSync(folder, { recursive: true, mode: 0o711 }) !== undefined) chmodSync(folder, 0o711)
    // a claim that is there would be seen before the right to make one
    accessSync(folder, constants.W_OK)
    return claimFolder(folder, logger)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === undefined) throw error
    if (!CLOSED.has(code)) logger.warn({ err: error }, 'a second agent on this spool would not be noticed')
    return () => undefined
  }
}

function take(path: string, own: string): void {
  while (!isMade(path, own)) {
    const found = markAt(path)
    if (found === own) return
    if (found === null) continue // it went meanwhile
    if (isAlive(found))
      throw new Error(
        `another agent runs, as process ${found.split('.')[0]} (${path}): stop it first, or give this one folders of its own`,
      )
    replace(path, found, own)
  }
}

/** Puts ours in the place of a dead one's. Only one at a time may: another who also found it dead must not take ours. */
function replace(path: string, dead: string, own: string): void {
  const right = `${path}.${createHash('sha256').update(dead).digest('hex').slice(0, 8)}`
  take(right, own)
  if (markAt(path) === dead) renameSync(right, path)
  else rmSync(right)
}

function isMade(path: string, own: string): boolean {
  try {
    symlinkSync(own, path)
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false
    throw error
  }
}

/** Who has claimed it; null when nobody has. */
function markAt(path: string): string | null {
  try {
    return readlinkSync(path)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ENOENT') return null
    if (code === 'EINVAL') throw new Error(`${path} is in the way: it is not a link`, { cause: error })
    throw error
  }
}

/** A pid alone may have been given again, and so may its start after another start of the host. */
function ownMark(): string {
  const start = processStart(process.pid)?.startTicks ?? ''
  return [process.pid, start, bootMark(), randomBytes(6).toString('hex')].join('.')
}

function isAlive(mark: string): boolean {
  const [pid, start, boot] = mark.split('.')
  return boot === bootMark() && processStart(Number(pid))?.startTicks === start
}

function bootMark(): string {
  return bootIdOfHost().slice(0, 13)
}
