import { closeSync, openSync, readSync } from 'node:fs'

/** Ticks per second of /proc; fixed at 100 on every Linux that Node runs on (USER_HZ). */
const TICKS = 100
const PAGE_BYTES = 4096
/** Far more than a line of /proc/PID/stat has. */
const LINE_BYTES = 2048

export interface Usage {
  /** Of one core, since the sample before; null at the first one. */
  cpuPercent: number | null
  memoryBytes: number
}

interface Sample extends Usage {
  ticks: number
  startTicks: number
  atMs: number
}

/** CPU and memory of processes, sampled from /proc/PID/stat when told to. */
export class UsageSampler {
  #samples = new Map<number, Sample>()
  readonly #line = Buffer.allocUnsafe(LINE_BYTES)

  /** Samples these pids and forgets all others. */
  sample(pids: Iterable<number>): void {
    const next = new Map<number, Sample>()
    for (const pid of pids) {
      const sample = this.#take(pid)
      if (sample) next.set(pid, sample)
    }
    this.#samples = next
  }

  of(pid: number): Usage | null {
    return this.#samples.get(pid) ?? null
  }

  #take(pid: number): Sample | null {
    const stat = readStat(pid, this.#line)
    if (!stat) return null
    const atMs = performance.now()
    const before = this.#samples.get(pid)
    const isSame = before !== undefined && before.startTicks === stat.startTicks && atMs > before.atMs
    const cpuPercent = isSame
      ? Math.round(((stat.ticks - before.ticks) / TICKS / ((atMs - before.atMs) / 1000)) * 1000) / 10
      : null
    return { ...stat, cpuPercent, atMs }
  }
}

/** @param line room to read into: hundreds of files are read every few seconds */
function readStat(
  pid: number,
  line: Buffer,
): { ticks: number; startTicks: number; memoryBytes: number } | null {
  let text: string
  try {
    const fd = openSync(`/proc/${pid}/stat`, 'r')
    try {
      text = line.toString('latin1', 0, readSync(fd, line, 0, line.length, 0))
    } finally {
      closeSync(fd)
    }
  } catch {
    return null // it ended
  }
  // the command in brackets may hold spaces and brackets itself: fields are counted from its last one
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ', 22)
  return {
    ticks: Number(fields[11]) + Number(fields[12]),
    startTicks: Number(fields[19]),
    memoryBytes: Number(fields[21]) * PAGE_BYTES,
  }
}
