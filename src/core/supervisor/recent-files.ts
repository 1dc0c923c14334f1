import { type BigIntStats, constants } from 'node:fs'
import { open, stat } from 'node:fs/promises'
import type { ParsedFile } from './config-file.ts'

export const MAX_FILE_BYTES = 1024 * 1024
/** How long what nobody asks for is remembered. */
const KEEP_MS = 20_000
/** A file that was changed so lately may change again without a sign: the clock of a file system has coarse ticks. */
const SETTLED_NS = 2_000_000_000n

interface Recent {
  identity: string
  parsed: ParsedFile
}

/**
 * What the configuration files say, remembered between calls that come close together, so that a plan does not read
 * hundreds of files that the last one read. A file is read again when anything of it changed: its place on the disk,
 * its size, or one of its times to the nanosecond.
 */
export class RecentFiles {
  readonly #known = new Map<string, Recent>()
  #forget: NodeJS.Timeout | null = null

  /** Null for what is no file. @throws what opening it or `parse` throws */
  async read(
    file: string,
    here: string | null,
    parse: (bytes: Uint8Array) => ParsedFile,
  ): Promise<ParsedFile | null> {
    this.#forgetLater()
    const beganAtMs = Date.now()
    const stats = await stat(file, { bigint: true }).catch(() => null)
    if (!stats?.isFile()) return null
    const identity = identityOf(stats)
    const known = this.#known.get(file)
    if (known?.identity === identity && known.parsed.here === here) return known.parsed
    const parsed = parse(await bytesOf(file, Number(stats.size)))
    if (isSettled(stats, beganAtMs) && stats.size <= MAX_FILE_BYTES)
      this.#known.set(file, { identity, parsed })
    else this.#known.delete(file)
    return parsed
  }

  #forgetLater(): void {
    if (this.#forget) this.#forget.refresh()
    else
      this.#forget = setTimeout(() => {
        this.#forget = null
        this.#known.clear()
      }, KEEP_MS).unref()
  }
}

/** The bytes of a file, one more than {@link MAX_FILE_BYTES} at most; null for what is no file. */
export async function readBytes(file: string): Promise<Uint8Array | null> {
  const found = await stat(file).catch(() => null)
  return found?.isFile() ? await bytesOf(file, found.size) : null
}

async function bytesOf(file: string, size: number): Promise<Uint8Array> {
  const handle = await open(file, constants.O_RDONLY | constants.O_NONBLOCK)
  try {
    // it may have grown since its size was asked
    for (let room = size + 1; ; room *= 2) {
      const buffer = Buffer.allocUnsafe(Math.min(room, MAX_FILE_BYTES + 1))
      const { bytesRead } = await handle.read(buffer, 0, buffer.length, 0)
      if (bytesRead < buffer.length || bytesRead > MAX_FILE_BYTES) return buffer.subarray(0, bytesRead)
    }
  } finally {
    await handle.close()
  }
}

/**
 * What changes with each edit of any of these files and folders; null when one was changed after that time, or so
 * shortly before that it may not show.
 */
export async function signOf(paths: readonly string[], beforeMs: number): Promise<string | null> {
  const found = await Promise.all(paths.map((path) => stat(path, { bigint: true }).catch(() => null)))
  if (found.some((stats) => stats && !isSettled(stats, beforeMs))) return null
  return found.map((stats) => (stats ? identityOf(stats) : 'none')).join()
}

function isSettled({ ctimeNs }: BigIntStats, beforeMs: number): boolean {
  return BigInt(beforeMs) * 1_000_000n - ctimeNs > SETTLED_NS
}

function identityOf({ dev, ino, size, mtimeNs, ctimeNs }: BigIntStats): string {
  return `${dev}:${ino}:${size}:${mtimeNs}:${ctimeNs}`
}
