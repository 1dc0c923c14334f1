import { globMatcher } from '../../lib/glob.ts'
import { AgentError } from '../../protocol/errors.ts'
import { mayUseProgram, type Principal } from '../access/principal.ts'
import type { Entry, ProcessTable } from './process-table.ts'
import { baseProgram, OWN_GROUP } from './program-index.ts'

/**
 * The processes that a selection names, each once, in the order of the table. Globs and `all` mean those that the
 * principal may use and leave event listeners out; a name means what it says. A bare name is a process, else a group,
 * else a program. The groups that a program of ours grew by belong to its own.
 * @throws {AgentError} PROCESS_NOT_FOUND when an entry matches nothing; FORBIDDEN when a name is out of bounds
 */
export function selectProcesses(
  table: ProcessTable,
  selectors: readonly string[],
  principal: Principal,
): Entry[] {
  const isAllowed = mayUseProgram(principal)
  const chosen = new Set<Entry>()
  for (const selector of selectors) {
    const matches = resolve(table, selector)
    const isPattern = selector === 'all' || /[*?]/.test(selector.replace(/:\*$/, ''))
    const allowed = matches.filter(({ program }) => isAllowed(program))
    if (allowed.length === 0 && matches.length > 0 && !isPattern)
      throw new AgentError('FORBIDDEN', `${selector} is outside the programs of this token`, {
        facts: { rule: 'token.programs' },
      })
    if (allowed.length === 0 && selector !== 'all')
      throw new AgentError(
        'PROCESS_NOT_FOUND',
        `nothing matches ${selector}; agent status lists the processes`,
        {
          facts: { select: selector },
        },
      )
    for (const entry of allowed) chosen.add(entry)
  }
  return table.all().filter((entry) => chosen.has(entry))
}

function resolve(table: ProcessTable, selector: string): Entry[] {
  const exact = table.get(selector)
  if (exact) return [exact]
  const workers = table.shown().filter(({ kind }) => kind !== 'eventlistener')
  if (selector === 'all') return workers
  if (/[*?]/.test(selector)) {
    const group = selector.endsWith(':*') ? selector.slice(0, -2) : null
    if (group !== null && !/[*?]/.test(group)) return named(table, group, workers)
    const matches = globMatcher(selector)
    // `worker*` finds the processes of the group worker_a too, as a person would expect
    return workers.filter(({ name, group: own, process }) => matches(name) || matches(`${own}:${process}`))
  }
  const full = table.all().find(({ group, process }) => selector === `${group}:${process}`)
  if (full) return [full]
  return named(table, selector.replace(/:$/, ''), workers)
}

function named(table: ProcessTable, name: string, workers: readonly Entry[]): Entry[] {
  if (name === OWN_GROUP) return []
  const ofGroup = table
    .shown()
    .filter(({ group, managed }) => group === name || (managed && baseProgram(group) === name))
  return ofGroup.length > 0 ? ofGroup : workers.filter(({ program }) => program === name)
}
