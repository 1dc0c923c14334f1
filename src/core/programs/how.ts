// What a new file of a program means for what runs of it.
import { isDeepStrictEqual } from 'node:util'
import type { Definition } from '../../protocol/definition.ts'
import type { Draft } from './draft.ts'
import type { How } from './effects.ts'
import { type ProgramState, sectionOf } from './program-state.ts'
import type { RevisionStore } from './revisions.ts'

/** Which effect a new file has on a program. */
export function howOf(before: ProgramState | null, text: string, isSize: boolean): How {
  if (before === null || !hasGroup(before)) return 'add'
  const old = keysOf(before.name, before.file.text)
  const now = keysOf(before.name, text)
  if (isSame(old, now)) return 'none'
  if (isSize) return 'scale'
  old.delete('numprocs')
  now.delete('numprocs')
  return isSame(old, now) ? 'scale' : 'restart'
}

/** A file that says something else than the one that supervisord was given last: whether it has read that is not known. */
export async function unreadOf(
  before: ProgramState | null,
  revisions: RevisionStore,
): Promise<Pick<Draft, 'unread'>> {
  if (before === null || !hasGroup(before)) return {}
  const { name, file } = before
  const last = (await revisions.list(name)).at(-1)
  if (last !== undefined && isSame(keysOf(name, last.text), keysOf(name, file.text))) return {}
  return { unread: { runs: last?.text ?? null } }
}

function hasGroup({ name, instances }: ProgramState): boolean {
  return instances.some(({ group }) => group === name)
}

function keysOf(name: string, text: string): Map<string, string> {
  return new Map(sectionOf(name, text).keys)
}

function isSame(a: ReadonlyMap<string, string>, b: ReadonlyMap<string, string>): boolean {
  return a.size === b.size && [...a].every(([key, value]) => b.get(key) === value)
}

/** Is another number of processes all that differs? */
export function isOnlySize(before: Definition, now: Definition): boolean {
  const rest = ({ processes: _processes, ...others }: Definition) => others
  return before.processes !== now.processes && isDeepStrictEqual(rest(before), rest(now))
}
