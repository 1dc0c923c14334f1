// The folders that `cronrun` writes to, one for each user. A record is looked at when inotify tells of it; sweeps find what
// that missed, see to runs that never end, and clear away what nobody else will.
import { join } from 'node:path'
import type { Logger } from '../../logger.ts'
import type { Runs } from './runs.ts'
import { type Refused, type SpoolUser, UserSpool } from './spool-user.ts'

const SWEEP_MS = 5_000
/** While a folder cannot be watched. */
const POLL_MS = 500
const SHOWN = 5

export interface SpoolOptions {
  /** Holds the users' folders. */
  root: string
  runs: Runs
  /** Whether an entry is that user's: a user can tell of their own runs alone. */
  isEntry: (id: string, user: string) => boolean
  logger: Logger
}

export class Spool {
  readonly #options: SpoolOptions
  readonly #users = new Map<string, UserSpool>()
  readonly #problems = new Map<string, string>()
  #timer: NodeJS.Timeout | null = null
  #sweptAtMs = 0

  constructor(options: SpoolOptions) {
    this.#options = options
  }

  /** What is wrong with the folders of users, for the doctor. */
  get problems(): ReadonlyMap<string, string> {
    return this.#problems
  }

  /** Whether a user's folder is read. */
  has(name: string): boolean {
    return this.#users.has(name)
  }

  /** Up to then runs of a user may have left no record; by the wall clock. */
  blindMs(name: string): number {
    return this.#users.get(name)?.blindMs ?? Infinity
  }

  /** Makes the folder of a user, and reads what is in it and what comes. Resolves when all that is there was read. */
  async add(user: SpoolUser): Promise<void> {
    if (this.#users.has(user.name)) return
    const { root, runs, isEntry } = this.#options
    const one = new UserSpool(user, join(root, user.name), {
      runs,
      isEntry,
      onRefused: (refused) => this.#refused(refused),
      onError: (name, error) => this.#failed(name, error),
    })
    this.#users.set(user.name, one)
    await one.sweep()
  }

  /** Reads a user's folder no more; what is in it stays. */
  async remove(name: string): Promise<void> {
    const one = this.#users.get(name)
    this.#users.delete(name)
    this.#problems.delete(name)
    await one?.stop()
  }

  start(): void {
    this.#timer ??= setInterval(() => this.#tick(), POLL_MS).unref()
  }

  /** Looks at everything now. */
  async sweep(): Promise<void> {
    await Promise.all([...this.#users.values()].map((user) => user.sweep()))
  }

  async stop(): Promise<void> {
    if (this.#timer) clearInterval(this.#timer)
    this.#timer = null
    await Promise.all([...this.#users.values()].map((user) => user.stop()))
  }

  #tick(): void {
    const isTime = performance.now() - this.#sweptAtMs >= SWEEP_MS
    if (isTime) {
      this.#sweptAtMs = performance.now()
      this.#problems.clear()
    }
    for (const user of this.#users.values()) if (isTime || !user.isWatched) void user.sweep()
  }

  #refused(refused: readonly Refused[]): void {
    const { logger } = this.#options
    const [first] = refused
    if (!first) return
    const shown = refused.slice(0, SHOWN).map(({ name, why }) => ({ name: name.slice(0, 100), why }))
    logger.warn(
      { user: first.user, count: refused.length, files: shown },
      'files in the spool of cron jobs are not records and were not read',
    )
  }

  #failed(user: string, error: unknown): void {
    const text = error instanceof Error ? error.message : String(error)
    if (this.#problems.get(user) === text) return
    this.#problems.set(user, text)
    this.#options.logger.warn({ user, err: error }, 'results of cron jobs cannot be read')
  }
}
