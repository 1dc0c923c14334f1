// supervisord's loop sleeps up to a second, and a death wakes it only halfway: the child is reaped, but its event
// waits for the next turn. So we watch the list of its children and wake it with one cheap call when that changes.
// A process that is STARTING becomes RUNNING in a loop turn too: one call at each full second after its spawn.
import { closeSync, openSync, readSync } from 'node:fs'
import type { ProcessTable } from './process-table.ts'

const SCAN_MS = 100
const AFTER_SECOND_MS = 15

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
  #buffer: Buffer = Buffer.allocUnsafe(64 * 1024)
  #fd: number | null = null
  #last: Buffer = Buffer.alloc(0)
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
      this.#last = this.#read()
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
    let now: Buffer
    try {
      now = this.#read()
    } catch {
      this.stop()
      this.#deps.onGone()
      return
    }
    if (now.equals(this.#last)) return
    this.#last = now
    this.poke()
    this.#deps.onChildren()
  }

  #read(): Buffer {
    if (this.#fd === null) return Buffer.alloc(0)
    for (;;) {
      const length = readSync(this.#fd, this.#buffer, 0, this.#buffer.length, 0)
      if (length < this.#buffer.length) return Buffer.from(this.#buffer.subarray(0, length))
      this.#buffer = Buffer.allocUnsafe(this.#buffer.length * 2)
    }
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
