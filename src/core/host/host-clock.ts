import { readFileSync } from 'node:fs'

/** The wall clock and the time since the boot, read together. */
export interface HostClock {
  /** The first part of the boot id. */
  boot: string
  nowMs: number
  /** Since the boot; a host that sleeps counts on. */
  upMs: number
}

export function readHostClock(): HostClock {
  const [up = ''] = readFileSync('/proc/uptime', 'latin1').split(' ')
  const [boot = ''] = readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').split('-')
  return { boot, nowMs: Date.now(), upMs: Math.round(Number(up) * 1000) }
}
