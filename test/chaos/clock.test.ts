import t from 'tap'
import { ChaosHost } from './chaos-host.ts'
import { clockJumps } from './scenarios/clock.ts'

await t.test('twenty clients while the clock of the agent jumps', async (t) => {
  const chaos = await ChaosHost.start(t, { hasClock: true })
  for (const { it, befall } of clockJumps)
    await t.test(it, async (t) => {
      await befall(chaos)
      t.same(await chaos.verdict(), [])
    })
  t.comment(`answers: ${JSON.stringify(chaos.load.answers)}`)
  t.equal(chaos.load.breaks, 0, 'nobody lost the connection to the agent')
  t.equal(await chaos.end(), 0, 'nothing is left open')
  t.equal((await chaos.agent.stop()).code, 0)
})
