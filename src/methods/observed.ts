// What OUTCOME_UNKNOWN shows of the present state, by what a method is about.
import type { Entry } from '../core/supervisor/process-table.ts'
import { isoTime } from '../lib/iso-time.ts'
import type { ErrorFacts } from '../protocol/errors.ts'
import type { Context } from './context.ts'

const PROCESSES_MAX = 1000

export function observedProcesses(
  { processes, principal }: Context,
  entries: readonly Entry[] | undefined,
): ErrorFacts {
  const shown = entries ? processes.list(entries, principal).processes : []
  const states = shown
    .slice(0, PROCESSES_MAX)
    .map(({ name, state, pid, startedAt }) => ({ name, state, pid, startedAt }))
  return { observed: { at: isoTime(), processes: states } }
}

export function observedSupervisor({ supervisor, processes, principal }: Context): ErrorFacts {
  const { state, since, version, pid } = supervisor.brief()
  const groups = new Set(processes.list(undefined, principal).processes.map(({ group }) => group))
  return {
    observed: {
      at: isoTime(),
      supervisor: { state, since, version, pid },
      groups: [...groups].slice(0, PROCESSES_MAX),
    },
  }
}

export function observedToken({ tokens }: Context, idOrName: string): ErrorFacts {
  const records = tokens.list().filter(({ id, name }) => id === idOrName || name === idOrName)
  return { observed: { at: isoTime(), tokens: records } }
}

export async function observedProgram({ programs, principal }: Context, name: string): Promise<ErrorFacts> {
  const program = await programs.get(name, principal).catch(() => null)
  const shown = program && {
    name,
    revision: program.revision,
    processes: program.processes,
    running: program.running,
  }
  return { observed: { at: isoTime(), program: shown } }
}

export async function observedEntry(
  { crontabs }: Context,
  { id, user }: { id?: string | undefined; user?: string },
): Promise<ErrorFacts> {
  const found = id === undefined ? null : await crontabs.find(id)
  const { entry, revision } = found ?? {}
  const entries = entry
    ? [{ id: entry.id, user: found?.user, schedule: entry.schedule, enabled: entry.enabled, revision }]
    : []
  return { observed: { at: isoTime(), ...(user === undefined ? {} : { user }), entries } }
}

const RUNS_MAX = 5

/** The newest runs of an entry, or one run. */
export async function observedRuns(
  { cronRuns }: Context,
  { id, run }: { id?: string; run?: string },
): Promise<ErrorFacts> {
  const one = run === undefined ? null : cronRuns.find(run)
  const runs =
    id === undefined ? (one ? [one] : []) : await cronRuns.list({ id, limit: RUNS_MAX }).catch(() => [])
  return { observed: { at: isoTime(), runs } }
}
