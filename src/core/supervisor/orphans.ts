import { processStart } from '../../lib/process-start.ts'
import type { ProcessTable } from './process-table.ts'

/** A process that outlived the supervisord that started it. */
export interface Orphan {
  process: string
  pid: number
}

interface Remembered extends Orphan {
  startTicks: string
}

/**
 * A supervisord that is killed leaves its processes running, and its successor starts them a second time. Whoever
 * was there when it went, and still is when another one came, is an orphan.
 */
export class OrphanWatch {
  readonly #table: ProcessTable
  #running: Remembered[] = []
  #left: Remembered[] = []
  #supervisord: number | null = null

  constructor(deps: { table: ProcessTable }) {
    this.#table = deps.table
  }

  /** supervisord may be gone: notes who runs, before the table learns of another one. */
  mayBeGone(): void {
    this.#running = this.#now()
  }

  /** supervisord answers (again). */
  cameUp(supervisord: number): void {
    if (this.#supervisord !== null && this.#supervisord !== supervisord)
      this.#left = [...this.#left, ...this.#running]
    this.#running = []
    this.#supervisord = supervisord
  }

  /** Those that still run, and are nobody's child but the init process's. */
  alive(): Orphan[] {
    this.#left = this.#left.filter(({ pid, startTicks }) => {
      const facts = processStart(pid)
      return facts?.startTicks === startTicks && facts.parent !== this.#supervisord
    })
    return this.#left.map(({ process, pid }) => ({ process, pid }))
  }

  #now(): Remembered[] {
    return this.#table.all().flatMap(({ name, pid }) => {
      const facts = pid === null ? null : processStart(pid)
      return pid === null || facts === null ? [] : [{ process: name, pid, startTicks: facts.startTicks }]
    })
  }
}
