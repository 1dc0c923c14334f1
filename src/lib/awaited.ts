/** What others wait for by name: all who wait for one are told, and whoever comes later is not. */
export class Awaited<T> {
  readonly #waiting = new Map<string, Set<(value: T) => void>>()

  /** Waits until that name is told. @throws the signal's reason */
  wait(name: string, signal: AbortSignal): Promise<T> {
    return new Promise((resolve, reject) => {
      if (signal.aborted) return reject(signal.reason)
      const all = this.#waiting.get(name) ?? new Set()
      this.#waiting.set(name, all)
      const end = () => {
        all.delete(told)
        if (all.size === 0 && this.#waiting.get(name) === all) this.#waiting.delete(name)
        signal.removeEventListener('abort', giveUp)
      }
      const giveUp = () => {
        end()
        reject(signal.reason)
      }
      const told = (value: T) => {
        end()
        resolve(value)
      }
      all.add(told)
      signal.addEventListener('abort', giveUp, { once: true })
    })
  }

  tell(name: string, value: T): void {
    for (const told of this.#waiting.get(name) ?? []) told(value)
  }
}
