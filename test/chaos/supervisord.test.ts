import t from 'tap'
import { ChaosHost } from './chaos-host.ts'
import { supervisordTroubles } from './scenarios/supervisord.ts'

await t.test('twenty clients while supervisord is in trouble', async (t) => {
  const chaos = await ChaosHost.start(t)
  const { load } = chaos
  t.same(await chaos.verdict(), [], 'all is well before')
  for (const { it, befall } of supervisordTroubles)
    await t.test(it, async (t) => {
      await befall(chaos)
      t.same(await chaos.verdict(), [])
    })
  t.comment(`answers: ${JSON.stringify(load.answers)}; events: ${load.trails[0]?.events}`)
  t.equal(load.breaks, 0, 'nobody lost the connection to the agent')
  t.equal(await chaos.end(), 0, 'nothing is left open')
  t.equal((await chaos.agent.stop()).code, 0)
})
