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
  /** The round that saw it last. */
  round: number
}

/** Where fields of /proc/PID/stat are, counted from the one behind the command's name. */
const [UTIME, STIME, STARTTIME, RSS] = [11, 12, 19, 21]
const [SPACE, BRACKET, DIGIT_0] = [0x20, 0x29, 0x30]

/**
 * CPU and memory of processes, sampled from /proc/PID/stat when told to. Hundreds of them every few seconds: it reads
 * into one buffer, takes numbers from the bytes and keeps its objects, so as to leave no garbage.
 */
export class UsageSampler {
  readonly #samples = new Map<number, Sample>()
  readonly #line = Buffer.allocUnsafe(LINE_BYTES)
  readonly #fields: number[] = []
  #round = 0

  /** Samples these pids and forgets all others. */
  sample(pids: Iterable<number>): void {
    this.#round++
    for (const pid of pids) if (this.#read(pid)) this.#take(pid)
    for (const [pid, { round }] of this.#samples) if (round !== this.#round) this.#samples.delete(pid)
  }

  of(pid: number): Usage | null {
    return this.#samples.get(pid) ?? null
  }

  #take(pid: number): void {
    const ticks = this.#field(UTIME) + this.#field(STIME)
    const startTicks = this.#field(STARTTIME)
    const memoryBytes = this.#field(RSS) * PAGE_BYTES
    const atMs = performance.now()
    const round = this.#round
    const before = this.#samples.get(pid)
    if (!before) {
      this.#samples.set(pid, { cpuPercent: null, memoryBytes, ticks, startTicks, atMs, round })
      return
    }
    const isSame = before.startTicks === startTicks && atMs > before.atMs
    const seconds = (atMs - before.atMs) / 1000
    before.cpuPercent = isSame ? Math.round(((ticks - before.ticks) / TICKS / seconds) * 1000) / 10 : null
    before.memoryBytes = memoryBytes
    before.ticks = ticks
    before.startTicks = startTicks
    before.atMs = atMs
    before.round = round
  }

  #field(index: number): number {
    return this.#fields[index] ?? 0
  }

  /** Reads the numbers of a process. @returns false when it ended */
  #read(pid: number): boolean {
    const line = this.#line
    let length: number
    try {
      const fd = openSync(`/proc/${pid}/stat`, 'r')
      try {
        length = readSync(fd, line, 0, LINE_BYTES, 0)
      } finally {
        closeSync(fd)
      }
    } catch {
      return false
    }
    // the command in brackets may hold spaces and brackets itself: fields are counted from its last one
    let field = 0
    let value = 0
    for (let at = line.lastIndexOf(BRACKET, length - 1) + 2; at < length && field <= RSS; at++) {
      const byte = line[at] ?? 0
      if (byte !== SPACE) value = value * 10 + byte - DIGIT_0
      else {
        this.#fields[field++] = value
        value = 0
      }
    }
    return field > RSS
  }
}
