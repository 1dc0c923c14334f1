interface Waiter<T> {
  resolve(result: IteratorResult<T, undefined>): void
  reject(error: unknown): void
}

const DONE = { done: true, value: undefined } as const

/** What waits for a consumer, in order; then an end or a failure. */
export class Inbox<T> {
  #items: T[] = []
  #waiters: Waiter<T>[] = []
  #end: { error: unknown } | 'done' | null = null
  #onEmpty: (() => void) | null = null

  get size(): number {
    return this.#items.length
  }

  push(item: T): void {
    if (this.#end) return
    const waiter = this.#waiters.shift()
    if (waiter) waiter.resolve({ done: false, value: item })
    else this.#items.push(item)
  }

  /** Puts the item before the first waiting one that `isLater` names, else behind all. */
  insert(item: T, isLater: (other: T) => boolean): void {
    const at = this.#items.findIndex(isLater)
    if (at < 0 || this.#end) this.push(item)
    else this.#items.splice(at, 0, item)
  }

  /** The next item; what waits is given out before a failure. */
  next(): Promise<IteratorResult<T, undefined>> {
    if (this.#items.length > 0) {
      const value = this.#items.shift() as T
      if (this.#items.length === 0) this.#emptied()
      return Promise.resolve({ done: false, value })
    }
    if (this.#end === 'done') return Promise.resolve(DONE)
    if (this.#end) {
      const { error } = this.#end
      this.#end = 'done' // an iterator fails once
      return Promise.reject(error)
    }
    return new Promise((resolve, reject) => this.#waiters.push({ resolve, reject }))
  }

  /** Resolves when nothing waits any more, or at the end. */
  emptied(): Promise<void> {
    if (this.#items.length === 0 || this.#end) return Promise.resolve()
    return new Promise((resolve) => {
      this.#onEmpty = resolve
    })
  }

  /** Takes nothing more; `discard` also drops what waits. */
  end(discard: boolean): void {
    if (discard) this.#items = []
    this.#end ??= 'done'
    for (const waiter of this.#waiters.splice(0)) waiter.resolve(DONE)
    this.#emptied()
  }

  fail(error: unknown): void {
    if (this.#end) return
    const [first, ...others] = this.#waiters.splice(0)
    this.#end = first ? 'done' : { error }
    first?.reject(error)
    for (const waiter of others) waiter.resolve(DONE)
    this.#emptied()
  }

  #emptied(): void {
    this.#onEmpty?.()
    this.#onEmpty = null
  }
}
