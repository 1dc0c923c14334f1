// Time for the ages of what is kept, which no setting of the host's clock moves. It begins at the time of day of the
// first start of the agent, goes on while the host is up, be the agent there or not, and stands while the host is down.
// So what is kept for seven days is never let go of before seven days have passed, and as much later as the host was
// down; a host that ends without a warning counts up to an hour as down.
import { closeSync, constants, openSync, readFileSync, writeSync } from 'node:fs'
import { uptime } from 'node:os'
import * as z from 'zod'
import { bootIdOfHost } from '../../lib/boot-id.ts'
import type { Logger } from '../../logger.ts'

const WIDTH = 256

const Saved = z.strictObject({
  steadyMs: z.int(),
  bootId: z.string(),
  /** Of the host, when that was the time. */
  uptimeMs: z.int(),
})

export interface HostTime {
  bootId: string
  uptimeMs: () => number
  dayMs: () => number
}

export class SteadyClock {
  readonly #path: string
  readonly #logger: Logger
  readonly #host: HostTime
  readonly #beganMs: number
  readonly #startedMs: number

  /** Goes on from what its file says; without one it begins anew, at the time of day. */
  constructor({ path, logger, host = thisHost() }: { path: string; logger: Logger; host?: HostTime }) {
    this.#path = path
    this.#logger = logger
    this.#host = host
    this.#startedMs = host.uptimeMs()
    this.#beganMs = this.#resumed() ?? host.dayMs()
    this.save()
  }

  /** Milliseconds; of the first start since 1970, of all that came after since then. */
  readonly now = (): number => this.#beganMs + this.#host.uptimeMs() - this.#startedMs

  /** Notes the time for the next run. Over and over in place, so that a full disk takes it too. Never throws. */
  save(): void {
    const { bootId, uptimeMs } = this.#host
    const saved: z.infer<typeof Saved> = {
      steadyMs: Math.floor(this.now()),
      bootId,
      uptimeMs: Math.floor(uptimeMs()),
    }
    const { O_CREAT, O_NOFOLLOW, O_WRONLY } = constants
    try {
      const fd = openSync(this.#path, O_CREAT | O_NOFOLLOW | O_WRONLY, 0o600)
      try {
        writeSync(fd, `${JSON.stringify(saved).padEnd(WIDTH - 1)}\n`, 0)
      } finally {
        closeSync(fd)
      }
    } catch (error) {
      this.#logger.warn({ err: error }, 'the time that ages are counted by cannot be noted')
    }
  }

  /** Null when nothing is noted. The time of the host's start that it is in is known; how long it was down is not. */
  #resumed(): number | null {
    const saved = readSaved(this.#path)
    if (!saved) return null
    const awayMs = saved.bootId === this.#host.bootId ? this.#startedMs - saved.uptimeMs : 0
    return saved.steadyMs + Math.max(0, awayMs)
  }
}

function readSaved(path: string): z.infer<typeof Saved> | null {
  try {
    return Saved.parse(JSON.parse(readFileSync(path, 'utf8')))
  } catch {
    return null
  }
}

/** The system is asked once, because that is slow. */
function thisHost(): HostTime {
  const upMs = uptime() * 1000
  const askedMs = performance.now()
  return {
    bootId: bootIdOfHost(),
    uptimeMs: () => upMs + performance.now() - askedMs,
    dayMs: Date.now,
  }
}
