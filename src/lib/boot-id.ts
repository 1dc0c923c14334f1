import { readFileSync } from 'node:fs'

/** Names this start of the host; another one after each. */
export function bootIdOfHost(): string {
  return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()
}
