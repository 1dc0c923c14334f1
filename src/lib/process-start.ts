import { readFileSync } from 'node:fs'

/** The clock ticks that Linux shows to programs: 100 a second wherever Node.js runs. */
export const TICK_MS = 10
/** Where /proc/PID/stat has it, counted from the state of the process. */
const START = 19

export interface ProcessStart {
  /** In clock ticks since the boot: with its pid it names a process for as long as the host runs. */
  startTicks: string
  parent: number
}

/** When a process began, and whose child it is; null when it has ended. */
export function processStart(pid: number): ProcessStart | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    const [state, parent] = fields
    return state === 'Z' || state === 'X' ? null : { startTicks: fields[START] ?? '', parent: Number(parent) }
  } catch {
    return null
  }
}
