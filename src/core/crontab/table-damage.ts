import { readManagedLine } from './managed-line.ts'
import { bare } from './table-lines.ts'
import { type MarkerLine, markerOf } from './table-markers.ts'

/** A reason why it cannot be told what of a crontab is ours. */
export interface Damage {
  kind: 'altered' | 'begun-twice' | 'not-begun' | 'not-ended' | 'outside'
  /** As `crontab -l` counts, from 1. */
  line: number
  text: string
}

const SHIM = '/.bin/cronrun'

/** What is wrong with the markers, in words; empty when there is no block or one whole block. */
export function findDamage(lines: readonly string[], markers: readonly MarkerLine[]): Damage[] {
  const damage = markers.flatMap((marker) =>
    marker.isAltered ? [altered(marker, lines[marker.at] ?? '')] : [],
  )
  let begun: number | null = null
  let hasBlock = false
  for (const { at, kind, isAltered } of markers) {
    if (isAltered) continue
    const line = at + 1
    if (kind === 'begin' && (begun !== null || hasBlock))
      damage.push(found('begun-twice', line, 'begins our block, and it was begun above'))
    else if (kind === 'end' && begun === null)
      damage.push(found('not-begun', line, 'ends our block, and none is open there'))
    if (kind === 'end') hasBlock ||= begun !== null
    begun = kind === 'begin' ? line : null
  }
  if (begun !== null) damage.push(found('not-ended', begun, 'begins our block, and nothing ends it'))
  if (damage.length > 0) return damage.toSorted((a, b) => a.line - b.line)
  const [begin, end] = markers
  return lines.flatMap((line, at) => {
    const isInside = begin !== undefined && end !== undefined && at > begin.at && at < end.at
    return isInside ? [] : outside(line, at)
  })
}

/** Whether a line is a marker, a job of ours, or what we write around those; whether or not it is where it belongs. */
export function isRemnant(lines: readonly string[], at: number): boolean {
  const [line = '', below = ''] = lines.slice(at, at + 2)
  if (markerOf(line) !== null || jobOf(line) !== null) return true
  const id = jobOf(below)
  if (id !== null && line.startsWith(`# ${id} `)) return true
  return unixed(line) === '' && markerOf(below)?.kind === 'begin'
}

function altered({ at, kind }: MarkerLine, line: string): Damage {
  const text = bare(line)
  const version = /block\s+v(\d+)\s*$/i.exec(text)?.[1]
  const how =
    version !== undefined && version !== '1'
      ? `of version ${version}, which this agent does not know`
      : text.endsWith('\r')
        ? 'with a carriage return at its end'
        : 'but not exactly as it was written'
  return found('altered', at + 1, `looks like the ${kind} of our block, ${how}`)
}

/** A job of ours that stands elsewhere would run twice once the block is written. */
function outside(line: string, at: number): Damage[] {
  const id = jobOf(line)
  return id === null || line.startsWith('#')
    ? []
    : [found('outside', at + 1, `runs entry ${id} of ours, outside our block`)]
}

function jobOf(line: string): string | null {
  return line.includes(SHIM) ? (readManagedLine(unixed(line))?.id ?? null) : null
}

/** A line without its end, also without that of an editor that writes CR LF. */
function unixed(line: string): string {
  const text = bare(line)
  return text.endsWith('\r') ? text.slice(0, -1) : text
}

function found(kind: Damage['kind'], line: number, what: string): Damage {
  return { kind, line, text: `line ${line} ${what}` }
}
