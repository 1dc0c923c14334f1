import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { Check } from './check.ts'
import { type DoctorHost, word } from './host.ts'

/** Clocks of file servers differ a little. */
const SLACK_MS = 60_000

/** What the agent wrote cannot be younger than now: then the clock was ahead, or is behind. */
export const clock = ({ config }: DoctorHost): Check => ({
  name: 'clock',
  question: 'Has the clock of this host gone forward only?',
  async run() {
    const names = await readdir(config.stateDir).catch(() => [])
    const times = await Promise.all(
      names.map(async (name) => (await stat(join(config.stateDir, name)).catch(() => null))?.mtimeMs ?? 0),
    )
    const aheadMs = Math.max(0, ...times) - Date.now()
    if (aheadMs <= SLACK_MS) return null
    return {
      severity: 'warning',
      message: `the clock was set back: the agent wrote its state ${Math.round(aheadMs / 1000)} s later than it is now; times in events, tokens and certificates are judged by that clock`,
      fix: `date -u; timedatectl; ls -la --time-style=full-iso ${word(config.stateDir)}`,
    }
  },
})
