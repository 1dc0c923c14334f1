import { AgentError } from '../../protocol/errors.ts'
import type { DefinitionIssue } from '../../protocol/program.ts'
import { mayUseProgram, type Principal } from '../access/principal.ts'
import type { Discovery } from '../supervisor/discovery.ts'
import { whyNotWritable } from '../supervisor/discovery-folder.ts'
import type { ProcessTable } from '../supervisor/process-table.ts'
import { readConfigFile } from './file-change.ts'
import { IniDocument } from './ini/document.ts'
import { fileOf } from './program-files.ts'
import { notFound, type ProgramState } from './program-state.ts'

/** @throws {AgentError} FORBIDDEN */
export function assertMine(name: string, principal: Principal): void {
  if (mayUseProgram(principal)(name)) return
  throw new AgentError('FORBIDDEN', `${name} is outside the programs of this token`, {
    facts: { rule: 'token.programs', program: name },
  })
}

/** @throws {AgentError} PROGRAM_NOT_FOUND */
export function need(name: string, state: ProgramState | null): ProgramState {
  if (state) return state
  throw notFound(name)
}

/** @throws {AgentError} PROGRAM_INVALID for a program whose file is not ours */
export function assertOurs({ name, at }: ProgramState): void {
  if (at.source === 'managed') return
  const message = `${name} is in ${at.file}, which others wrote: take it over with agent program adopt ${name}, or choose another name`
  throw invalidProgram(name, [{ path: 'name', message }])
}

/** @throws {AgentError} REVISION_CONFLICT */
export function checkRevision(name: string, state: ProgramState | null, wanted: string | undefined): void {
  if (wanted === undefined) {
    if (state?.drift) throw drifted(state)
    return
  }
  if (state?.revision === wanted) return
  throw new AgentError(
    'REVISION_CONFLICT',
    state
      ? `${name} is at revision ${state.revision}, not ${wanted}: look at it again`
      : `there is no program ${name} any more, and so no revision ${wanted}`,
    { facts: { program: name, revision: state?.revision ?? null } },
  )
}

/** Somebody edited the file by hand: whoever writes over that must have seen it. */
export function drifted({ name, at, revision }: ProgramState, how = 'give'): AgentError {
  return new AgentError(
    'REVISION_CONFLICT',
    `${at.file} was changed by hand since the agent wrote it: look at it, then ${how} ifRevision ${revision}, or take it as it is: agent program adopt ${name}`,
    { facts: { program: name, revision, drift: true } },
  )
}

export function invalidProgram(
  name: string,
  issues: readonly { path: string; message: string }[],
): AgentError {
  const text = issues
    .slice(0, ISSUES_MAX)
    .map(({ path, message }) => `${path}: ${message}`)
    .join('; ')
  return new AgentError('PROGRAM_INVALID', `${name}: ${text}`, {
    facts: { program: name, issues: issues.slice(0, ISSUES_MAX) },
  })
}

const ISSUES_MAX = 3

/** What speaks against a new program of that name: something in supervisord or on the disk that no file of it made. */
export async function obstacles(
  name: string,
  { path, table }: { path: string; table: ProcessTable },
): Promise<DefinitionIssue[]> {
  if (table.all().some(({ group }) => group === name))
    return [
      {
        path: 'name',
        message: `supervisord has a group ${name} already, which no [program:${name}] of its files makes: choose another name, or have it removed first (supervisorctl update ${name})`,
      },
    ]
  if ((await readConfigFile(path)) === null) return []
  return [{ path: 'name', message: `${path} is there already, and holds no [program:${name}]` }]
}

/** What would be lost with the file of a program: sections that others wrote into it. */
export function lodgers({ name, at, file }: ProgramState): DefinitionIssue[] {
  return IniDocument.parse(file.text)
    .sections()
    .filter(({ header }) => header !== `program:${name}`)
    .map(({ header }) => ({
      path: 'name',
      message: `somebody wrote [${header}] into ${at.file}: move it to a file of its own first`,
    }))
}

/** Where the file of a new program goes. @throws {AgentError} SUPERVISOR_FAULT when there is no place for it */
export async function newFile(name: string, discovery: Discovery): Promise<string> {
  const { programDir, problems } = discovery
  const why = programDir === null ? problems.join('; ') || 'none was found' : await whyNotWritable(programDir)
  if (programDir !== null && why === null) return fileOf(name, { ...discovery, programDir })
  throw new AgentError('SUPERVISOR_FAULT', `there is no folder for program files: ${why}`, {
    facts: { fault: 'NO_PROGRAM_DIR', problems },
  })
}
