import { equal, notEqual, ok } from 'node:assert/strict'
import { rmSync, statfsSync } from 'node:fs'
import { join } from 'node:path'
import { AgentError } from '../../../src/client/index.ts'
import { fillDisk } from '../../fixtures/namespace.ts'
import { until } from '../../fixtures/wait.ts'
import type { ChaosHost } from '../chaos-host.ts'
import type { Scenario } from './scenario.ts'

const STILL_MS = 60_000
let tokens = 0

/** Of an agent with a small disk of its own. */
export const fullDisk: Scenario = {
  it: 'its disk is full for a while',
  async befall(chaos) {
    const ballast = join(chaos.state, 'ballast')
    const log = logOf(chaos)
    fillDisk(ballast)
    try {
      equal(statfsSync(chaos.state).bavail, 0)
      await whileFull(chaos, log)
    } finally {
      rmSync(ballast)
    }
    await chaos.load.recovered()
    await until(() => log().includes('takes records again'), 'the journal to go on', STILL_MS)
  },
}

/** Events go on, and every call has its answer. */
async function whileFull({ admin, host, load }: ChaosHost, log: () => string): Promise<void> {
  const before = load.trails[0]?.seq ?? 0
  // who sits at the host may act all the same, which gives the journal something to write
  await until(
    async () => {
      if (log().includes('takes no records')) return true
      await admin.call('process.restart', { select: ['worker:*'] })
      return false
    },
    'the journal to stand still',
    STILL_MS,
  )
  const name = `late-${++tokens}`
  const refusal = await admin.call('token.create', { name, role: 'viewer' }, { mutates: true }).then(
    () => 'ok',
    (error: unknown) => (error instanceof AgentError ? error.code : 'none'),
  )
  notEqual(refusal, 'none')
  notEqual(refusal, 'INTERNAL')
  for (const child of host.children().slice(0, 3)) process.kill(child, 'SIGKILL')
  await until(() => load.trails.every(({ seq }) => seq > before + 3), 'events to go on')
  const { processes } = await admin.call('process.list', {})
  ok(processes.length > 0)
}

/** The agent's log from now on. */
function logOf({ agent }: ChaosHost): () => string {
  const from = agent.daemon.stderr().length
  return () => agent.daemon.stderr().slice(from)
}
