import type { ShownDefinition } from '../../protocol/definition.ts'
import type { Program } from '../../protocol/program.ts'
import type { Principal } from '../access/principal.ts'
import type { ProcessTable } from '../supervisor/process-table.ts'
import { type SeenProgram, sectionOf } from './program-state.ts'
import { readSection } from './read.ts'
import type { KeptRevision } from './revisions.ts'

/** A program as the wire shows it to somebody. */
export function viewOf(state: SeenProgram, table: ProcessTable, principal: Principal): Program {
  const { name, at, revision, drift, definition, count, notes } = state
  const instances = table
    .shown()
    .filter(({ program, kind }) => program === name && kind === 'program')
    .map((entry) => table.view(entry))
  return {
    name,
    source: at.source,
    file: at.file,
    revision,
    drift,
    ...(definition.preset === undefined ? {} : { preset: definition.preset }),
    definition: masked(definition, principal),
    processes: count,
    running: instances.filter((instance) => instance.state === 'RUNNING').length,
    instances,
    warnings: notes,
  }
}

/** The definition of a kept revision. */
export function shownDefinition(
  name: string,
  { definition, text }: Pick<KeptRevision, 'definition' | 'text'>,
  principal: Principal,
): ShownDefinition {
  return masked(definition ?? readSection(sectionOf(name, text)).definition, principal)
}

/** Without the scope `program`: no environment, and no options, among which there may be secrets. */
function masked(definition: ShownDefinition, principal: Principal): ShownDefinition {
  if (principal.scopes.has('program')) return definition
  const { environment, options, ...rest } = definition
  return environment === undefined && options === undefined ? rest : { ...rest, masked: true }
}
