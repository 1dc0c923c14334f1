import t from 'tap'
import { AgentProcess } from '../fixtures/agent-process.ts'
import { supervisord } from '../fixtures/supervisord.ts'
import { until } from '../fixtures/wait.ts'
import { ChaosHost } from './chaos-host.ts'
import { Clock } from './clock.ts'
import { PROGRAMS } from './load.ts'

const HOUR_MS = 3_600_000
const JUMPS = [
  { it: 'an hour ahead', offMs: HOUR_MS },
  { it: 'two hours back', offMs: -HOUR_MS },
  { it: 'a month ahead', offMs: 30 * 24 * HOUR_MS },
  { it: 'right again', offMs: 0 },
]

await t.test('twenty clients while the clock of the agent jumps', async (t) => {
  const host = await supervisord(t, { programs: PROGRAMS })
  const agent = new AgentProcess(host)
  const clock = new Clock(host)
  t.teardown(async () => {
    if (agent.isRunning) await agent.stop('SIGKILL')
  })
  t.equal((await agent.run('listener', 'install')).code, 0)
  await agent.start({ env: clock.env })
  const chaos = await ChaosHost.on(t, host, agent)
  for (const { it, offMs } of JUMPS)
    await t.test(it, async (t) => {
      clock.jump(agent, offMs)
      await until(() => agent.daemon.stderr().includes(`off by ${offMs}\n`), 'the clock to jump')
      t.same(await chaos.verdict(), [])
    })
  t.comment(`answers: ${JSON.stringify(chaos.load.answers)}`)
  t.equal(chaos.load.breaks, 0, 'nobody lost the connection to the agent')
  t.equal(await chaos.end(), 0, 'nothing is left open')

  const stop = () =>
    chaos.admin.call(
      'process.stop',
      { select: ['steady'], idempotencyKey: 'key-before' },
      { timeoutMs: 20_000 },
    )
  t.match(await stop(), { results: [{ ok: true, changed: true }] })
  const { epoch } = await chaos.admin.call('agent.info', {})
  for (const years of [5, -5])
    await t.test(`started again with a clock that is ${years} years off`, async (t) => {
      clock.jump(agent, years * 365 * 24 * HOUR_MS)
      await agent.stop(years > 0 ? 'SIGTERM' : 'SIGKILL')
      await agent.start({ env: clock.env })
      t.match(
        await stop(),
        { results: [{ ok: true, changed: true }], replayed: true },
        'a key is not forgotten',
      )
      t.equal((await chaos.admin.call('agent.info', {})).epoch, epoch)
      t.match(JSON.parse((await agent.run('--json', 'audit', 'verify')).stdout), { ok: true, first: 1 })
    })
  t.equal((await agent.stop()).code, 0)
})
