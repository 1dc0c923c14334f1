import { once } from 'node:events'
import { connect } from 'node:net'
import { join } from 'node:path'
import t from 'tap'
import { agentProcess } from '../fixtures/agent-process.ts'
import { supervisord } from '../fixtures/supervisord.ts'
import { until } from '../fixtures/wait.ts'
import { upgraded } from '../transports/support.ts'

await t.test(
  'SIGTERM while supervisord hangs: deaf peers are told at once, the end is in time',
  async (t) => {
    const host = await supervisord(t)
    const agent = await agentProcess(t, host, { listener: true })
    await until(() => agent.daemon.stderr().includes('event listener connected'), 'the listener')
    const { stdout: token } = await agent.run('token', 'create', 'panel', '--role', 'viewer')
    const { port } = new URL(await agent.address())
    // neither ever answers the close
    const webSocket = await upgraded(t, Number(port), token.trim())
    const admin = connect({ path: join(agent.runDir, 'admin.sock'), allowHalfOpen: true })
    t.teardown(() => admin.destroy())
    admin.on('error', () => undefined)
    await once(admin, 'data')

    const [listener = 0] = host.children()
    await host.kill('SIGSTOP')
    process.kill(listener, 'SIGKILL') // its end makes the agent ask supervisord, which does not answer
    await until(() => agent.daemon.stderr().includes('event listener disconnected'), 'the listener to go')

    const startedAt = performance.now()
    const told = until(() => webSocket.closeCode, 'the close frame').then(() => performance.now() - startedAt)
    const [{ code, tookMs }, toldMs] = await Promise.all([agent.stop(), told])
    t.equal(code, 0)
    t.equal(webSocket.closeCode, 1012)
    t.ok(toldMs < 2000, `told after ${Math.round(toldMs)} ms`)
    t.ok(tookMs < 5000, `ended after ${Math.round(tookMs)} ms`)
  },
)
