import type { ChaosHost } from '../chaos-host.ts'

/** Something that befalls an agent under load. What is true afterwards, {@link ChaosHost.verdict} says. */
export interface Scenario {
  it: string
  /** Returns when it is over. @throws what was wrong meanwhile */
  befall: (chaos: ChaosHost) => Promise<void>
}
