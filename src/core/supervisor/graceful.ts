import type { ProcessSteps } from './process-steps.ts'
import type { Entry, ProcessTable } from './process-table.ts'
import type { Task } from './process-tasks.ts'

/** A program's own way to replace its processes, judged and ready to be used. */
export type Verb =
  | {
      by: 'command'
      /** What runs, for texts. */
      text: string
      /** The process stays and replaces its own workers. */
      keepsPid: boolean
      /** Asks all processes of the program. @returns what it said. @throws {AgentError} */
      ask: (signal: AbortSignal) => Promise<string>
    }
  | { by: 'signal'; signal: string }

/** By program. */
export type Verbs = ReadonlyMap<string, Verb>

/**
 * A restart by the programs' own verbs: a command runs once for all processes of its program, a signal goes to each.
 * Done when another process is RUNNING in its place. It is nothing to be seen through once nobody waits for it: a verb
 * that was used takes its course.
 */
export function gracefulTask(
  { steps, table, signal }: { steps: ProcessSteps; table: ProcessTable; signal: AbortSignal },
  entries: readonly Entry[],
  { verbs, wait }: { verbs: Verbs; wait: boolean },
): Task {
  const pids = new Map(entries.map(({ name, pid }) => [name, pid]))
  const asked = new Map<string, Promise<string>>()
  const ask = (program: string, verb: Extract<Verb, { by: 'command' }>) => {
    const asking = asked.get(program) ?? verb.ask(signal)
    asking.catch(() => undefined) // each row that waits for it says it
    asked.set(program, asking)
    return asking
  }
  return {
    until: ['RUNNING', 'BACKOFF', 'FATAL'],
    stops: false,
    isWhole: false,
    run: async (name, ends, turn) => {
      const { program } = table.need(name)
      const pid = pids.get(name)
      const verb = verbs.get(program)
      if (!verb || typeof pid !== 'number') return await steps.start(name, wait, ends)
      turn.note = `${verb.by === 'signal' ? `signal ${verb.signal}` : verb.text} has not ended yet`
      const said =
        verb.by === 'signal'
          ? await steps.signal(name, verb.signal, ends).then(() => `signal ${verb.signal} was sent`)
          : await ask(program, verb)
      if (!wait || (verb.by === 'command' && verb.keepsPid)) return true
      turn.note = `it was not replaced, and has pid ${pid} as before; ${said}`
      await steps.replaced(name, pid, ends)
      return true
    },
  }
}
