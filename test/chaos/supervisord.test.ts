import { once } from 'node:events'
import { renameSync } from 'node:fs'
import { createServer } from 'node:net'
import t from 'tap'
import { until } from '../fixtures/wait.ts'
import { ChaosHost } from './chaos-host.ts'

const AWAY_MS = 30_000

await t.test('twenty clients while supervisord', async (t) => {
  const chaos = await ChaosHost.start(t)
  const { host, admin, load } = chaos
  const stateOf = async () => (await admin.call('agent.info', {})).supervisor.state
  const isAway = () => until(async () => (await stateOf()) !== 'running', 'supervisord to be away', AWAY_MS)
  const isBack = () => until(async () => (await stateOf()) === 'running', 'supervisord to be back', AWAY_MS)
  t.same(await chaos.verdict(), [], 'all is well before')

  await t.test('is killed and started again', async (t) => {
    const children = host.children()
    await host.kill('SIGKILL')
    await isAway()
    for (const pid of children) end(pid)
    await host.start()
    await isBack()
    t.same(await chaos.verdict(), [])
  })

  await t.test('stands still, and a process dies meanwhile', async (t) => {
    const { processes } = await admin.call('process.list', { select: ['steady'] })
    await host.kill('SIGSTOP')
    end(processes[0]?.pid ?? 0)
    await isAway()
    await host.kill('SIGCONT')
    await isBack()
    t.same(await chaos.verdict(), [])
    const after = await admin.call('process.list', { select: ['steady'] })
    t.not(after.processes[0]?.pid, processes[0]?.pid, 'the process that died is another one')
  })

  await t.test('is reloaded', async (t) => {
    const before = (await admin.call('process.list', { select: ['steady'] })).processes[0]?.pid
    t.equal((await host.ctl('reload')).code, 0)
    await until(
      async () => {
        const [steady] = (await admin.call('process.list', { select: ['steady'] })).processes
        return steady?.state === 'RUNNING' && steady.pid !== before
      },
      'the processes to be others',
      AWAY_MS,
    )
    t.same(await chaos.verdict(), [])
  })

  await t.test('has lost its socket, and another program listens there', async (t) => {
    const aside = `${host.socket}.aside`
    renameSync(host.socket, aside)
    const other = createServer((socket) => {
      socket.on('error', () => undefined)
      socket.on('data', () => socket.end('220 mail ready\r\n'))
    })
    other.listen(host.socket)
    await once(other, 'listening')
    // what goes over connections that are still open goes well all the same
    const failed = () => load.answers['SUPERVISOR_UNREACHABLE'] ?? 0
    const before = failed()
    await until(() => failed() > before + 3, 'calls to see through the other program', AWAY_MS)
    end((await admin.call('process.list', { select: ['steady'] })).processes[0]?.pid ?? 0)
    other.close()
    await once(other, 'close')
    renameSync(aside, host.socket)
    await isBack()
    t.same(await chaos.verdict(), [])
  })

  await t.test('gets a successor at its socket, and lives on for a while', async (t) => {
    const old = host.pid
    const children = host.children()
    renameSync(host.socket, `${host.socket}.old`)
    await host.start()
    await until(
      async () => {
        const { supervisor } = await admin.call('agent.info', {})
        return supervisor.pid === host.pid
      },
      'the agent to be with the successor',
      AWAY_MS,
    )
    for (const pid of [old, ...children]) end(pid)
    t.same(await chaos.verdict(), [])
  })

  t.comment(`answers: ${JSON.stringify(load.answers)}; events: ${load.trails[0]?.events}`)
  t.equal(load.breaks, 0, 'nobody lost the connection to the agent')
  t.equal(await chaos.end(), 0, 'nothing is left open')
  t.equal((await chaos.agent.stop()).code, 0)
})

function end(pid: number): void {
  if (pid === 0) throw new Error('no such process')
  try {
    process.kill(pid, 'SIGKILL')
  } catch {
    // it is gone already
  }
}
