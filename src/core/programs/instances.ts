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
      index: isNumbered || entry.group !== name ? (numberOf(entry) ?? start) : start,
      isUp: UP.has(entry.state),
    }))
    .toSorted((a, b) => a.index - b.index)
}

/** The number of a process in its program; null for one that is called as the program, whatever digits that has. */
export function numberOf({ process, program }: { process: string; program: string }): number | null {
  const digits = process === program ? undefined : /(\d+)$/.exec(process)?.[1]
  return digits === undefined ? null : Number(digits)
}
