// Programs: what there is of them, and every change of one. A change is judged, tried, written, applied to its own
// groups, verified, and undone when it does not hold.
import { KeyedMutex } from '../../lib/keyed-mutex.ts'
import { AgentError } from '../../protocol/errors.ts'
import type { ProgramPreset } from '../../protocol/preset.ts'
import type { PlanAction, Program, ProgramRevision } from '../../protocol/program.ts'
import { mayUseProgram, type Principal } from '../access/principal.ts'
import type { EventBus } from '../events/bus.ts'
import type { Policy } from '../policy/policy.ts'
import type { SupervisorConnection } from '../supervisor/connection.ts'
import type { Discovery } from '../supervisor/discovery.ts'
import type { ProcessTable } from '../supervisor/process-table.ts'
import type { StateWatch } from '../supervisor/state-watch.ts'
import { configBroken } from './broken.ts'
import { type ChangeRunner, HalfDone } from './change-runner.ts'
import type { Prepared } from './draft.ts'
import type { Intent, IntentStore } from './intent.ts'
import { logPaths } from './log-claims.ts'
import type { Judge, Preparer, Wish } from './prepare.ts'
import type { PresetBook } from './presets/book.ts'
import { shownPreset } from './presets/show.ts'
import { programFiles } from './program-files.ts'
import { notFound, type SeenProgram, sectionOf, seenStateOf } from './program-state.ts'
import { assertMine, invalidProgram } from './refusals.ts'
import type { RevisionStore } from './revisions.ts'
import type { Trial } from './trial.ts'
import { UnderWay } from './under-way.ts'
import { NotUp, rolledBack, verifyUp } from './verify.ts'
import { shownDefinition, viewOf } from './view.ts'

export interface ProgramServiceDeps {
  preparer: Preparer
  runner: ChangeRunner
  intents: IntentStore
  revisions: RevisionStore
  trial: Trial
  policy: Policy
  connection: SupervisorConnection
  table: ProcessTable
  watch: StateWatch
  bus: EventBus
  presets: PresetBook
  /** The first of `policy.logDirectories`. */
  logFolder: string
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

export interface Outcome {
  program: Program | null
  actions: PlanAction[]
  warnings: string[]
}

const VERIFY_MS = 1_000

export class ProgramService {
  readonly #deps: ProgramServiceDeps
  readonly #mutex = new KeyedMutex()
  readonly #underWay = new UnderWay()

  constructor(deps: ProgramServiceDeps) {
    this.#deps = deps
  }

  /** @throws {AgentError} FORBIDDEN for a program outside those of the token */
  assertMine(name: string, principal: Principal): void {
    assertMine(name, principal)
  }

  /** Every program that the principal may see, by name. */
  async list(principal: Principal): Promise<Program[]> {
    const discovery = await this.#deps.discover()
    const isAllowed = mayUseProgram(principal)
    const files = [...programFiles(discovery).values()].filter(({ name }) => isAllowed(name))
    const states = await Promise.all(
      // one that cannot be read is no reason to show none
      files.map((at) => seenStateOf(at, discovery, this.#deps).catch(() => null)),
    )
    return states
      .filter((state) => state !== null)
      .toSorted((a, b) => (a.name < b.name ? -1 : 1))
      .map((state) => viewOf(state, this.#deps.table, principal))
  }

  /** @throws {AgentError} PROGRAM_NOT_FOUND, FORBIDDEN */
  async get(name: string, principal: Principal): Promise<Program> {
    return viewOf(await this.state(name), this.#deps.table, principal)
  }

  /** Newest first. @throws {AgentError} PROGRAM_NOT_FOUND when there is none and never was */
  async history(name: string, principal: Principal): Promise<ProgramRevision[]> {
    const kept = await this.#deps.revisions.list(name)
    const state = await this.state(name).catch((error: unknown) => {
      if (kept.length > 0 && error instanceof AgentError && error.code === 'PROGRAM_NOT_FOUND') return null
      throw error
    })
    return kept.toReversed().map(({ revision, at, actor, method, ...rest }, index) => ({
      revision,
      at,
      ...(actor === undefined ? {} : { actor }),
      ...(method === undefined ? {} : { method }),
      current: index === kept.toReversed().findIndex((one) => one.revision === state?.revision),
      definition: shownDefinition(name, rest, principal),
    }))
  }

  /**
   * The presets of this host, or the one of that name.
   * @throws {AgentError} PROGRAM_INVALID when there is none of it
   */
  presets(name: string | undefined, show: boolean): ProgramPreset[] {
    const { presets: book, logFolder } = this.#deps
    const chosen = name === undefined ? book.all() : [book.need(name)]
    return chosen.map((one) => shownPreset(one, { book, logFolder, show }))
  }

  /** What a call would do, with no effect. @throws what {@link Preparer.prepare} throws */
  async prepare(wish: Wish, judge: Judge): Promise<Prepared> {
    const discovery = await this.#deps.discover()
    const made = await this.#deps.preparer.prepare(wish, judge, discovery)
    const { issues, warnings, broken } = await this.#deps.trial.look(made, discovery)
    return {
      ...made,
      broken,
      issues: [...made.issues, ...issues],
      warnings: [...new Set([...made.warnings, ...(made.judged?.notes ?? []), ...warnings])],
    }
  }

  /**
   * Carries out what was prepared, if nothing of it has changed since.
   * @throws {AgentError} PROGRAM_INVALID, CONFIG_BROKEN, REVISION_CONFLICT, POLICY_DENIED: nothing was done;
   * ROLLED_BACK: it did not come up, and what was before is back
   */
  async commit(made: Prepared, options: CommitOptions): Promise<Outcome> {
    const { connection } = this.#deps
    const { program } = made.change
    connection.assertUp()
    if (made.broken.length > 0) throw configBroken(made.broken)
    if (made.issues.length > 0) throw invalidProgram(program, made.issues)
    if (made.isNew) await this.#mutex.run(program, () => this.#commit(made, options))
    const state = made.change.kept === null ? null : await this.state(program)
    return {
      program: state && viewOf(state, this.#deps.table, options.judge.principal),
      actions: made.actions,
      warnings: made.warnings,
    }
  }

  /** @throws {AgentError} PROGRAM_NOT_FOUND */
  async state(name: string): Promise<SeenProgram> {
    const discovery = await this.#deps.discover()
    const at = programFiles(discovery).get(name)
    if (!at) throw notFound(name)
    return await seenStateOf(at, discovery, this.#deps)
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

  /** Two changes at the same moment must not take what either would be refused after the other. */
  async #commit(made: Prepared, options: CommitOptions): Promise<void> {
    const { program, kept } = made.change
    await this.#recover(program)
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
    made: Prepared,
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

  async #failed({ change }: Prepared, error: unknown, principal: Principal): Promise<unknown> {
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
    if (stillUndoing)
      return new AgentError(
        reason instanceof AgentError ? reason.code : 'SUPERVISOR_UNREACHABLE',
        `${error.message}; what was begun is undone as soon as that is possible, at the latest within a minute of it`,
        { facts: { program: change.program }, cause: reason },
      )
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
