// Programs: what there is of them, what a change of one would do, and the change itself.
import { AgentError } from '../../protocol/errors.ts'
import type { ProgramPreset } from '../../protocol/preset.ts'
import type { PlanAction, Program, ProgramRevision } from '../../protocol/program.ts'
import { mayUseProgram, type Principal } from '../access/principal.ts'
import type { SupervisorConnection } from '../supervisor/connection.ts'
import type { Discovery } from '../supervisor/discovery.ts'
import type { ProcessTable } from '../supervisor/process-table.ts'
import { configBroken } from './broken.ts'
import type { CommitOptions, Commits } from './commits.ts'
import type { Deeds, Prepared } from './draft.ts'
import type { Judge, Preparer, Wish } from './prepare.ts'
import type { PresetBook } from './presets/book.ts'
import { shownPreset } from './presets/show.ts'
import { programFiles } from './program-files.ts'
import { notFound, type SeenProgram, seenStateOf } from './program-state.ts'
import { assertMine, invalidProgram } from './refusals.ts'
import type { RevisionStore } from './revisions.ts'
import type { Trial } from './trial.ts'
import { shownDefinition, viewOf } from './view.ts'

export interface ProgramServiceDeps {
  preparer: Preparer
  commits: Commits
  revisions: RevisionStore
  trial: Trial
  connection: SupervisorConnection
  table: ProcessTable
  presets: PresetBook
  /** The first of `policy.logDirectories`. */
  logFolder: string
  discover: () => Promise<Discovery>
}

export interface Outcome {
  program: Program | null
  actions: PlanAction[]
  /** Of another number of processes: what came and what went. */
  started: readonly string[]
  stopped: readonly string[]
  warnings: string[]
}

export class ProgramService {
  readonly #deps: ProgramServiceDeps

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
    const looked = (deeds: Deeds): Deeds => ({
      ...deeds,
      broken,
      issues: [...deeds.issues, ...issues],
      warnings: [...new Set([...deeds.warnings, ...(deeds.judged?.notes ?? []), ...warnings])],
    })
    return { ...looked(made), ifRead: made.ifRead && looked(made.ifRead) }
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
    const done = made.isNew ? await this.#deps.commits.run(made, options) : made
    const state = made.change.kept === null ? null : await this.state(program)
    return {
      program: state && viewOf(state, this.#deps.table, options.judge.principal),
      actions: done.actions,
      started: done.started,
      stopped: done.stopped,
      warnings: done.warnings,
    }
  }

  /** @throws {AgentError} PROGRAM_NOT_FOUND */
  async state(name: string): Promise<SeenProgram> {
    const discovery = await this.#deps.discover()
    const at = programFiles(discovery).get(name)
    if (!at) throw notFound(name)
    return await seenStateOf(at, discovery, this.#deps)
  }
}
