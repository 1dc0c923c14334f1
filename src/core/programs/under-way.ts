import { isSameLog } from './log-claims.ts'

interface Claim {
  isNew: boolean
  logs: readonly string[]
}

/** What changes take that are under way: the files do not tell of it yet. */
export class UnderWay {
  readonly #claims = new Map<string, Claim>()

  /** Whether another program takes one of these log files. */
  hasLogBeside(program: string, logs: readonly string[]): boolean {
    return [...this.#claims].some(
      ([name, claim]) =>
        name !== program && claim.logs.some((one) => logs.some((log) => isSameLog(one, log))),
    )
  }

  /** Runs a task that takes it, for one change of the program at a time; it gets the new programs that came before. */
  async during<T>(program: string, claim: Claim, task: (earlier: string[]) => Promise<T>): Promise<T> {
    const earlier = [...this.#claims].flatMap(([name, { isNew }]) => (isNew ? [name] : []))
    this.#claims.set(program, claim)
    try {
      return await task(earlier)
    } finally {
      this.#claims.delete(program)
    }
  }
}
