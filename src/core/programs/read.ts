import { type Definition, ShownDefinition } from '../../protocol/definition.ts'
import type { ConfigSection } from '../supervisor/config-file.ts'
import { strip } from '../supervisor/config-text.ts'
import { FIELDS, readCommand, readField, writeField } from './fields.ts'
import type { IniDocument } from './ini/document.ts'
import { processNameOf } from './render.ts'

export interface ReadProgram {
  definition: ShownDefinition
  /** What the section says and a definition cannot; it stays in the file. No values: they may be secrets. */
  notes: string[]
}

/**
 * The definition that a `[program:x]` section stands for: of a section that we rendered the very one, of any other what
 * of it a definition can say.
 */
export function readSection({ name: given, header, keys }: ConfigSection): ReadProgram {
  const name = strip(given) || header
  const notes: string[] = []
  const found = new Map<string, unknown>([['name', name]])
  for (const field of FIELDS) {
    const text = keys.get(field.key.ini)
    if (text === undefined) continue
    const value = readField(field, text)
    if (value === undefined) notes.push(`${field.key.ini}: its value is none that ${field.name} can have`)
    else found.set(field.name, value)
  }
  const limits = readCommand(keys.get('command') ?? '')?.limits
  if (limits) found.set('limits', limits)
  const known = new Set(['process_name', ...FIELDS.map(({ key }) => key.ini)])
  for (const key of keys.keys()) if (!known.has(key)) notes.push(`${key}: supervisord knows no such key`)
  if (!hasOurNames(name, keys)) notes.push('process_name: its processes have names of their own')
  return { definition: ShownDefinition.parse(Object.fromEntries(found)), notes }
}

/**
 * Carries the difference of two definitions into a section, and nothing else: comments, order, unknown keys and what
 * the definitions have alike stay as they are.
 * @throws {AgentError} PROGRAM_INVALID when the section cannot carry it
 */
export function editSection(
  document: IniDocument,
  header: string,
  { from, to }: { from: ShownDefinition; to: Definition },
): void {
  for (const field of FIELDS) {
    const before = writeField(field, { ...from, name: to.name }, [])
    const after = writeField(field, to, [])
    if (before === after) continue
    if (after === null) document.remove(header, field.key.ini)
    else document.set(header, field.key.ini, after)
  }
  const pattern = document.get(header, 'process_name') ?? ''
  if ((to.processes ?? 1) > 1 && !pattern.includes('%(process_num)'))
    document.set(header, 'process_name', processNameOf(to.name))
}

/** Do its processes have the names that we give? */
function hasOurNames(name: string, keys: ReadonlyMap<string, string>): boolean {
  const pattern = keys.get('process_name')
  if (pattern === undefined) return keys.get('numprocs') === undefined || keys.get('numprocs') === '1'
  return pattern.replaceAll(/%\((?:program|group)_name\)s/g, () => name) === processNameOf(name)
}
