// Since when the host has been up and awake and a cron daemon there, as far as anybody can tell: a run is called missed only
// where that is certain.
import { TICK_MS } from '../../lib/process-start.ts'
import { cronProcess } from '../host/cron-daemon.ts'
import { type HostClock, readHostClock } from '../host/host-clock.ts'
import type { Period } from './missed.ts'

/** What one look at the host tells. */
export interface HostLook {
  clock: HostClock
  /** Since the boot, without the times that the host slept. */
  awakeMs: number
  /** The process of the daemon: with another start it is another one. */
  cron: { pid: number; startTicks: string } | null
}

/** Clocks that go apart by more did not just drift. */
const APART_MS = 2_000
const KEEP_MS = 2 * 24 * 3_600_000

export class CronWatch {
  readonly #look: () => HostLook
  #before: HostLook | null = null
  #hostUp: Period[] = []
  #cronAlive: Period[] = []

  /**
   * @param options.look at the host; the real one by default
   * @param options.pidFile of its cron daemon, where that is not at its usual place
   */
  constructor(options: { look?: () => HostLook; pidFile?: string | undefined } = {}) {
    this.#look = options.look ?? (() => lookAtHost(options.pidFile))
  }

  get hostUp(): readonly Period[] {
    return this.#hostUp
  }

  get cronAlive(): readonly Period[] {
    return this.#cronAlive
  }

  /** Looks now. @returns up to when the periods are known by that */
  sample(): number {
    const now = this.#look()
    const { clock, cron } = now
    const before = this.#before
    const isWhole = before !== null && isContinuous(before, now)
    const bootMs = clock.nowMs - clock.upMs
    // what came before the first look counts when the host never slept since
    const sinceMs = before === null && clock.upMs - now.awakeMs < APART_MS ? bootMs : clock.nowMs
    extend(this.#hostUp, { isSame: isWhole, fromMs: sinceMs, toMs: clock.nowMs })
    if (cron) {
      const isSame = isWhole && before.cron?.pid === cron.pid && before.cron.startTicks === cron.startTicks
      const begunMs = bootMs + Number(cron.startTicks) * TICK_MS
      const fromMs = isWhole || before === null ? begunMs : clock.nowMs
      extend(this.#cronAlive, { isSame, fromMs, toMs: clock.nowMs })
    }
    this.#before = now
    const isRecent = ({ toMs }: Period) => clock.nowMs - toMs < KEEP_MS
    this.#hostUp = this.#hostUp.filter(isRecent)
    this.#cronAlive = this.#cronAlive.filter(isRecent)
    return clock.nowMs
  }
}

function extend(periods: Period[], { isSame, fromMs, toMs }: Period & { isSame: boolean }): void {
  const last = periods.at(-1)
  if (last && isSame) last.toMs = toMs
  else periods.push({ fromMs, toMs })
}

/** The same boot, no sleep and no setting of the clock in between: these move the wall clock alone. */
function isContinuous(before: HostLook, now: HostLook): boolean {
  const passedMs = now.clock.nowMs - before.clock.nowMs
  return (
    before.clock.boot === now.clock.boot && Math.abs(passedMs - (now.awakeMs - before.awakeMs)) < APART_MS
  )
}

function lookAtHost(pidFile: string | undefined): HostLook {
  return {
    clock: readHostClock(),
    awakeMs: Number(process.hrtime.bigint() / 1_000_000n),
    cron: cronProcess(pidFile),
  }
}
