// What the agent does about programs by itself: it folds surge groups away once a full restart has made them
// superfluous, and tells when somebody edited a file of ours.
import { basename } from 'node:path'
import { isoTime } from '../../lib/iso-time.ts'
import type { Logger } from '../../logger.ts'
import type { EventBus } from '../events/bus.ts'
import type { Discovery } from '../supervisor/discovery.ts'
import type { ProcessTable } from '../supervisor/process-table.ts'
import { signOf } from '../supervisor/recent-files.ts'
import type { ChangeRunner } from './change-runner.ts'
import { unifiedDiff } from './diff.ts'
import { readConfigFile } from './file-change.ts'
import { numberOf } from './instances.ts'
import { programFiles } from './program-files.ts'
import { seenStateOf } from './program-state.ts'
import type { RevisionStore } from './revisions.ts'
import { isSuperseded, type Surge } from './scale.ts'

/** A burst of changes, as of an update, is looked at once. */
const SETTLE_MS = 100
/** Until the files of a supervisord that has just come back can be seen. */
const UNSEEN_MS = 500
/** How names of files of ours begin. */
const OURS = 'agent-'
const SURGE = /^(.+)\.surge\d+$/

export interface UpkeepDeps {
  table: ProcessTable
  revisions: RevisionStore
  runner: ChangeRunner
  bus: EventBus
  discover: () => Promise<Discovery>
  /** Runs a task while nothing else changes the program. */
  alone: (program: string, task: () => Promise<void>) => Promise<void>
  logger: Logger
}

export class Upkeep {
  readonly #deps: UpkeepDeps
  /** The revision of each file that was edited by hand, as it was told last. */
  readonly #told = new Map<string, string>()
  /** Where an edit by hand shows, and how that looked when it was read. */
  #places: readonly string[] = []
  #sign: string | null = null
  #supervisords = 0
  #forget: (() => void) | null = null
  #timer: NodeJS.Timeout | null = null

  constructor(deps: UpkeepDeps) {
    this.#deps = deps
  }

  start(): void {
    this.#forget = this.#deps.table.onChange(() => this.#soon())
    this.#soon()
  }

  stop(): void {
    this.#forget?.()
    this.#forget = null
    if (this.#timer) clearTimeout(this.#timer)
  }

  /** Another supervisord: it may read other files. */
  lookAnew(): void {
    this.#supervisords++
    this.#sign = null
  }

  /**
   * Compares the files of ours with what the agent wrote, and tells each edit once. While nothing changes there it asks
   * for nothing but their times: to read hundreds of files is megabytes of garbage.
   */
  async drift(): Promise<void> {
    const beganAtMs = Date.now()
    const supervisords = this.#supervisords
    if (this.#sign !== null && this.#sign === (await signOf(this.#places, beganAtMs))) return
    const discovery = await this.#deps.discover()
    const managed = [...programFiles(discovery).values()].filter(({ source }) => source === 'managed')
    // also one that is no program as it stands
    const ours = discovery.files.filter((file) => basename(file).startsWith(OURS))
    this.#places = [discovery.mainFile, discovery.programDir, ...ours].filter((path) => path !== null)
    const sign = await signOf(this.#places, beganAtMs)
    // what cannot be read is not among them
    const isAllSeen = discovery.mainFile !== null && discovery.errors.length + discovery.problems.length === 0
    this.#sign = isAllSeen && supervisords === this.#supervisords ? sign : null
    for (const at of managed) {
      const state = await seenStateOf(at, discovery, this.#deps).catch(() => null)
      // what cannot be read now is looked at again
      if (!state) this.#sign = null
      if (!state?.drift) this.#told.delete(at.name)
      if (!state?.drift || this.#told.get(at.name) === state.revision) continue
      this.#told.set(at.name, state.revision)
      const last = (await this.#deps.revisions.list(at.name).catch(() => [])).at(-1)
      this.#deps.bus.publish('program.drift', {
        program: at.name,
        file: at.file,
        revision: state.revision,
        ...(last ? { diff: unifiedDiff(at.file, last.text, state.text) } : {}),
      })
    }
  }

  #soon(ms = SETTLE_MS): void {
    if (!this.#forget || this.#timer || this.#superseded().length === 0) return
    this.#timer = setTimeout(() => {
      this.#timer = null
      void this.fold().catch((error: unknown) => {
        this.#deps.logger.warn({ err: error }, 'the surge groups of a program could not be folded away')
      })
    }, ms)
  }

  /** Programs whose own group has processes that a surge group has too. */
  #superseded(): string[] {
    const programs = new Set<string>()
    const entries = this.#deps.table.all().filter(({ managed }) => managed)
    const surging = new Set(entries.flatMap(({ group }) => SURGE.exec(group)?.[1] ?? []))
    for (const name of surging) {
      const instances = entries
        .filter(({ program }) => program === name)
        .map((entry) => ({ ...entry, index: numberOf(entry) ?? 0, isUp: entry.pid !== null }))
      if (instances.some((instance) => isSuperseded(instance, instances, name))) programs.add(name)
    }
    return [...programs]
  }

  /** Removes the surge groups whose numbers the program's own group has again. */
  async fold(): Promise<void> {
    for (const name of this.#superseded())
      await this.#deps.alone(name, async () => {
        if (!this.#superseded().includes(name)) return
        const discovery = await this.#deps.discover()
        const at = programFiles(discovery).get(name)
        // without its groups nothing would ever lead to their files again
        if (at) await this.#remove(name, at.surges)
        else this.#soon(UNSEEN_MS)
      })
  }

  async #remove(name: string, surges: readonly Surge[]): Promise<void> {
    const files = []
    for (const { file } of surges) {
      const found = await readConfigFile(file)
      if (found)
        files.push({ path: file, before: found.text, after: null, mode: found.mode, owner: found.owner })
    }
    const running = this.#deps.table
      .all()
      .flatMap(({ group }) => (SURGE.exec(group)?.[1] === name ? [group] : []))
    const groups = [...new Set([...surges.map(({ group }) => group), ...running])]
    const steps = groups.map((group) => ({ do: 'remove' as const, group, ran: [] }))
    await this.#deps.runner.run(
      { program: name, action: 'fold', actor: null, at: isoTime(), files, steps, kept: null },
      { signal: new AbortController().signal, verify: async () => undefined, onStep: () => undefined },
    )
    this.#deps.logger.info({ program: name, groups }, 'surge groups folded away')
  }
}
