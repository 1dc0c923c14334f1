import { Awaited } from '../../lib/awaited.ts'
import type { FinishedRun } from './run-journal.ts'
import type { LiveRun } from './run-live.ts'

/** Who waits for runs to begin or to end, and who asked for that. */
export class RunWaits {
  readonly #starting = new Awaited<string>()
  readonly #ending = new Awaited<string>()
  /** By tag. */
  readonly #starters = new Map<string, string>()
  readonly #enders = new Map<string, string>()

  /** Waits for the run that an actor starts with a tag, or that is skipped at once. @throws the signal's reason */
  async started(tag: string, signal: AbortSignal, actor?: string): Promise<string> {
    if (actor !== undefined) this.#starters.set(tag, actor)
    try {
      return await this.#starting.wait(tag, signal)
    } finally {
      this.#starters.delete(tag)
    }
  }

  /** Waits for the end of a run. @throws the signal's reason */
  async over(run: string, signal: AbortSignal): Promise<void> {
    await this.#ending.wait(run, signal)
  }

  /** Names who ends a run. @returns the undo, for one that goes on all the same */
  endsBy(run: string, actor: string): () => void {
    this.#enders.set(run, actor)
    return () => void this.#enders.delete(run)
  }

  /** Who asked for it; to be told before {@link tellStart}. */
  starterOf({ tag }: LiveRun): string | undefined {
    return tag === null ? undefined : this.#starters.get(tag)
  }

  /** Of one by hand that was skipped: who asked for it. */
  enderOf({ run, verdict }: FinishedRun, live: LiveRun): string | undefined {
    return this.#enders.get(run) ?? (verdict === 'skipped' ? this.starterOf(live) : undefined)
  }

  tellStart({ run, tag }: LiveRun): void {
    if (tag !== null) this.#starting.tell(tag, run)
  }

  /** A run that is over is known as begun too. */
  tellEnd(live: LiveRun): void {
    this.#enders.delete(live.run)
    this.tellStart(live)
    this.#ending.tell(live.run, live.run)
  }
}
