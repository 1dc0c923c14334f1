// supervisord's loop sleeps up to a second, and a death wakes it only halfway: the child is reaped, but its event
// waits for the next turn. So we watch the list of its children and wake it with one cheap call when that changes.
// On a busy host the pipe of a dying process may wake the loop before there is a child to reap; the loop then sleeps on
// beside a zombie. So when supervisord ran out of its turn we look for one, and wake it twice: to reap, and to tell.
// A process that is STARTING becomes RUNNING in a loop turn too: one call at each full second after its spawn.
import { closeSync, openSync, readSync } from 'node:fs'
import type { ProcessTable } from './process-table.ts'

const SCAN_MS = 100
const AFTER_SECOND_MS = 15
const LIST_BYTES = 16 * 1024
const LINE_BYTES = 1024
/** An idle supervisord runs once a second. It runs more often when a child dies: the pipe wakes it, and the signal. */
const QUIET_SCANS = 9
const [BRACKET, LETTER_Z] = [0x29, 0x5a]

const NOTHING: Buffer = Buffer.alloc(0)

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
  /** supervisord's schedstat, when the kernel has that: its time on processors, and how often it was put on one. */
  #runsFd: number | null = null
  #runs = { line: NOTHING, times: 0 }
  /** Scans since it ran last. */
  #quietScans = 0
  /** It ran, and nobody looked for a zombie since. */
  #owesLook = false
  readonly #line = Buffer.alloc(LINE_BYTES)
  /** Where the children of the list tell their state; null when the list is a new one. */
  #stats: string[] | null = null
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
    this.#runsFd = tryOpen(`/proc/${pid}/schedstat`)
    this.#runs = { line: Buffer.alloc(LINE_BYTES), times: 0 }
    this.#quietScans = 0
    this.#owesLook = false
    if (this.#fd !== null) this.#timer = setInterval(() => this.#scan(), SCAN_MS)
    this.#undo = this.#deps.table.onChange((name) => this.#follow(name))
    for (const { name } of this.#deps.table.all()) this.#follow(name)
  }

  stop(): void {
    if (this.#timer) clearInterval(this.#timer)
    for (const fd of [this.#fd, this.#runsFd]) if (fd !== null) closeSync(fd)
    this.#undo?.()
    for (const timer of this.#due.values()) clearTimeout(timer)
    this.#due.clear()
    this.#timer = this.#fd = this.#runsFd = this.#undo = null
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
    const wasQuiet = this.#quietScans > 0
    let isChanged: boolean
    try {
      // who did not run has neither started nor reaped a child
      const hasRun = this.#hasRun()
      isChanged = hasRun && this.#fd !== null && this.#read(this.#fd)
    } catch {
      this.stop()
      this.#deps.onGone()
      return
    }
    if (isChanged) {
      this.poke()
      this.#deps.onChildren()
      return
    }
    // while it runs on and on it reaps by itself
    if (!this.#owesLook || wasQuiet === this.#quietScans > 0) return
    this.#owesLook = false
    if (!this.#hasZombie()) return
    this.poke()
    this.poke()
  }

  /** True when supervisord may have run since the last question. */
  #hasRun(): boolean {
    if (this.#runsFd === null) return true
    const length = readSync(this.#runsFd, this.#line, 0, LINE_BYTES, 0)
    if (this.#runs.line.compare(this.#line, 0, length, 0, length) === 0) {
      this.#quietScans++
      return false
    }
    this.#line.copy(this.#runs.line, 0, 0, length)
    const times = Number(this.#line.toString('latin1', 0, length).split(' ')[2])
    const isItsTurn = this.#quietScans >= QUIET_SCANS && times === this.#runs.times + 1
    this.#runs.times = times
    this.#quietScans = 0
    this.#owesLook ||= !isItsTurn
    return true
  }

  #hasZombie(): boolean {
    const { bytes, length } = this.#last
    this.#stats ??= (bytes.toString('latin1', 0, length).match(/\d+/g) ?? []).map(
      (pid) => `/proc/${pid}/stat`,
    )
    return this.#stats.some((path) => this.#isZombie(path))
  }

  #isZombie(stat: string): boolean {
    const fd = tryOpen(stat)
    if (fd === null) return false
    try {
      const length = readSync(fd, this.#line, 0, LINE_BYTES, 0)
      return this.#line[this.#line.lastIndexOf(BRACKET, length) + 2] === LETTER_Z
    } catch {
      return false // reaped meanwhile
    } finally {
      closeSync(fd)
    }
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
    const isOther = length !== list.length || bytes.compare(list.bytes, 0, length, 0, length) !== 0
    if (isOther) this.#stats = null
    return isOther
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

function tryOpen(path: string): number | null {
  try {
    return openSync(path, 'r')
  } catch {
    return null
  }
}
