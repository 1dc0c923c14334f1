// Exit statuses and signals. No event and no call tells them (for FATAL and BACKOFF the info struct even says 0), but
// supervisord writes them into its main log in the same loop turn that makes the event, and flushes, before the event
// is sent (supervisor/process.py, finish). So the line is there when the event arrives, in the same order.
import { closeSync, fstatSync, readSync, statSync } from 'node:fs'
import { StringDecoder } from 'node:string_decoder'

export interface ExitFacts {
  exitStatus?: number
  signal?: string
  expected?: boolean
}

interface ExitLine extends ExitFacts {
  process: string
  pid: number | null
}

const TAIL_BYTES = 256 * 1024
const BLOCK_BYTES = 64 * 1024
/** Exits waiting for their event, per process name. */
const WAITING_MAX = 64

const SPAWNED = /^\S+ \S+ \w+ spawned: '(.+)' with pid (\d+)$/
const EXITED =
  /^\S+ \S+ \w+ (exited|stopped): (.+) \((?:exit status (\d+)|terminated by (SIG\S+?|signal \d+))(?: \(core dumped\))?(?:; (expected|not expected))?\)$/

/** Reads the lines of one main log as they come. The path may change when supervisord's configuration does. */
export class ExitLog {
  readonly #open: (path: string) => number
  readonly #waiting = new Map<string, ExitLine[]>()
  readonly #pids = new Map<string, number[]>()
  #path: string | null = null
  #fd: number | null = null
  #position = 0
  #rest = ''
  #decoder = new StringDecoder('utf8')

  /** @param deps.open opens a log for reading, and refuses what is not a plain file */
  constructor(deps: { open: (path: string) => number }) {
    this.#open = deps.open
  }

  /** True when exits can be told. */
  get isReadable(): boolean {
    return this.#fd !== null
  }

  /** The log that is read; null when there is none. */
  get path(): string | null {
    return this.#path
  }

  /** Reads from that file from now on; what its end already tells is kept for events still to come. */
  follow(path: string | null): void {
    if (path === this.#path && this.#fd !== null) return
    this.close()
    this.#path = path
    this.#reopen(TAIL_BYTES)
  }

  close(): void {
    if (this.#fd !== null) closeSync(this.#fd)
    this.#fd = null
    this.#rest = ''
    this.#waiting.clear()
    this.#pids.clear()
  }

  /**
   * How the oldest exit of that process went that nobody asked for yet. The main log names processes without their
   * group, so that the pid decides where two groups have a process of the same name.
   */
  take(process: string, pid: number | null): ExitFacts {
    this.#catchUp()
    const lines = this.#waiting.get(process)
    if (!lines) return {}
    const exact = pid === null ? -1 : lines.findIndex((line) => line.pid === pid)
    const index = exact >= 0 ? exact : pid === null ? 0 : lines.findIndex((line) => line.pid === null)
    if (index < 0) return {}
    // what came before it belongs to events that were lost
    const [line] = lines.splice(index, 1)
    if (lines.length === 0) this.#waiting.delete(process)
    if (!line) return {}
    return factsOf(line)
  }

  /** Forgets exits that were read before a snapshot was taken: their events will not come. */
  forget(): void {
    this.#catchUp()
    this.#waiting.clear()
  }

  /** Last known exit of each process name, newest line wins; for the first snapshot. Consumes nothing. */
  known(): ReadonlyMap<string, ExitFacts> {
    this.#catchUp()
    const last = new Map<string, ExitFacts>()
    for (const [process, lines] of this.#waiting) {
      const line = lines.at(-1)
      if (line) last.set(process, factsOf(line))
    }
    return last
  }

  #reopen(tailBytes: number): void {
    if (this.#path === null) return
    this.#decoder = new StringDecoder('utf8')
    try {
      this.#fd = this.#open(this.#path)
      const { size } = fstatSync(this.#fd)
      this.#position = Math.max(0, size - tailBytes)
    } catch {
      this.#fd = null // told as `exit statuses unknown` by whoever asks isReadable
    }
  }

  #catchUp(): void {
    if (this.#fd === null) return this.#reopen(0)
    this.#readOn(this.#fd)
    const { ino, dev, size } = fstatSync(this.#fd)
    const now = this.#path === null ? undefined : statSync(this.#path, { throwIfNoEntry: false })
    if (now && (now.ino !== ino || now.dev !== dev)) {
      // rotated between the read and the look: the old file may have grown by its last lines
      this.#readOn(this.#fd)
      closeSync(this.#fd)
      this.#fd = null
      this.#rest = ''
      this.#reopen(Number.MAX_SAFE_INTEGER)
      if (this.#fd !== null) this.#readOn(this.#fd)
    } else if (size < this.#position) {
      this.#position = 0
      this.#rest = ''
      this.#readOn(this.#fd)
    }
  }

  #readOn(fd: number): void {
    const block = Buffer.allocUnsafe(BLOCK_BYTES)
    for (;;) {
      const length = readSync(fd, block, 0, block.length, this.#position)
      if (length === 0) return
      this.#position += length
      const lines = (this.#rest + this.#decoder.write(block.subarray(0, length))).split('\n')
      this.#rest = lines.pop() ?? ''
      for (const line of lines) this.#line(line)
    }
  }

  #line(text: string): void {
    const spawned = SPAWNED.exec(text)
    if (spawned) {
      const [, process = '', pid] = spawned
      const pids = this.#pids.get(process) ?? []
      pids.push(Number(pid))
      this.#pids.set(process, pids.slice(-WAITING_MAX))
      return
    }
    const exited = EXITED.exec(text)
    if (!exited) return
    const [, , process = '', status, signal, verdict] = exited
    const pids = this.#pids.get(process) ?? []
    // with one process of that name alive its pid is sure; with several the event's own pid has to do
    const pid = pids.length === 1 ? (pids.pop() ?? null) : null
    const lines = this.#waiting.get(process) ?? []
    lines.push({
      process,
      pid,
      ...(status === undefined ? {} : { exitStatus: Number(status) }),
      ...(signal === undefined
        ? {}
        : { signal: signal.startsWith('SIG') ? signal : signal.replace('signal ', 'SIG') }),
      ...(verdict === undefined ? {} : { expected: verdict === 'expected' }),
    })
    this.#waiting.set(process, lines.slice(-WAITING_MAX))
  }
}

function factsOf({ exitStatus, signal, expected }: ExitLine): ExitFacts {
  return {
    ...(exitStatus === undefined ? {} : { exitStatus }),
    ...(signal === undefined ? {} : { signal }),
    ...(expected === undefined ? {} : { expected }),
  }
}
