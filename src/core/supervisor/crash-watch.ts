const WINDOW_MS = 60_000
/** A worker that ends as planned (`--max-time`) is allowed more exits than one that dies. */
const UNEXPECTED = 3
const ANY = 6

/** Tells a crash loop: three unexpected exits, or six of any kind, within a minute. */
export class CrashWatch {
  #exits: { atMs: number; expected: boolean }[] = []

  exited(atMs: number, expected: boolean): void {
    this.#exits.push({ atMs, expected })
    if (this.#exits.length > ANY) this.#exits.shift()
  }

  isLoop(nowMs: number): boolean {
    if (this.#exits.length < UNEXPECTED) return false
    const recent = this.#exits.filter(({ atMs }) => nowMs - atMs <= WINDOW_MS)
    return recent.length >= ANY || recent.filter(({ expected }) => !expected).length >= UNEXPECTED
  }
}
