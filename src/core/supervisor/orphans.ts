import { readFileSync } from 'node:fs'
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
      const facts = factsOf(pid)
      return facts?.startTicks === startTicks && facts.parent !== this.#supervisord
    })
    return this.#left.map(({ process, pid }) => ({ process, pid }))
  }

  #now(): Remembered[] {
    return this.#table.all().flatMap(({ name, pid }) => {
      const facts = pid === null ? null : factsOf(pid)
      return pid === null || facts === null ? [] : [{ process: name, pid, startTicks: facts.startTicks }]
    })
  }
}

/** When a process started, which with its pid names it for as long as the host runs; null when it has ended. */
function factsOf(pid: number): { startTicks: string; parent: number } | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
    const [state, parent, ...fields] = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    return state === 'Z' ? null : { startTicks: fields[17] ?? '', parent: Number(parent) }
  } catch {
    return null
  }
}
