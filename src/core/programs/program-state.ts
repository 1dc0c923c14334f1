import type { ShownDefinition } from '../../protocol/definition.ts'
import { AgentError } from '../../protocol/errors.ts'
import { OwnFileError } from '../host/own-file.ts'
import type { ConfigSection } from '../supervisor/config-file.ts'
import { processNames } from '../supervisor/config-names.ts'
import type { Discovery } from '../supervisor/discovery.ts'
import { nameOf } from '../supervisor/process-info.ts'
import type { ProcessTable } from '../supervisor/process-table.ts'
import { readConfigFile } from './file-change.ts'
import { IniDocument } from './ini/document.ts'
import { instancesOf } from './instances.ts'
import { type ProgramFile, wholeOf } from './program-files.ts'
import { readSection } from './read.ts'
import { headOf, revisionOf } from './render.ts'
import type { KeptRevision, RevisionStore } from './revisions.ts'
import type { Instance } from './scale.ts'

/** What a section makes. */
export interface SectionFacts {
  /** Number of the first process. */
  start: number
  /** How many processes it asks for. */
  count: number
  autostart: boolean
  startSecs: number
  /** Its processes as `group:process`, by number. */
  names: string[]
}

/** A program with its file as it is now and what runs of it. */
export interface SeenProgram extends SectionFacts {
  name: string
  at: ProgramFile
  text: string
  revision: string
  /** Others changed the file since we wrote it. */
  drift: boolean
  /** What we know of this very content; absent for what was written by hand. */
  kept: KeptRevision | undefined
  /** As it was asked for where that is known, else as the file has it. */
  definition: ShownDefinition
  /** What the definition cannot say of the file. */
  notes: string[]
  instances: Instance[]
}

/** One whose file may be written. */
export interface ProgramState extends SeenProgram {
  file: { text: string; mode: number; owner: { uid: number; gid: number } }
}

export interface StateDeps {
  table: ProcessTable
  revisions: RevisionStore
}

/** @throws {AgentError} PROGRAM_NOT_FOUND when the file went meanwhile, PROGRAM_INVALID when it is none to be written */
export async function stateOf(at: ProgramFile, discovery: Discovery, deps: StateDeps): Promise<ProgramState> {
  const file = await readConfigFile(at.file)
  if (file === null) throw notFound(at.name)
  const kept = await keptOf(at, file.text, deps)
  return { ...seen({ at, text: file.text, kept }, discovery, deps), file }
}

/**
 * The same to be looked at alone, by what supervisord reads, whatever kind of file it reads it from. What we kept of it
 * may have been damaged.
 */
export async function seenStateOf(
  at: ProgramFile,
  discovery: Discovery,
  deps: StateDeps,
): Promise<SeenProgram> {
  const text = discovery.parsed.get(at.file)?.text ?? ''
  const kept = await keptOf(at, text, deps).catch((error: unknown) => {
    if (error instanceof OwnFileError) return null
    throw error
  })
  const state = seen({ at, text, kept: kept ?? undefined }, discovery, deps)
  if (kept !== null) return state
  const note = `its earlier revisions cannot be read: agent program history ${at.name} says why`
  return { ...state, notes: [note, ...state.notes] }
}

async function keptOf(
  { name, source }: ProgramFile,
  text: string,
  { revisions }: StateDeps,
): Promise<KeptRevision | undefined> {
  return source === 'managed' ? await revisions.find(name, revisionOf(text)) : undefined
}

function seen(
  { at, text, kept }: { at: ProgramFile; text: string; kept: KeptRevision | undefined },
  discovery: Discovery,
  { table }: StateDeps,
): SeenProgram {
  const facts = factsOf(at.section, discovery)
  const revision = revisionOf(text)
  const written = at.source === 'managed' ? headOf(text)?.revision : null
  const drift = at.source === 'managed' && written !== revision
  const read = readSection(at.section)
  return {
    ...facts,
    name: at.name,
    at,
    text,
    revision,
    drift,
    kept,
    definition: kept?.definition ?? read.definition,
    notes: kept?.definition ? [] : read.notes,
    instances: instancesOf(table, at.name, {
      start: facts.start,
      isNumbered: (at.section.keys.get('process_name') ?? '').includes('%(process_num)'),
    }),
  }
}

/** What a section makes, by its own words and those of the whole configuration. */
export function factsOf(section: ConfigSection, { expansions }: Pick<Discovery, 'expansions'>): SectionFacts {
  return {
    start: wholeOf(section, 'numprocs_start', 0),
    count: wholeOf(section, 'numprocs', 1),
    autostart: !/^(?:false|no|off|0)$/i.test(section.keys.get('autostart')?.trim() ?? ''),
    startSecs: wholeOf(section, 'startsecs', 1),
    names: processNames(section, [section], expansions).processes.map(({ group, process }) =>
      nameOf(group, process),
    ),
  }
}

/** The section of a program in the text of a file. @throws {AgentError} PROGRAM_INVALID when it has none */
export function sectionOf(name: string, text: string): ConfigSection {
  const section = IniDocument.parse(text)
    .sections()
    .find(({ header }) => header === `program:${name}`)
  if (section) return section
  throw new AgentError('PROGRAM_INVALID', `there is no [program:${name}] in its file`, {
    facts: { issues: [{ path: 'name', message: `there is no [program:${name}] in its file` }] },
  })
}

export function notFound(name: string): AgentError {
  return new AgentError('PROGRAM_NOT_FOUND', `there is no program ${name}; agent program ls shows all`, {
    facts: { program: name },
  })
}
