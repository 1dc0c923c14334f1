// Carries out a change of one program so that it is done as a whole or not at all, whatever happens in the middle:
// what is about to be done is on disk first, and an end halfway is undone by whoever starts next.
import { KeyedMutex } from '../../lib/keyed-mutex.ts'
import type { Logger } from '../../logger.ts'
import { AgentError } from '../../protocol/errors.ts'
import type { ProcessGroups } from '../supervisor/process-groups.ts'
import type { ProcessSteps } from '../supervisor/process-steps.ts'
import type { ProcessTable } from '../supervisor/process-table.ts'
import { applyChange, type FileChange, settleChange, undoChange } from './file-change.ts'
import { type GroupStep, type Intent, type IntentStore, textOf } from './intent.ts'

/** What is to become of files and groups. */
export type Change = Omit<Intent, 'begun' | 'done'>

export interface RunOptions {
  /** Up to the end of the verification; from then on the change stands. */
  signal: AbortSignal
  /** Throws when the change must be undone. */
  verify: (signal: AbortSignal) => Promise<void>
  /** Called after each step, with words for a person. */
  onStep: (text: string) => void
}

export interface ChangeRunnerDeps {
  intents: IntentStore
  groups: ProcessGroups
  steps: ProcessSteps
  table: ProcessTable
  /** The files were changed, and supervisord has read them. */
  onFiles: () => Promise<void>
  /** Keeps what is to be restored one day. */
  keep: (intent: Intent) => Promise<void>
  /** Takes that back. */
  unkeep: (intent: Intent) => Promise<void>
  /** A change stands, and is told. May be called again after an end in the middle of it. */
  stands: (intent: Intent) => void
  logger: Logger
}

/** How long a process may take to show in memory after its group came or went: whoever asked is named in its events. */
const FORGET_MS = 5_000

export class ChangeRunner {
  readonly #deps: ChangeRunnerDeps
  readonly #files = new KeyedMutex()

  constructor(deps: ChangeRunnerDeps) {
    this.#deps = deps
  }

  /**
   * Writes the files, lets supervisord read them, takes the steps, verifies; undoes it all when one of these fails.
   * @throws {HalfDone} when it failed and cannot be undone yet; else what failed
   */
  async run(change: Change, { signal, verify, onStep }: RunOptions): Promise<void> {
    const { intents, keep, groups } = this.#deps
    const { gone } = groups
    const intent: Intent = { ...change, begun: 0, done: false }
    await intents.write(intent)
    onStep('noted what is to be done')
    try {
      await this.#files.run('files', () => this.#write(intent, signal, onStep))
      for (const step of change.steps) {
        signal.throwIfAborted()
        intent.begun++
        await intents.write(intent)
        await this.#take(step, change.actor, signal)
        onStep(textOf(step))
      }
      await verify(AbortSignal.any([signal, gone]))
      await keep(intent)
      onStep('kept as a revision')
      await intents.write({ ...intent, done: true })
    } catch (error) {
      await this.undo(intent).catch((failure: unknown) => {
        this.#deps.logger.error({ err: failure, program: change.program }, 'a change could not be undone yet')
        throw new HalfDone(change.program, error)
      })
      throw error
    }
    onStep('it stands')
    await this.#settle(intent)
  }

  /** Ends what an agent that was killed had begun. Safe to repeat. @returns false when it was undone */
  async recover(intent: Intent): Promise<boolean> {
    if (!intent.done) {
      await this.undo(intent)
      return false
    }
    await this.#settle(intent)
    return true
  }

  async #settle(intent: Intent): Promise<void> {
    this.#deps.stands(intent)
    for (const file of intent.files) await settleChange(file)
    await this.#deps.intents.delete(intent.program)
  }

  /** Undoes what was begun, as far as it was. Safe to repeat. */
  async undo(intent: Intent): Promise<void> {
    const { intents, groups, logger } = this.#deps
    const runs = intent.begun > 0 && (await this.#backAsItRuns(intent))
    if (!runs)
      await this.#files.run('files', async () => {
        await this.undoFiles(intent)
        // while no group was touched there is nothing to undo but what supervisord has read, and it reads again
        await this.#reread().catch((error: unknown) => {
          if (intent.begun > 0 || !(error instanceof AgentError)) throw error
        })
      })
    const begun = intent.steps.slice(0, intent.begun)
    // the program's own group, once it was restarted, has all numbers again: those of its surge groups too
    const hasAll = begun.some((step) => step.do === 'replace' && step.group === intent.program)
    for (const step of begun.toReversed()) {
      const forget = this.#expect(step, intent.actor)
      await this.#takeBack(step, { groups, hasAll }).finally(forget)
    }
    if (runs) {
      await this.#files.run('files', () => this.undoFiles(intent))
      await this.#deps.onFiles()
    }
    await this.#deps.unkeep(intent).catch((error: unknown) => {
      logger.warn({ err: error, program: intent.program }, 'a revision that was not is still shown')
    })
    await intents.delete(intent.program)
    logger.info({ program: intent.program, action: intent.action }, 'a change was undone')
  }

  /**
   * Where others have written what supervisord has not read: it reads once more what it ran by, so that this comes back.
   * @returns false where there is nothing of the kind
   */
  async #backAsItRuns(intent: Intent): Promise<boolean> {
    if (intent.files.every(({ runs }) => runs === undefined)) return false
    return await this.#files.run('files', async () => {
      await this.undoFiles(intent, ({ runs, before }) => runs ?? before)
      return await this.#reread().then(
        () => true,
        (error: unknown) => {
          if (error instanceof AgentError && error.facts['fault'] === 'CANT_REREAD') return false
          throw error
        },
      )
    })
  }

  /** The part of an undo that needs no supervisord, so that none can start with half a change. */
  async undoFiles(intent: Intent, to = ({ before }: FileChange) => before): Promise<void> {
    const undo = async (file: FileChange): Promise<void> => {
      if (await undoChange(file, to(file))) return
      const { logger } = this.#deps
      logger.warn({ file: file.path }, 'somebody else wrote this file meanwhile: it is left as it is')
    }
    const failed: FileChange[] = []
    for (const file of intent.files.toReversed()) await undo(file).catch(() => failed.push(file))
    // on a full disk there is room for one once another is gone
    for (const file of failed) await undo(file)
  }

  async #write(intent: Intent, signal: AbortSignal, onStep: (text: string) => void): Promise<void> {
    try {
      for (const file of intent.files) {
        signal.throwIfAborted()
        await applyChange(file)
        onStep(`${file.after === null ? 'deleted' : 'wrote'} ${file.path}`)
      }
      await this.#reread(signal)
      onStep('supervisord has read its files')
    } catch (error) {
      // no other change may meet a file that supervisord refuses
      await this.undoFiles(intent)
      throw error
    }
  }

  async #reread(signal?: AbortSignal): Promise<void> {
    await this.#deps.groups.reread(signal)
    await this.#deps.onFiles()
  }

  async #take(step: GroupStep, actor: string | null, signal: AbortSignal): Promise<void> {
    const { groups, steps, table } = this.#deps
    const forget = this.#expect(step, actor)
    try {
      switch (step.do) {
        case 'add':
          return await groups.add(step.group)
        case 'remove':
          return await groups.remove(step.group)
        case 'replace':
          await groups.replace(step.group)
          return await groups.startAgain(step.ran)
        case 'start':
          // one in a group that was just added may not be in memory yet
          return await groups.startAgain([step.process])
        case 'stop':
          if (table.get(step.process))
            await steps.stop(step.process, true, AbortSignal.any([signal, groups.gone]))
      }
    } finally {
      setTimeout(forget, FORGET_MS).unref()
    }
  }

  async #takeBack(
    step: GroupStep,
    { groups, hasAll }: { groups: ProcessGroups; hasAll: boolean },
  ): Promise<void> {
    switch (step.do) {
      case 'add':
        return await groups.remove(step.group)
      case 'remove':
        await groups.add(step.group)
        return hasAll ? undefined : await this.#upAgain(step.group, step.ran)
      case 'replace':
        await groups.replace(step.group)
        return await this.#upAgain(step.group, step.had ?? step.ran)
      case 'start':
        if (this.#deps.table.get(step.process))
          await this.#deps.steps.stop(step.process, false, new AbortController().signal)
        return
      case 'stop':
        return await groups.startAgain([step.process])
    }
  }

  /** Of a group that came back: those that ran run, and what had been stopped before is stopped again. */
  async #upAgain(group: string, ran: readonly string[]): Promise<void> {
    const { groups, steps } = this.#deps
    await groups.startAgain(ran)
    const started = await groups.startedBesides(group, ran)
    await Promise.all(started.map((name) => steps.stop(name, false, groups.gone)))
  }

  /** Names who makes processes come and go, for the events of it. @returns the undo */
  #expect(step: GroupStep, actor: string | null): () => void {
    const { groups, table } = this.#deps
    if (actor === null) return () => undefined
    if ('group' in step) return groups.expect(step.group, actor)
    const entry = table.get(step.process)
    if (entry) table.comes(entry, actor)
    return () => undefined
  }
}

/** A change failed and could not be undone yet, because supervisord cannot be asked; the cause is why it failed. */
export class HalfDone extends Error {
  override readonly name = 'HalfDone'

  constructor(program: string, cause: unknown) {
    super(`${program}: ${cause instanceof Error ? cause.message : String(cause)}`, { cause })
  }
}
