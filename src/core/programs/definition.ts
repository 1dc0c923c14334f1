import type { Definition } from '../../protocol/definition.ts'
import { AgentError } from '../../protocol/errors.ts'
import type { DefinitionIssue } from '../../protocol/program.ts'
import { defaultLogs } from './default-logs.ts'
import { FIELDS, writeField } from './fields.ts'
import { hasNumber } from './text.ts'

const MAX_ISSUES = 20

/** A definition that says what runs. */
export type WholeDefinition = Definition & { command: string; processes: number }

/**
 * What a worker should have when its definition does not say: signals that reach its children, one log for both
 * channels unless two were asked for, logs in `logFolder`, one for each process.
 */
export function withDefaults(definition: Definition, logFolder: string): Definition & { processes: number } {
  const { name, processes = 1, killAsGroup = true } = definition
  const { stopAsGroup = killAsGroup } = definition
  const redirectStderr = definition.redirectStderr ?? stderrFields(definition).length === 0
  const logs = defaultLogs(logFolder, name, processes)
  return {
    ...definition,
    processes,
    stopAsGroup,
    killAsGroup,
    redirectStderr,
    stdoutLogfile: definition.stdoutLogfile ?? logs.stdoutLogfile,
    ...(redirectStderr ? {} : { stderrLogfile: definition.stderrLogfile ?? logs.stderrLogfile }),
  }
}

/** All that a file cannot say of the definition, and what supervisord would take to its harm. */
export function issuesOf(definition: Definition): DefinitionIssue[] {
  const issues: DefinitionIssue[] = []
  for (const field of FIELDS) writeField(field, definition, issues)
  const { stopAsGroup, killAsGroup, stdoutLogfile, stderrLogfile } = definition
  if (definition.command === undefined) issues.push({ path: 'command', message: 'nothing to run' })
  if (stopAsGroup && killAsGroup === false)
    issues.push({ path: 'killAsGroup', message: 'supervisord refuses false while stopAsGroup is true' })
  if (stdoutLogfile?.startsWith('/') && stdoutLogfile === stderrLogfile)
    issues.push({ path: 'stderrLogfile', message: 'two channels would spoil one file: use redirectStderr' })
  for (const key of ['stdoutLogfile', 'stderrLogfile'] as const) {
    const file = definition[key]
    if ((definition.processes ?? 1) > 1 && file?.startsWith('/') && !hasNumber(file))
      issues.push({
        path: key,
        message: 'several processes would spoil one file: put %(process_num)02d in its name',
      })
  }
  return issues.slice(0, MAX_ISSUES)
}

/** What supervisord takes and does not use. */
export function warningsOf(definition: Definition): string[] {
  if (!definition.redirectStderr) return []
  return stderrFields(definition)
    .filter((key) => new Map<string, unknown>(Object.entries(definition)).get(key) !== 'NONE')
    .map((key) => `${key} is not used: redirectStderr sends stderr into the log of stdout`)
}

/** @throws {AgentError} PROGRAM_INVALID with all that speaks against the definition itself, host aside */
export function requireWhole(definition: Definition): WholeDefinition {
  const issues = issuesOf(definition)
  const { command, processes = 1 } = definition
  if (command === undefined || issues.length > 0) throw invalid(issues)
  return { ...definition, command, processes }
}

/** The refusal of a definition; it names the fields. */
export function invalid(issues: readonly DefinitionIssue[]): AgentError {
  const [first] = issues
  const text = first ? `${first.path}: ${first.message}` : 'the program cannot be as it is described'
  return new AgentError('PROGRAM_INVALID', text, { facts: { issues: issues.slice(0, MAX_ISSUES) } })
}

/** The fields that make sense only when stderr is a channel of its own. */
function stderrFields(definition: Definition): string[] {
  return Object.entries(definition)
    .filter(([key, value]) => key.startsWith('stderr') && value !== undefined && value !== false)
    .map(([key]) => key)
}
