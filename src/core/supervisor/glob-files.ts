import { lstat, readdir } from 'node:fs/promises'
import { basename, dirname, isAbsolute, normalize } from 'node:path'

const MAX_PATHS = 10_000

/**
 * Paths that match an absolute pattern with `*`, `?` and `[...]` in any part, as Python's `glob.glob` finds them
 * and `sorted` orders them: a leading dot needs a dot in the pattern, folders that cannot be read match nothing.
 */
export async function globFiles(pattern: string): Promise<string[]> {
  const paths = await expandPath(pattern)
  return paths.slice(0, MAX_PATHS).toSorted(byCodePoint)
}

async function expandPath(pattern: string): Promise<string[]> {
  if (!hasMagic(pattern)) return (await exists(pattern)) ? [pattern] : []
  const parent = dirname(pattern)
  const last = basename(pattern)
  const folders = hasMagic(parent) ? await expandPath(parent) : [parent]
  const found: string[] = []
  for (const folder of folders.slice(0, MAX_PATHS)) {
    if (hasMagic(last)) found.push(...(await matching(folder, last)).map((name) => joinPath(folder, name)))
    else if (await exists(joinPath(folder, last))) found.push(joinPath(folder, last))
  }
  return found
}

async function matching(folder: string, pattern: string): Promise<string[]> {
  const names = await readdir(folder).catch(() => [])
  return names.filter(
    (name) => (pattern.startsWith('.') || !name.startsWith('.')) && matchesName(pattern, name),
  )
}

/** Joins; folds `.` and double slashes, but no `..`, which after a symbolic link is not what it looks like. */
export function joinPath(folder: string, path: string): string {
  const joined = isAbsolute(path) ? path : `${folder}/${path}`
  return joined.split('/').includes('..') ? joined : normalize(joined)
}

export function hasMagic(pattern: string): boolean {
  return /[*?[]/.test(pattern)
}

async function exists(path: string): Promise<boolean> {
  return lstat(path).then(
    () => true,
    () => false,
  )
}

function byCodePoint(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b))
}

type Piece = { kind: 'star' } | { kind: 'one'; accepts(char: string): boolean }

/** Does one name match one part of a pattern? As Python's `fnmatchcase`, in time linear for most and never exponential. */
export function matchesName(pattern: string, name: string): boolean {
  const pieces = piecesOf(Array.from(pattern))
  const chars = Array.from(name)
  let p = 0
  let star = -1
  let mark = 0
  for (let c = 0; c < chars.length; ) {
    const piece = pieces[p]
    if (piece?.kind === 'one' && piece.accepts(chars[c] ?? '')) {
      p++
      c++
    } else if (piece?.kind === 'star') {
      star = p++
      mark = c
    } else if (star >= 0) {
      p = star + 1
      c = ++mark
    } else return false
  }
  return pieces.slice(p).every(({ kind }) => kind === 'star')
}

function piecesOf(pattern: string[]): Piece[] {
  const pieces: Piece[] = []
  for (let i = 0; i < pattern.length; i++) {
    const char = pattern[i] ?? ''
    const end = char === '[' ? classEnd(pattern, i) : -1
    if (char === '*') pieces.push({ kind: 'star' })
    else if (char === '?') pieces.push({ kind: 'one', accepts: () => true })
    else if (end > 0) {
      pieces.push({ kind: 'one', accepts: classTest(pattern.slice(i + 1, end)) })
      i = end
    } else pieces.push({ kind: 'one', accepts: (other) => other === char })
  }
  return pieces
}

/** The `]` that closes the `[` at `start`; one that comes first is a member. -1: the `[` is a plain character. */
function classEnd(pattern: string[], start: number): number {
  const first = start + (pattern[start + 1] === '!' ? 2 : 1)
  return pattern.indexOf(']', first + 1)
}

function classTest(members: string[]): (char: string) => boolean {
  const isNegated = members[0] === '!'
  const body = isNegated ? members.slice(1) : members
  const ranges: [string, string][] = []
  for (let i = 0; i < body.length; i++) {
    const from = body[i] ?? ''
    const to = body[i + 1] === '-' ? body[i + 2] : undefined
    ranges.push([from, to ?? from])
    if (to !== undefined) i += 2
  }
  return (char) => ranges.some(([from, to]) => from <= char && char <= to) !== isNegated
}
