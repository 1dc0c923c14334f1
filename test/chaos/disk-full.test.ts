import { rmSync, statfsSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { AgentError } from '../../src/client/index.ts'
import { AgentProcess } from '../fixtures/agent-process.ts'
import { fillDisk, noNamespace, onSmallDisk } from '../fixtures/namespace.ts'
import { supervisord } from '../fixtures/supervisord.ts'
import { until } from '../fixtures/wait.ts'
import { ChaosHost, pidOf } from './chaos-host.ts'
import { Clock } from './clock.ts'
import { PROGRAMS } from './load.ts'

const DISK = '4m'
const STILL_MS = 60_000

await t.test('twenty clients while the disk of the agent is full', { skip: noNamespace() }, async (t) => {
  const host = await supervisord(t, { programs: PROGRAMS })
  const agent = new AgentProcess(host)
  const clock = new Clock(host)
  t.teardown(async () => {
    if (agent.isRunning) await agent.stop('SIGKILL')
  })
  t.equal((await agent.run('listener', 'install')).code, 0)
  const state = join(host.folder, 'state')
  await agent.start({ env: clock.env, under: onSmallDisk(state, DISK) })
  const chaos = await ChaosHost.on(t, host, agent)
  const { admin, load } = chaos
  t.same(await chaos.verdict(), [], 'all is well before')
  const disk = `/proc/${pidOf(agent)}/root${state}`
  const ballast = join(disk, 'ballast')

  await t.test('events go on, and every call has its answer', async (t) => {
    fillDisk(ballast)
    t.equal(statfsSync(disk).bavail, 0)
    const before = load.trails[0]?.seq ?? 0
    // who sits at the host may act all the same, which gives the journal something to write
    await until(
      async () => {
        if (agent.daemon.stderr().includes('takes no records')) return true
        await admin.call('process.restart', { select: ['worker:*'] })
        return false
      },
      'the journal to stand still',
      STILL_MS,
    )
    const refusal = await admin
      .call('token.create', { name: 'late', role: 'viewer' }, { mutates: true })
      .then(() => 'ok', codeOf)
    t.notOk(['none', 'INTERNAL'].includes(refusal), `a new token: ${refusal}`)
    for (const child of host.children().slice(0, 3)) process.kill(child, 'SIGKILL')
    await until(() => load.trails.every(({ seq }) => seq > before + 3), 'events to go on')
    const { processes } = await admin.call('process.list', {})
    t.ok(processes.length > 0)
  })

  await t.test('it has room again, and the clock was set back', async (t) => {
    clock.jump(agent, -3_600_000)
    rmSync(ballast)
    t.same(await chaos.verdict(), [])
    await until(() => agent.daemon.stderr().includes('takes records again'), 'the journal to go on')
  })

  t.comment(`answers: ${JSON.stringify(load.answers)}`)
  t.equal(await chaos.end(), 0, 'nothing is left open')
  t.equal((await agent.stop()).code, 0)
})

function codeOf(error: unknown): string {
  return error instanceof AgentError ? error.code : 'none'
}
