import { type BigIntStats, lstatSync } from 'node:fs'
import { AgentError } from '../../protocol/errors.ts'
import type { Disk } from './disk.ts'
import { Generation } from './generation.ts'
import { isNotThereYet } from './open.ts'

const MAX_BACKUPS = 1000

interface RotatedFile {
  path: string
  stat: BigIntStats
}

/** Opens the file at `path` as it is now. @throws {AgentError} LOG_UNAVAILABLE */
export function openGeneration(disk: Disk, path: string): Generation {
  return new Generation({ ...disk.open(path), disk })
}

/**
 * What follows `old` after a rotation, oldest first: the rotated files newer than it, then the file at `path`.
 * When `old` is not among the rotated files, those not modified since it ended are taken to be older ones.
 * @returns null while files are being renamed; ask again soon
 * @throws {AgentError} LOG_UNAVAILABLE when the file at `path` is refused
 */
export function openSuccessors(disk: Disk, path: string, old: Generation): Generation[] | null {
  const found: Generation[] = []
  try {
    const base = openGeneration(disk, path)
    found.push(base)
    const ended = old.descriptor?.stat()
    let isOldFound = false
    for (const file of rotatedFiles(path)) {
      isOldFound = old.isSameFile(file.stat)
      if (isOldFound || (ended && file.stat.mtimeNs < ended.mtimeNs)) break
      push(found, tryOpen(disk, file.path))
    }
    const now = lstatSync(path, { bigint: true, throwIfNoEntry: false })
    if (!now || !base.isSameFile(now) || old.isSameFile(now)) return releaseAll(found)
    const oldest = found.at(-1)
    if (oldest && !isOldFound && ended?.nlink === 0n && found.length > 1) oldest.isAfterGap = true
    return found.toReversed()
  } catch (error) {
    releaseAll(found)
    if (isPassing(error)) return null
    throw error
  }
}

/** Rotated files older than all of `known` back to the first that is `wanted`, oldest first; none if there is none. */
export function openOlder(
  disk: Disk,
  path: string,
  { known, wanted }: { known: readonly Generation[]; wanted: (stat: BigIntStats) => boolean },
): Generation[] {
  const found: Generation[] = []
  for (const file of rotatedFiles(path)) {
    if (known.some((generation) => generation.isSameFile(file.stat))) continue
    const opened = tryOpen(disk, file.path)
    push(found, opened)
    if (opened && wanted(file.stat)) return found.toReversed()
  }
  releaseAll(found)
  return []
}

/** Opens again a generation whose descriptor was given up; false when it is no longer on disk. */
export function reopen(disk: Disk, path: string, generation: Generation): boolean {
  for (const file of rotatedFiles(path)) {
    if (!generation.isSameFile(file.stat) || file.stat.mtimeNs !== generation.mtimeNs) continue
    const opened = tryOpen(disk, file.path)
    if (opened?.isSameFile(generation) && opened.descriptor) {
      generation.adopt(opened.descriptor)
      return true
    }
    opened?.release()
  }
  return false
}

/** `path.1`, `path.2`, ... newest first. One missing number is passed over: a rotation may be under way. */
function* rotatedFiles(path: string): Generator<RotatedFile> {
  for (let number = 1, missing = 0; number <= MAX_BACKUPS && missing < 2; number++) {
    const stat = lstatSync(`${path}.${number}`, { bigint: true, throwIfNoEntry: false })
    missing = stat ? 0 : missing + 1
    if (stat) yield { path: `${path}.${number}`, stat }
  }
}

/** A rotated file that may not be opened (a link, say) is left out; one just renamed is met again at its next number. */
function tryOpen(disk: Disk, path: string): Generation | null {
  try {
    return openGeneration(disk, path)
  } catch {
    return null
  }
}

function push(found: Generation[], opened: Generation | null): void {
  if (!opened) return
  if (found.some((generation) => generation.isSameFile(opened))) opened.release()
  else found.push(opened)
}

function isPassing(error: unknown): boolean {
  return isNotThereYet(error) || (error instanceof AgentError && error.facts['reason'] === 'moved')
}

function releaseAll(found: readonly Generation[]): null {
  for (const generation of found) generation.release()
  return null
}
