// A prepared change of a program is carried out: judged once more, tried, written, applied to its own groups, verified,
// and undone when it does not hold. One at a time for each program.
import { KeyedMutex } from '../../lib/keyed-mutex.ts'
import { AgentError } from '../../protocol/errors.ts'
import type { Principal } from '../access/principal.ts'
import type { EventBus } from '../events/bus.ts'
import type { Policy } from '../policy/policy.ts'
import type { Discovery } from '../supervisor/discovery.ts'
import type { ProcessGroups } from '../supervisor/process-groups.ts'
import type { StateWatch } from '../supervisor/state-watch.ts'
import { type ChangeRunner, HalfDone } from './change-runner.ts'
import type { Deeds, Prepared } from './draft.ts'
import type { Intent, IntentStore } from './intent.ts'
import { logPaths } from './log-claims.ts'
import type { Judge, Preparer } from './prepare.ts'
import { programFiles } from './program-files.ts'
import { sectionOf } from './program-state.ts'
import type { RevisionStore } from './revisions.ts'
import type { Trial } from './trial.ts'
import { UnderWay } from './under-way.ts'
import { NotUp, rolledBack, verifyUp } from './verify.ts'

export interface CommitsDeps {
  preparer: Preparer
  runner: ChangeRunner
  intents: IntentStore
  revisions: RevisionStore
  trial: Trial
  groups: ProcessGroups
  policy: Policy
  watch: StateWatch
  bus: EventBus
  discover: () => Promise<Discovery>
  /** The end of what a process wrote. */
  logTail: (process: string) => Promise<string>
}

export interface CommitOptions {
  judge: Judge
  /** How long each process must have been up; default: a second, or `startsecs` where that is longer. */
  verifyMs?: number | undefined
  signal: AbortSignal
  onProgress: (done: number, total: number, text: string) => void
}

const VERIFY_MS = 1_000
const UNDONE_LATER =
  'what was begun is undone as soon as that is possible, at the latest within a minute of it'

export class Commits {
  readonly #deps: CommitsDeps
  readonly #mutex = new KeyedMutex()
  readonly #underWay = new UnderWay()

  constructor(deps: CommitsDeps) {
    this.#deps = deps
  }

  /**
   * Carries out what was prepared, if nothing of it has changed since.
   * @returns what was done
   * @throws {AgentError} REVISION_CONFLICT, POLICY_DENIED, PROGRAM_INVALID, CONFIG_BROKEN: nothing was done; ROLLED_BACK
   */
  async run(made: Prepared, options: CommitOptions): Promise<Deeds> {
    const { program } = made.change
    return await this.#mutex.run(program, async () => {
      await this.#recover(program).catch((error: unknown) => {
        throw notBegun(error)
      })
      const deeds = await this.#asRead(made, options.signal)
      if (deeds.isNew) await this.#commit(deeds, options)
      return deeds
    })
  }

  /** Runs a task while no call changes the program. */
  alone(program: string, task: () => Promise<void>): Promise<void> {
    return this.#mutex.run(program, async () => {
      await this.#recover(program)
      await task()
    })
  }

  /** Before supervisord is asked for the first time: what was half done is off the disk again. */
  async undoFiles(): Promise<void> {
    const { intents, runner } = this.#deps
    await intents.sweep()
    for (const program of await intents.pending()) {
      const intent = await intents.get(program)
      if (intent && !intent.done) await runner.undoFiles(intent)
    }
  }

  /** supervisord can be asked: whatever an end in the middle of a change left is brought to its end. */
  async recover(): Promise<void> {
    for (const program of await this.#deps.intents.pending())
      await this.#mutex.run(program, () => this.#recover(program))
  }

  /** Tells of a change that stands. */
  stands(intent: Intent): void {
    const { bus } = this.#deps
    const { program, action, actor, kept } = intent
    const by = actor ?? undefined
    if (action === 'delete') bus.publish('program.removed', { program }, by)
    else if (kept !== null) bus.publish('program.applied', { program, action, revision: kept.revision }, by)
  }

  /** Where others changed the file: whether supervisord runs that already is known once it has read its files. */
  async #asRead(made: Prepared, signal: AbortSignal): Promise<Deeds> {
    if (made.ifRead === null) return made
    try {
      const { changed } = await this.#deps.groups.reread(signal)
      return changed.includes(made.change.program) ? made : made.ifRead
    } catch (error) {
      // what it refuses it cannot run
      if (error instanceof AgentError && error.facts['fault'] === 'CANT_REREAD') return made
      throw error
    }
  }

  /** Two changes at the same moment must not take what either would be refused after the other. */
  async #commit(made: Deeds, options: CommitOptions): Promise<void> {
    const { program, kept } = made.change
    const discovery = await this.#deps.discover()
    const logs = kept ? await logPaths(sectionOf(program, kept.text), discovery) : []
    const { principal } = options.judge
    if (this.#underWay.hasLogBeside(program, logs) && !principal.isAbovePolicy)
      throw new AgentError(
        'POLICY_DENIED',
        `${program}: a log file of it is taken by another program at this moment: name a file that is not there yet`,
        { facts: { rule: 'policy.logDirectories', program } },
      )
    const isNew = kept !== null && programFiles(discovery).get(program)?.source !== 'managed'
    await this.#underWay.during(program, { isNew, logs }, (others) => this.#carryOut(made, others, options))
  }

  async #carryOut(
    made: Deeds,
    others: readonly string[],
    { judge, verifyMs, signal, onProgress }: CommitOptions,
  ): Promise<void> {
    const { runner, revisions, policy, preparer, trial, watch, logTail } = this.#deps
    const { change, expects, startSecs, judged } = made
    if (judged && !(await policy.stillHolds(judged)))
      throw new AgentError(
        'POLICY_DENIED',
        `${change.program}: a folder or file of it was replaced by another while it was judged: look at it again`,
        { facts: { rule: 'policy.directories', program: change.program } },
      )
    const discovery = await this.#deps.discover()
    await preparer.confirm(change, judge, { discovery, others })
    await trial.judge(change, discovery)
    // whatever comes of the change, supervisord makes them, and they stay
    if (change.kept)
      await revisions.addLogs(
        change.program,
        await logPaths(sectionOf(change.program, change.kept.text), discovery),
      )
    const total = change.files.length + change.steps.length + 4
    let done = 0
    try {
      await runner.run(change, {
        signal,
        verify: (unless) =>
          verifyUp(watch, expects, {
            verifyMs: verifyMs ?? Math.max(VERIFY_MS, startSecs * 1000),
            startSecs,
            signal: unless,
            logTail,
            onUp: (process) => onProgress(done, total, `${process} is up`),
          }),
        onStep: (text) => onProgress(++done, total, text),
      })
    } catch (error) {
      throw await this.#failed(made, error, judge.principal)
    }
  }

  async #failed({ change }: Deeds, error: unknown, principal: Principal): Promise<unknown> {
    const { bus, trial, discover } = this.#deps
    const stillUndoing = error instanceof HalfDone
    const reason = stillUndoing ? error.cause : error
    if (reason instanceof NotUp) {
      const { logTail } = reason
      const { program, action, actor } = change
      const told = { program, action, reason: reason.message }
      bus.publish('program.rolledBack', logTail === '' ? told : { ...told, logTail }, actor ?? undefined)
      return rolledBack(program, reason, {
        withLogs: principal.scopes.has('logs'),
        stillUndoing,
      })
    }
    if (stillUndoing) {
      const { program } = change
      const [code, abroad] = reason instanceof AgentError ? [reason.code, reason.abroad] : []
      return new AgentError(code ?? 'SUPERVISOR_UNREACHABLE', `${error.message}; ${UNDONE_LATER}`, {
        facts: { program },
        abroad: abroad && `${program}: ${abroad}; ${UNDONE_LATER}`,
        cause: reason,
      })
    }
    return await trial.refusalOf(change, reason, discover)
  }

  async #recover(program: string): Promise<void> {
    const intent = await this.#deps.intents.get(program)
    if (!intent) return
    if (await this.#deps.runner.recover(intent)) return
    const { action, actor } = intent
    this.#deps.bus.publish(
      'program.rolledBack',
      { program, action, reason: 'the agent or supervisord ended in the middle of it' },
      actor ?? undefined,
    )
  }
}

/** What speaks against a change before it is begun: a repeat of the call may well succeed. */
function notBegun(error: unknown): unknown {
  if (!(error instanceof AgentError)) return error
  const { code, message, abroad, facts } = error
  return new AgentError(code, message, {
    facts: { ...facts, begun: false },
    abroad,
    cause: error,
  })
}
