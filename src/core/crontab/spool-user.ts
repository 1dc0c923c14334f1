import { type FSWatcher, watch } from 'node:fs'
import { setImmediate } from 'node:timers/promises'
import { processStart, TICK_MS } from '../../lib/process-start.ts'
import { type HostClock, readHostClock } from '../host/host-clock.ts'
import { type FoundRecord, isLiving } from './run-live.ts'
import { parseName, parseRecord, RECORD_BYTES, type SpoolName } from './run-record.ts'
import { SpoolFolder, type SpoolRefusal } from './spool-folder.ts'

/** A system user whose jobs leave results. */
export interface SpoolUser {
  name: string
  uid: number
}

/** A file that was not read. */
export interface Refused {
  user: string
  name: string
  why: SpoolRefusal
}

export interface SpoolDeps {
  runs: {
    take(found: FoundRecord, clock: HostClock): boolean
    flush(): Promise<void>
    settle(user: string, names: ReadonlySet<string>, clock: HostClock): void
  }
  /** Whether an entry is that user's. */
  isEntry: (id: string, user: string) => boolean
  onRefused: (refused: readonly Refused[]) => void
  onError: (user: string, error: unknown) => void
}

/** More than `cronrun` lets lie there; the rest is for the next sweep. */
const NAMES = 2000
/** With that many files in the folder, `cronrun` leaves no record. */
const CROWDED = 1000
/** Between two breaths of the event loop. */
const TURN = 64
/** Results that one user can bring in a minute. Those above it wait in the spool. */
const RESULTS_A_MINUTE = 1200
/** Looks that inotify can cause in a minute; above it there are the sweeps. */
const HINTS_A_MINUTE = 6000
/** Names that are not reported again. */
const REPORTED = 1000

/** The folder of one user: what is in it is brought to the runs, and taken away once that is kept. */
export class UserSpool {
  readonly #user: SpoolUser
  readonly #path: string
  readonly #deps: SpoolDeps
  #folder: SpoolFolder | null = null
  #watcher: FSWatcher | null = null
  #isAll = false
  #blindMs = -Infinity
  readonly #hinted = new Set<string>()
  /** Kept, and still to be removed. */
  readonly #leaving = new Set<string>()
  readonly #reported = new Set<string>()
  #refused: Refused[] = []
  #minute = { atMs: 0, results: 0, hints: 0 }
  #working: Promise<void> | null = null
  readonly #clearing = new Set<Promise<void>>()
  #isStopped = false

  constructor(user: SpoolUser, path: string, deps: SpoolDeps) {
    this.#user = user
    this.#path = path
    this.#deps = deps
  }

  /** False while the folder cannot be watched: then sweeps are all there is. */
  get isWatched(): boolean {
    return this.#watcher !== null
  }

  /** Up to then runs may have left no record here; by the wall clock. */
  get blindMs(): number {
    return this.#blindMs
  }

  /** Looks at everything. Resolves when all of it has been looked at. */
  sweep(): Promise<void> {
    this.#isAll = true
    return this.#work()
  }

  async stop(): Promise<void> {
    this.#isStopped = true
    this.#watcher?.close()
    await this.#working
    await Promise.all(this.#clearing)
    this.#close()
  }

  #hint(name: string | null): void {
    if (name === null) this.#isAll = true
    else if (parseName(name).kind !== 'record' || this.#leaving.has(name)) return
    else this.#hinted.add(name)
    if (++this.#thisMinute().hints <= HINTS_A_MINUTE) void this.#work()
  }

  #work(): Promise<void> {
    this.#working ??= this.#passes().finally(() => {
      this.#working = null
    })
    return this.#working
  }

  async #passes(): Promise<void> {
    await setImmediate() // what comes together is one pass
    try {
      while (!this.#isStopped && (this.#isAll || this.#hinted.size > 0)) await this.#pass()
    } catch (error) {
      this.#blindMs = Date.now()
      this.#close()
      this.#deps.onError(this.#user.name, error)
    }
  }

  async #pass(): Promise<void> {
    const folder = this.#opened()
    const isAll = this.#isAll
    const names = isAll ? folder.names(NAMES) : [...this.#hinted]
    this.#isAll = false
    this.#hinted.clear()
    const clock = readHostClock()
    if (isAll && (names.length >= CROWDED || folder.isFull())) this.#blindMs = clock.nowMs
    const kept: string[] = []
    for (const [i, name] of names.entries()) {
      if (i % TURN === TURN - 1) await setImmediate()
      if (this.#isStopped) return
      if (this.#look(folder, name, clock)) kept.push(name)
    }
    if (isAll && names.length < NAMES) this.#deps.runs.settle(this.#user.name, new Set(names), clock)
    // results that come meanwhile do not wait for the disk
    if (kept.length > 0) this.#clearLater(folder, kept)
    if (this.#refused.length > 0) this.#deps.onRefused(this.#refused.splice(0))
  }

  /** @returns whether it is over and kept */
  #look(folder: SpoolFolder, name: string, clock: HostClock): boolean {
    const what = parseName(name)
    switch (what.kind) {
      case 'lock':
        return false
      case 'foreign':
        // never ours to remove: this may be somebody's folder by mistake
        this.#report(name, 'foreign-name')
        return false
      case 'on-the-way':
        if (!isWritten(what, clock)) folder.remove(name)
        return false
      case 'record':
        return !this.#leaving.has(name) && this.#bring(folder, name, clock)
    }
  }

  #bring(folder: SpoolFolder, name: string, clock: HostClock): boolean {
    const first = this.#read(folder, name)
    if (!first) return false
    const isAlive = isLiving(first.record, clock)
    // it may have written its last word between the look at the file and the one at its process
    const found = isAlive ? first : this.#read(folder, name)
    if (!found) return false
    const { name: user } = this.#user
    if (!this.#deps.isEntry(found.record.id, user)) return this.#refuse(folder, name, 'foreign-entry')
    const minute = this.#thisMinute()
    if (minute.results >= RESULTS_A_MINUTE) return false
    if (!this.#deps.runs.take({ ...found, user, isAlive }, clock)) return false
    minute.results++
    return true
  }

  #read(folder: SpoolFolder, name: string): Pick<FoundRecord, 'record' | 'mtimeMs'> | null {
    const file = folder.read(name, RECORD_BYTES)
    const record = file.kind === 'file' ? parseRecord(name, file.bytes) : null
    if (file.kind === 'file' && record) return { record, mtimeMs: file.mtimeMs }
    if (file.kind !== 'gone') this.#refuse(folder, name, file.kind === 'refused' ? file.why : 'malformed')
    return null
  }

  #refuse(folder: SpoolFolder, name: string, why: SpoolRefusal): false {
    this.#report(name, why)
    folder.remove(name)
    return false
  }

  #report(name: string, why: SpoolRefusal): void {
    if (this.#reported.has(name) || this.#reported.size >= REPORTED) return
    this.#reported.add(name)
    this.#refused.push({ user: this.#user.name, name, why })
  }

  #clearLater(folder: SpoolFolder, names: readonly string[]): void {
    const clearing = this.#clear(folder, names).finally(() => this.#clearing.delete(clearing))
    this.#clearing.add(clearing)
  }

  async #clear(folder: SpoolFolder, names: readonly string[]): Promise<void> {
    for (const name of names) this.#leaving.add(name)
    try {
      await this.#deps.runs.flush()
      if (this.#folder !== folder) return
      const left = names.filter((name) => !folder.remove(name))
      if (left.length > 0) throw new Error(`${folder.path}: records that are kept cannot be removed from it`)
    } catch (error) {
      this.#deps.onError(this.#user.name, error)
    } finally {
      for (const name of names) this.#leaving.delete(name)
    }
  }

  #thisMinute(): { results: number; hints: number } {
    const nowMs = performance.now()
    if (nowMs - this.#minute.atMs > 60_000) {
      this.#minute = { atMs: nowMs, results: 0, hints: 0 }
      this.#reported.clear()
    }
    return this.#minute
  }

  #opened(): SpoolFolder {
    if (this.#folder?.isInPlace() === false) this.#close()
    this.#folder ??= SpoolFolder.open(this.#path, this.#user)
    if (!this.#watcher) this.#watch(this.#folder)
    return this.#folder
  }

  #watch(folder: SpoolFolder): void {
    try {
      const watcher = watch(folder.selfPath, { persistent: false }, (_type, name) => this.#hint(name))
      watcher.on('error', () => {
        watcher.close()
        if (this.#watcher === watcher) this.#watcher = null
      })
      this.#watcher = watcher
      this.#isAll = true // what came before it was watched
    } catch {
      this.#watcher = null
    }
  }

  #close(): void {
    this.#watcher?.close()
    this.#watcher = null
    this.#folder?.close()
    this.#folder = null
  }
}

/** Whether somebody is still at it: the uptime in a name is that of a moment after the start of its process. */
function isWritten({ boot, pid, upMs }: Extract<SpoolName, { pid: number }>, clock: HostClock): boolean {
  const start = boot === clock.boot ? processStart(pid) : null
  return start !== null && Number(start.startTicks) * TICK_MS <= upMs + TICK_MS
}
