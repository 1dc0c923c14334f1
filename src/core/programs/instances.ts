import type { ProcessState } from '../../protocol/process.ts'
import type { ProcessTable } from '../supervisor/process-table.ts'
import type { Instance } from './scale.ts'

const UP: ReadonlySet<ProcessState> = new Set(['STARTING', 'RUNNING', 'BACKOFF', 'STOPPING'])

/** What supervisord has of a program, surge groups included, by number. */
export function instancesOf(
  table: ProcessTable,
  name: string,
  { start, isNumbered }: { start: number; isNumbered: boolean },
): Instance[] {
  return table
    .all()
    .filter(({ program, group }) => program === name && (group === name || group.startsWith(`${name}.surge`)))
    .map((entry) => ({
      name: entry.name,
      group: entry.group,
      index: isNumbered || entry.group !== name ? (numberOf(entry.process) ?? start) : start,
      isUp: UP.has(entry.state),
    }))
    .toSorted((a, b) => a.index - b.index)
}

function numberOf(process: string): number | null {
  const digits = /(\d+)$/.exec(process)?.[1]
  return digits === undefined ? null : Number(digits)
}
