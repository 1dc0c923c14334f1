import t from 'tap'
import { noNamespace } from '../fixtures/namespace.ts'
import { ChaosHost } from './chaos-host.ts'
import { fullDisk } from './scenarios/disk.ts'

const DISK = '4m'

await t.test('twenty clients while the disk of the agent is full', { skip: noNamespace() }, async (t) => {
  const chaos = await ChaosHost.start(t, { hasClock: true, disk: DISK })
  const { agent, load } = chaos
  t.same(await chaos.verdict(), [], 'all is well before')
  await t.test(`${fullDisk.it}, and its clock is set back meanwhile`, async (t) => {
    await Promise.all([fullDisk.befall(chaos), chaos.setClock(-3_600_000)])
    t.same(await chaos.verdict(), [])
  })
  t.comment(`answers: ${JSON.stringify(load.answers)}`)
  t.equal(await chaos.end(), 0, 'nothing is left open')
  t.equal((await agent.stop()).code, 0)
})
