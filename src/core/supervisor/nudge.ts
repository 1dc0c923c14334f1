// supervisord's loop sleeps up to a second, and a death wakes it only halfway: the child is reaped, but its event
// waits for the next turn. So we watch the list of its children and wake it with one cheap call when that changes.
// A process that is STARTING becomes RUNNING in a loop turn too: one call at each full second after its spawn.
import { closeSync, openSync, readSync } from 'node:fs'
import type { ProcessTable } from './process-table.ts'

const SCAN_MS = 100
const AFTER_SECOND_MS = 15
const LIST_BYTES = 16 * 1024

interface List {
  bytes: Buffer
  length: number
}

export interface NudgeDeps {
  table: ProcessTable
  /** Wakes supervisord. */
  poke(): Promise<unknown>
  /** The list of children changed. */
  onChildren(): void
  /** supervisord's own entry in /proc went away. */
  onGone(): void
}

export class Nudge {
  readonly #deps: NudgeDeps
  readonly #due = new Map<string, NodeJS.Timeout>()
  #fd: number | null = null
  /** The list as it was, and room to read it anew: they change places. */
  #last: List = { bytes: Buffer.allocUnsafe(LIST_BYTES), length: 0 }
  #next: List = { bytes: Buffer.allocUnsafe(LIST_BYTES), length: 0 }
  #timer: NodeJS.Timeout | null = null
  #undo: (() => void) | null = null
  #isPoking = false
  #wantsPoke = false

  constructor(deps: NudgeDeps) {
    this.#deps = deps
  }

  /** True while the children of supervisord can be seen: it runs on this host and /proc shows it. */
  get isWatching(): boolean {
    return this.#fd !== null
  }

  /** Watches that supervisord from now on. */
  watch(pid: number): void {
    this.stop()
    try {
      this.#fd = openSync(`/proc/${pid}/task/${pid}/children`, 'r')
      this.#read(this.#fd)
    } catch {
      this.#fd = null
    }
    if (this.#fd !== null) this.#timer = setInterval(() => this.#scan(), SCAN_MS)
    this.#undo = this.#deps.table.onChange((name) => this.#follow(name))
    for (const { name } of this.#deps.table.all()) this.#follow(name)
  }

  stop(): void {
    if (this.#timer) clearInterval(this.#timer)
    if (this.#fd !== null) closeSync(this.#fd)
    this.#undo?.()
    for (const timer of this.#due.values()) clearTimeout(timer)
    this.#due.clear()
    this.#timer = this.#fd = this.#undo = null
  }

  /** Wakes supervisord now; calls that come while one is under way share one more. */
  poke(): void {
    if (this.#isPoking) {
      this.#wantsPoke = true
      return
    }
    this.#isPoking = true
    this.#deps
      .poke()
      .catch(() => undefined) // the connection finds out by itself
      .finally(() => {
        this.#isPoking = false
        if (!this.#wantsPoke) return
        this.#wantsPoke = false
        this.poke()
      })
  }

  #scan(): void {
    try {
      if (this.#fd === null || !this.#read(this.#fd)) return
    } catch {
      this.stop()
      this.#deps.onGone()
      return
    }
    this.poke()
    this.#deps.onChildren()
  }

  /** Reads the list. @returns true when it is another one */
  #read(fd: number): boolean {
    const list = this.#next
    for (;;) {
      list.length = readSync(fd, list.bytes, 0, list.bytes.length, 0)
      if (list.length < list.bytes.length) break
      list.bytes = Buffer.allocUnsafe(list.bytes.length * 2)
    }
    this.#next = this.#last
    this.#last = list
    const { bytes, length } = this.#next
    return length !== list.length || bytes.compare(list.bytes, 0, length, 0, length) !== 0
  }

  #follow(name: string): void {
    const isStarting = this.#deps.table.get(name)?.state === 'STARTING'
    const timer = this.#due.get(name)
    if (isStarting === (timer !== undefined)) return
    clearTimeout(timer)
    this.#due.delete(name)
    if (isStarting) this.#pokeAtSecond(name)
  }

  #pokeAtSecond(name: string): void {
    const spawnedAtMs = this.#deps.table.get(name)?.spawnedAtMs ?? 0
    const waitMs = 1000 - ((Date.now() - spawnedAtMs) % 1000) + AFTER_SECOND_MS
    this.#due.set(
      name,
      setTimeout(() => {
        this.#due.delete(name)
        if (this.#deps.table.get(name)?.state !== 'STARTING') return
        this.poke()
        this.#pokeAtSecond(name)
      }, waitMs),
    )
  }
}
