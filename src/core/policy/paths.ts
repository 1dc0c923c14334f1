// Where a path really leads, and who could lead it elsewhere.
import type { Stats } from 'node:fs'
import { lstat, readlink } from 'node:fs/promises'
import { dirname, join } from 'node:path'

const LINKS_MAX = 40

/** A folder, link or file that was passed on the way. */
export interface Step {
  path: string
  stats: Stats
}

export interface Way {
  /** Without any symbolic link. */
  real: string
  /** What lies there. */
  stats: Stats
  /** Everything from `/` on that was passed, in order, the end included. */
  steps: Step[]
}

/** Follows an absolute path by hand, link by link. @throws {NodeJS.ErrnoException} ENOENT, EACCES, ELOOP, … */
export async function follow(path: string): Promise<Way> {
  const root = { path: '/', stats: await lstat('/') }
  const steps: Step[] = [root]
  const rest = path.split('/')
  let at: Step = root
  for (let links = 0, name = rest.shift(); name !== undefined; name = rest.shift()) {
    if (name === '' || name === '.') continue
    if (name === '..') {
      const above = dirname(at.path)
      at = { path: above, stats: await lstat(above) }
      continue
    }
    if (!at.stats.isDirectory()) throw failure('ENOTDIR', at.path)
    const next = join(at.path, name)
    const step = { path: next, stats: await lstat(next) }
    steps.push(step)
    if (!step.stats.isSymbolicLink()) {
      at = step
      continue
    }
    if (++links > LINKS_MAX) throw failure('ELOOP', path)
    const target = await readlink(next)
    rest.unshift(...target.split('/'))
    if (target.startsWith('/')) at = root
  }
  return { real: at.path, stats: at.stats, steps }
}

/** Who counts as root's equal for a path, and whose group may write. */
export interface Trusted {
  uids: ReadonlySet<number>
  gids: ReadonlySet<number>
}

/**
 * Why somebody else could put another thing in the place of what a step leads to; null when nobody can. A sticky
 * folder may be open to all: what lies in it belongs to its owner.
 */
export function whyOthersMayChange({ path, stats }: Step, trusted: Trusted): string | null {
  if (!trusted.uids.has(stats.uid)) return `${path} belongs to uid ${stats.uid}`
  if (stats.isSymbolicLink() || (stats.isDirectory() && (stats.mode & 0o1000) !== 0)) return null
  return whyOthersMayWrite({ path, stats }, trusted)
}

/** Why somebody else may write a folder or file, sticky or not; null when nobody can. */
export function whyOthersMayWrite({ path, stats }: Step, trusted: Trusted): string | null {
  if (!trusted.uids.has(stats.uid)) return `${path} belongs to uid ${stats.uid}`
  const mode = (stats.mode & 0o7777).toString(8).padStart(4, '0')
  if ((stats.mode & 0o002) !== 0) return `${path} is writable by everybody (mode ${mode})`
  if ((stats.mode & 0o020) !== 0 && !trusted.gids.has(stats.gid))
    return `${path} is writable by the group ${stats.gid} (mode ${mode})`
  return null
}

/** True when a real path is that folder or lies below it. */
function isWithin(path: string, folder: string): boolean {
  return path === folder || path.startsWith(folder === '/' ? '/' : `${folder}/`)
}

/** True when a real path lies below one of these folders, each wherever it really is. */
export async function isUnder(real: string, roots: readonly string[]): Promise<boolean> {
  for (const root of roots) {
    const way = await follow(root).catch(() => null)
    if (way && isWithin(real, way.real)) return true
  }
  return false
}

export function identityOf({ dev, ino }: Stats): string {
  return `${dev}:${ino}`
}

/** The code of a failed look at a path. */
export function codeOf(error: unknown): string {
  return (error as NodeJS.ErrnoException).code ?? 'unknown'
}

function failure(code: string, path: string): NodeJS.ErrnoException {
  return Object.assign(new Error(`${code}: ${path}`), { code })
}
