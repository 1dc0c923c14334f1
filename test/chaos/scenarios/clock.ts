import type { Scenario } from './scenario.ts'

const HOUR_MS = 3_600_000

const JUMPS = [
  { it: 'an hour ahead', offMs: HOUR_MS },
  { it: 'two hours back', offMs: -HOUR_MS },
  { it: 'a month ahead', offMs: 30 * 24 * HOUR_MS },
  { it: 'right again', offMs: 0 },
]

/** Of an agent with a clock of its own. */
export const clockJumps: readonly Scenario[] = JUMPS.map(({ it, offMs }) => ({
  it: `its clock is ${it}`,
  befall: (chaos) => chaos.setClock(offMs),
}))
