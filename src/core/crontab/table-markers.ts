import { bare } from './table-lines.ts'

export const BEGIN = '# >>> supervisor-agent block v1'
export const END = '# <<< supervisor-agent block v1'

/** A line that is a marker, or may have been one. */
export interface MarkerLine {
  /** Which line, from 0. */
  at: number
  kind: 'begin' | 'end'
  /** It is not byte for byte what we write: cut, longer, of another version, with other blanks. */
  isAltered: boolean
}

const ALIKE = /^\s*#\s*(>>>|<<<)\s*supervisor-agent\s+block\b/i

/** The marker that a line is, or looks like; the text of one within a longer line is none. */
export function markerOf(line: string): Omit<MarkerLine, 'at'> | null {
  const [, sign] = ALIKE.exec(line) ?? []
  if (sign === undefined) return null
  const text = bare(line)
  return { kind: sign === '>>>' ? 'begin' : 'end', isAltered: text !== BEGIN && text !== END }
}

export function markersOf(lines: readonly string[]): MarkerLine[] {
  return lines.flatMap((line, at) => {
    const marker = markerOf(line)
    return marker ? [{ at, ...marker }] : []
  })
}
