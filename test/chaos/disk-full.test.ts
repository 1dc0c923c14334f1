import { rmSync, statfsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { AgentError } from '../../src/client/index.ts'
import { AgentProcess } from '../fixtures/agent-process.ts'
import { noNamespace } from '../fixtures/namespace.ts'
import { supervisord } from '../fixtures/supervisord.ts'
import { until } from '../fixtures/wait.ts'
import { ChaosHost, pidOf } from './chaos-host.ts'
import { Clock } from './clock.ts'
import { PROGRAMS } from './load.ts'

const DISK = '4m'
const CHUNK = 'x'.repeat(64 * 1024)

await t.test('twenty clients while the disk of the agent is full', { skip: noNamespace() }, async (t) => {
  const host = await supervisord(t, { programs: PROGRAMS })
  const agent = new AgentProcess(host)
  const clock = new Clock(host)
  t.teardown(async () => {
    if (agent.isRunning) await agent.stop('SIGKILL')
  })
  t.equal((await agent.run('listener', 'install')).code, 0)
  const state = join(host.folder, 'state')
  // a small disk that nobody but the agent sees
  const mount = `mkdir -p "$0" && mount -t tmpfs -o size=${DISK} tmpfs "$0" && exec "$@"`
  await agent.start({ env: clock.env, under: ['unshare', '-rm', 'sh', '-c', mount, state] })
  const chaos = await ChaosHost.on(t, host, agent)
  const { admin, load } = chaos
  t.same(await chaos.verdict(), [], 'all is well before')
  const disk = `/proc/${pidOf(agent)}/root${state}`
  const ballast = join(disk, 'ballast')

  await t.test('events go on, and every call has its answer', async (t) => {
    fill(ballast)
    t.equal(statfsSync(disk).bavail, 0)
    const before = load.trails[0]?.seq ?? 0
    await until(() => agent.daemon.stderr().includes('takes no records'), 'the journal to stand still')
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

function fill(path: string): void {
  for (const size of [CHUNK.length, 4096, 1])
    try {
      for (;;) writeFileSync(path, CHUNK.slice(0, size), { flag: 'a' })
    } catch {
      // full to that size
    }
}

function codeOf(error: unknown): string {
  return error instanceof AgentError ? error.code : 'none'
}
