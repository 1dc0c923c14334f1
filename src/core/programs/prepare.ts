// From a call to what it would do. Nothing is changed here: a plan shows what comes out of it, a put carries it out.
import type { Definition } from '../../protocol/definition.ts'
import { AgentError } from '../../protocol/errors.ts'
import type { Principal } from '../access/principal.ts'
import type { Policy } from '../policy/policy.ts'
import type { ResolvedProgram, Verdict } from '../policy/subject.ts'
import type { Discovery } from '../supervisor/discovery.ts'
import { adopted } from './adopt.ts'
import { issuesOf, withDefaults } from './definition.ts'
import { type Draft, type Prepared, prepared } from './draft.ts'
import { howOf, isOnlySize, unreadOf } from './how.ts'
import { IniDocument } from './ini/document.ts'
import { asResolved, judgeable } from './judgeable.ts'
import { logPaths, withLogs } from './log-claims.ts'
import type { PresetBook } from './presets/book.ts'
import { type ProgramFile, programFiles } from './program-files.ts'
import { type ProgramState, type StateDeps, sectionOf, stateOf } from './program-state.ts'
import { editSection, readSection } from './read.ts'
import {
  assertMine,
  assertOurs,
  checkRevision,
  drifted,
  lodgers,
  need,
  newFile,
  obstacles,
} from './refusals.ts'
import { renderFile, withHead } from './render.ts'

/** What a call wishes for. */
export type Wish =
  | { action: 'put'; definition: Definition; ifRevision?: string | undefined }
  | { action: 'delete'; name: string; ifRevision?: string | undefined }
  | { action: 'scale'; name: string; processes: number }
  | { action: 'enable' | 'disable' | 'adopt'; name: string }
  | { action: 'restore'; name: string; revision: string }

export interface Judge {
  principal: Principal
  /** @throws {AgentError} FORBIDDEN, POLICY_DENIED */
  enforce: <V extends Verdict>(judging: Promise<V>) => Promise<V>
}

export interface PreparerDeps extends StateDeps {
  policy: Policy
  presets: PresetBook
  /** The first of `policy.logDirectories`. */
  logFolder: string
}

interface Judging {
  site: Site
  before: ProgramState | null
  isNew?: boolean
  /** New programs of other changes that are under way. */
  others?: readonly string[]
}

interface Site {
  discovery: Discovery
  all: Map<string, ProgramFile>
  judge: Judge
}

export class Preparer {
  readonly #deps: PreparerDeps

  constructor(deps: PreparerDeps) {
    this.#deps = deps
  }

  /**
   * @throws {AgentError} FORBIDDEN, POLICY_DENIED; PROGRAM_NOT_FOUND, REVISION_CONFLICT; PROGRAM_INVALID for what has
   * no file to be shown
   */
  async prepare(wish: Wish, judge: Judge, discovery: Discovery): Promise<Prepared> {
    const name = wish.action === 'put' ? wish.definition.name : wish.name
    assertMine(name, judge.principal)
    const all = programFiles(discovery)
    const at = all.get(name)
    const state = at ? await stateOf(at, discovery, this.#deps) : null
    return await prepared(await this.#draft(wish, state, { discovery, all, judge }), discovery)
  }

  /**
   * Judges a file that is about to be written once more, by what is there by now.
   * @param others new programs of other changes that are under way
   * @throws {AgentError} FORBIDDEN, POLICY_DENIED
   */
  async confirm(
    { program, kept }: Prepared['change'],
    judge: Judge,
    { discovery, others }: { discovery: Discovery; others: readonly string[] },
  ): Promise<void> {
    if (kept === null) return
    const all = programFiles(discovery)
    const at = all.get(program)
    const before = at ? await stateOf(at, discovery, this.#deps) : null
    const site = { discovery, all, judge }
    await this.#judged(program, kept.text, { site, before, isNew: at?.source !== 'managed', others })
  }

  async #draft(wish: Wish, state: ProgramState | null, site: Site): Promise<Draft> {
    switch (wish.action) {
      case 'put':
        checkRevision(wish.definition.name, state, wish.ifRevision)
        if (state) assertOurs(state)
        return await this.#put(wish.definition, state, site, 'put')
      case 'restore':
        if (state) assertOurs(state)
        return await this.#restore(wish, state, site)
      case 'adopt':
        return await this.#adopt(need(wish.name, state), site)
      case 'delete':
        checkRevision(wish.name, state, wish.ifRevision)
        return await this.#delete(need(wish.name, state), site)
      case 'scale':
        return await this.#changed(need(wish.name, state), { processes: wish.processes }, site, 'scale')
      case 'enable':
      case 'disable':
        return await this.#changed(
          need(wish.name, state),
          { autostart: wish.action === 'enable' },
          site,
          wish.action,
        )
    }
  }

  async #put(
    definition: Definition,
    before: ProgramState | null,
    site: Site,
    action: 'put' | 'scale' | 'enable' | 'disable',
  ): Promise<Draft> {
    const expanded = this.#deps.presets.expand(definition)
    const { warnings } = expanded
    const whole = withDefaults(expanded.definition, this.#deps.logFolder)
    const base = await this.#base(whole.name, before, { site, action })
    const issues = expanded.issues.length > 0 ? expanded.issues : issuesOf(whole)
    if (before === null) issues.push(...(await obstacles(whole.name, { ...this.#deps, ...base })))
    if (issues.length > 0) return { ...base, text: before?.file.text ?? null, how: 'none', issues, warnings }
    const wanted = before ? edited(before, whole) : renderFile(whole)
    const { text, judged } = await this.#judged(whole.name, wanted, { site, before })
    const isSize = before?.kept?.definition !== undefined && isOnlySize(before.kept.definition, definition)
    const how = howOf(before, text, isSize)
    return {
      ...base,
      text,
      judged,
      how,
      asked: definition,
      warnings,
      ...(await unreadOf(before, this.#deps.revisions)),
    }
  }

  /** One field anew; of a file that was taken over, by the one key alone. */
  async #changed(
    before: ProgramState,
    patch: { processes: number } | { autostart: boolean },
    site: Site,
    action: 'scale' | 'enable' | 'disable',
  ): Promise<Draft> {
    assertOurs(before)
    if (before.drift) throw drifted(before, 'put it as it is to be, with')
    const known = before.kept?.definition
    if (known) return { ...(await this.#put({ ...known, ...patch }, before, site, action)), how: action }
    const whole = { ...before.definition, ...patch, name: before.name }
    const wanted = edited(before, whole)
    const { text, judged } = await this.#judged(before.name, wanted, { site, before })
    return { ...(await this.#base(before.name, before, { site, action })), text, judged, how: action }
  }

  async #restore(
    { name, revision }: { name: string; revision: string },
    before: ProgramState | null,
    site: Site,
  ): Promise<Draft> {
    const kept = await this.#deps.revisions.find(name, revision)
    if (!kept)
      throw new AgentError(
        'PROGRAM_NOT_FOUND',
        `${name} has no revision ${revision}; agent program history ${name} shows all`,
        { facts: { program: name, revision } },
      )
    const base = await this.#base(name, before, { site, action: 'restore' })
    const { text, judged } = await this.#judged(name, kept.text, { site, before })
    return {
      ...base,
      issues: before ? lodgers(before) : await obstacles(name, { ...this.#deps, ...base }),
      text,
      judged,
      how: howOf(before, text, false),
      ...(kept.definition ? { asked: kept.definition } : {}),
      ...(await unreadOf(before, this.#deps.revisions)),
    }
  }

  async #adopt(before: ProgramState, site: Site): Promise<Draft> {
    const base = await this.#base(before.name, before, { site, action: 'adopt' })
    if (before.at.source === 'managed') return await this.#accept(before, site, base)
    const { text: moved, others, issues } = adopted(before, base.path, site.discovery)
    if (issues.length > 0) return { ...base, text: null, how: 'none', issues }
    const { text, judged } = await this.#judged(before.name, moved, { site, before, isNew: true })
    return { ...base, text, judged, how: 'none', others, warnings: before.notes }
  }

  /** A file of ours as others have changed it. */
  async #accept(before: ProgramState, site: Site, base: Omit<Draft, 'text' | 'how'>): Promise<Draft> {
    const found = before.file.text
    if (!before.drift) return { ...base, text: found, how: 'none' }
    const issues = lodgers(before)
    if (issues.length > 0) return { ...base, text: found, how: 'none', issues }
    const { text, judged } = await this.#judged(before.name, found, { site, before })
    const how = howOf(before, text, false)
    return {
      ...base,
      text,
      judged,
      how,
      warnings: before.notes,
      ...(await unreadOf(before, this.#deps.revisions)),
    }
  }

  async #delete(before: ProgramState, site: Site): Promise<Draft> {
    assertOurs(before)
    return {
      ...(await this.#base(before.name, before, { site, action: 'delete' })),
      text: null,
      how: before.instances.length > 0 || before.at.surges.length > 0 ? 'remove' : 'none',
      issues: lodgers(before),
    }
  }

  async #base(
    name: string,
    before: ProgramState | null,
    { site, action }: { site: Site; action: string },
  ): Promise<Omit<Draft, 'text' | 'how'>> {
    const path = before?.at.source === 'managed' ? before.at.file : await newFile(name, site.discovery)
    const { actor } = site.judge.principal
    return { name, action, actor, path, before, warnings: [], issues: [], judged: null }
  }

  /** Lets the policy judge a file as it will be, and puts in what it must be used as. */
  async #judged(
    name: string,
    text: string,
    { site, before, isNew = before === null, others = [] }: Judging,
  ): Promise<{ text: string; judged: Verdict<ResolvedProgram> }> {
    const { judge, all, discovery } = site
    const managed = [...all.values()].flatMap((one) => (one.source === 'managed' ? [one.name] : []))
    const definition = judgeable(name, sectionOf(name, text))
    const count = isNew ? { count: new Set([...managed, ...others, name]).size } : {}
    const verdict = await this.#deps.policy.judge({ kind: 'program', definition, ...count }, judge.principal)
    const written = verdict.resolved === null ? text : asResolved(name, text, verdict.resolved)
    const claim = { name, section: sectionOf(name, written), discovery, principal: judge.principal }
    const judged = await judge.enforce(
      withLogs(verdict, claim, async () => [
        ...(before ? await logPaths(before.at.section, discovery) : []),
        ...(await this.#deps.revisions.logs(name)),
      ]),
    )
    return { text: withHead(written, name), judged }
  }
}

/** The file of a program with another definition; comments, order and keys that we do not know stay. */
function edited({ name, at, file }: ProgramState, to: Definition): string {
  const document = IniDocument.parse(file.text)
  editSection(document, `program:${name}`, { from: readSection(at.section).definition, to })
  return document.text
}
