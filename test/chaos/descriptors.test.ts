import t from 'tap'
import { ChaosHost } from './chaos-host.ts'
import { CROWD, noDescriptors } from './scenarios/descriptors.ts'

/** Lines for a crowd: some for each, and no flood. */
const LINES_MAX = 4 * CROWD

await t.test('twenty clients while there are no descriptors left', async (t) => {
  const chaos = await ChaosHost.start(t)
  const { agent, load } = chaos
  t.same(await chaos.verdict(), [], 'all is well before')
  for (const { it, befall } of noDescriptors)
    await t.test(it, async (t) => {
      await befall(chaos)
      t.ok(agent.isRunning)
      t.same(await chaos.verdict(), [])
    })
  const lines = agent.daemon.stderr().split('\n')
  const refused = lines.filter((line) => /EMFILE|cannot accept|too many connections/.test(line)).length
  t.ok(refused < LINES_MAX, `${refused} lines say so`)
  t.comment(`answers: ${JSON.stringify(load.answers)}; breaks: ${load.breaks}`)
  t.equal(await chaos.end(), 0, 'nothing is left open')
  t.equal((await agent.stop()).code, 0)
})
