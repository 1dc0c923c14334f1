// The verbs by which programs replace their own workers: found by their presets, judged, run as their users.
import { AgentError } from '../../protocol/errors.ts'
import { type RunAs, RunAsError, type Task, type TaskEnd } from '../host/run-as.ts'
import { Accounts } from '../policy/accounts.ts'
import { commandWords } from '../policy/command-words.ts'
import type { Policy } from '../policy/policy.ts'
import type { ResolvedProgram, Verdict } from '../policy/subject.ts'
import type { ConfigSection } from '../supervisor/config-file.ts'
import type { Discovery } from '../supervisor/discovery.ts'
import type { Verb, Verbs } from '../supervisor/graceful.ts'
import type { Entry } from '../supervisor/process-table.ts'
import { readVariables } from './environment-text.ts'
import type { Judge } from './prepare.ts'
import type { PresetBook } from './presets/book.ts'
import { commandOf } from './presets/command.ts'
import { programFiles } from './program-files.ts'
import { type SeenProgram, type StateDeps, seenStateOf } from './program-state.ts'

const VERB_MS = 60_000
const SAID_CHARS = 400
/** Where supervisord's own environment cannot be seen. */
const USUAL_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'

export interface GracefulDeps extends StateDeps {
  presets: PresetBook
  policy: Policy
  runAs: RunAs
  discover: () => Promise<Discovery>
}

export class GracefulVerbs {
  readonly #deps: GracefulDeps
  readonly #accounts = new Accounts()

  constructor(deps: GracefulDeps) {
    this.#deps = deps
  }

  /**
   * The verbs of the programs that these processes are of. A program that others wrote, or changed by hand, has none.
   * @throws {AgentError} POLICY_DENIED when this host does not let a verb run
   */
  async find(entries: readonly Entry[], judge: Judge): Promise<Verbs> {
    const discovery = await this.#deps.discover()
    const files = programFiles(discovery)
    const verbs = new Map<string, Verb>()
    for (const program of new Set(entries.map((entry) => entry.program))) {
      const at = files.get(program)
      const state = at?.source === 'managed' ? await seenStateOf(at, discovery, this.#deps) : null
      const verb = state && (await this.#verb(state, discovery, judge))
      if (verb) verbs.set(program, verb)
    }
    return verbs
  }

  async #verb(state: SeenProgram, discovery: Discovery, judge: Judge): Promise<Verb | null> {
    const { presets, policy } = this.#deps
    const graceful = state.kept?.definition ? presets.graceful(state.kept.definition) : null
    if (graceful === null || graceful.by === 'signal') return graceful
    const { keys } = state.at.section
    const definition = {
      name: state.name,
      command: commandOf(graceful.argv),
      directory: keys.get('directory'),
      user: keys.get('user'),
      stdoutLogfile: 'NONE',
      stderrLogfile: 'NONE',
    }
    // whom the program may run as was judged when it was put; a restart needs no right of its own to that
    const principal = { ...judge.principal, users: ['*'] }
    const judged = await judge.enforce(policy.judge({ kind: 'program', definition }, principal))
    const text = graceful.argv.join(' ')
    return {
      by: 'command',
      text,
      keepsPid: graceful.keepsPid ?? false,
      ask: async (signal) => {
        if (!(await policy.stillHolds(judged)))
          throw new AgentError('POLICY_DENIED', `${text}: a file of it was replaced while it was judged`, {
            facts: { rule: 'policy.directories', program: state.name },
          })
        const end = await this.#run(await this.#task(state, judged, discovery), text, signal)
        return told(text, end, judge.principal.scopes.has('logs'))
      },
    }
  }

  async #run(task: Task, text: string, signal: AbortSignal): Promise<TaskEnd> {
    try {
      return await this.#deps.runAs.run(task, signal)
    } catch (error) {
      if (!(error instanceof RunAsError)) throw error
      throw new AgentError('STOP_FAILED', `${text} could not be run: ${error.message}`, { cause: error })
    }
  }

  async #task(
    state: SeenProgram,
    { resolved }: Verdict<ResolvedProgram>,
    { supervisord, sections }: Discovery,
  ): Promise<Task> {
    const [program, ...args] = commandWords(resolved?.command ?? '') ?? []
    if (!resolved || !program)
      throw new AgentError('STOP_FAILED', `as whom ${state.name} runs cannot be told`)
    const account = await this.#accounts.find(resolved.user.uid)
    const home = account?.home || '/'
    const { name } = resolved.user
    return {
      user: { ...resolved.user, gid: account?.gid ?? -1 },
      argv: [program.text, ...args.map(({ text }) => text)],
      env: {
        ...(supervisord?.environment ?? { PATH: USUAL_PATH, HOME: home, USER: name, LOGNAME: name }),
        ...variablesOf(
          sections.find(({ header }) => header === 'supervisord'),
          state.start,
        ),
        ...variablesOf(state.at.section, state.start),
      },
      directory: resolved.directory ?? supervisord?.cwd ?? '/',
      deadlineMs: VERB_MS,
    }
  }
}

/** The variables that a section sets, as the first process of a program has them. */
function variablesOf(section: ConfigSection | undefined, start: number): Record<string, string> {
  const found = readVariables(section?.keys.get('environment') ?? '') ?? {}
  const filled = Object.entries(found).map(([name, value]) => [
    name,
    value.replaceAll(/%\(process_num\)0?(\d?)[ds]/g, (_, width: string) =>
      String(start).padStart(Number(width), '0'),
    ),
  ])
  return Object.fromEntries(filled)
}

/** What came of a verb. @throws {AgentError} STOP_FAILED when it failed */
function told(text: string, { exitStatus, signal, isLate, output }: TaskEnd, maySee: boolean): string {
  const lines = output
    .trim()
    .split(/\s*\n\s*/)
    .join(' / ')
    .slice(-SAID_CHARS)
  const said = maySee && lines !== '' ? `, and said: ${lines}` : ''
  if (exitStatus === 0) return `${text} was done${said}`
  const how = isLate
    ? `did not end within ${VERB_MS / 1000} s`
    : `ended with ${exitStatus === null ? signal : `exit status ${exitStatus}`}`
  throw new AgentError('STOP_FAILED', `${text} ${how}${said}; the processes were left as they are`)
}
