import { once } from 'node:events'
import { existsSync, mkdirSync, readFileSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { rpcOf } from '../../fixtures/rpc.ts'
import { startStack } from '../../fixtures/stack.ts'
import { Supervisord } from '../../fixtures/supervisord.ts'
import { until } from '../../fixtures/wait.ts'
import {
  type Agent,
  agent,
  hostWithListener,
  listenerSettings,
  otherListener,
  rawAgent,
  seenByOther,
} from './listener-harness.ts'

const numbers = (count: number): string[] => Array.from({ length: count }, (_, index) => String(index))

function contiguous(t: Test, agents: readonly Agent[]): void {
  const serials = agents.flatMap(({ poolSerials }) => poolSerials)
  const first = serials[0] ?? -1
  t.same(
    serials,
    serials.map((_, index) => first + index),
    'pool serials without a hole, none twice, in order',
  )
}

await t.test('events pass through supervisord, shim and server', async (t) => {
  const host = await hostWithListener(t, { programs: { web: { command: 'sleep 600', startsecs: 0 } } })
  const watcher = await agent(t, host.socketPath)
  await until(
    () => watcher.events.some(({ name }) => name === 'SUPERVISOR_STATE_CHANGE_RUNNING'),
    'the first events',
  )
  t.equal(watcher.hellos[0]?.supervisord, host.supervisord.pid)
  t.equal(watcher.hellos[0]?.pid, await host.shimPid())
  t.equal(watcher.hellos[0]?.cwd, host.supervisord.folder)

  const texts = [
    'a 👍🏽 emoji 𝒳',
    'ümläut\nand a second line',
    '',
    'x'.repeat(200_000),
    '中文'.repeat(40_000),
    'last',
  ]
  for (const text of texts) await host.send(text)
  await until(() => watcher.bodies.length === texts.length, 'all texts')
  t.same(watcher.bodies, texts, 'every text as it was, whatever its characters')

  await host.rpc.call('supervisor.stopProcess', ['web'])
  await until(() => watcher.events.some(({ name }) => name === 'PROCESS_STATE_STOPPED'), 'the stop')
  const bodies = watcher.events.map(({ body }) => body).filter(({ kind }) => kind === 'process-state')
  t.match(bodies.at(-1), { process: 'web', group: 'web', from: 'STOPPING', to: 'STOPPED' })
  contiguous(t, [watcher])
  t.match(watcher.server.status(), { connected: true, lost: 0, shimPid: await host.shimPid() })
})

await t.test('what happens while the agent is away arrives when it is back', async (t) => {
  const host = await hostWithListener(t, { programs: { web: { command: 'sleep 600', startsecs: 0 } } })
  const first = await agent(t, host.socketPath)
  const starts = ({ events }: Agent) =>
    events.filter(
      ({ body }) => body.kind === 'process-state' && body.process === 'web' && body.to === 'RUNNING',
    )
  await until(() => starts(first).length === 1, 'the start')
  await first.server.stop()
  t.notOk(existsSync(host.socketPath), 'the socket is gone')

  const info = (await host.rpc.call('supervisor.getProcessInfo', ['web'])) as { pid: number }
  process.kill(info.pid, 'SIGKILL')
  await host.send('away')
  const second = await agent(t, host.socketPath)
  await until(() => starts(second).length === 1, 'the restart')
  t.ok(
    second.events.some(({ name }) => name === 'PROCESS_STATE_EXITED'),
    'the death is told',
  )
  t.same([...first.bodies, ...second.bodies], ['away'])
  contiguous(t, [first, second])
  t.equal(await host.shimPid(), first.hellos[0]?.pid, 'the shim never ended')
})

await t.test('300 events while the agent is away: none lost, none doubled', async (t) => {
  const host = await hostWithListener(t)
  const first = await agent(t, host.socketPath)
  await until(() => first.events.some(({ name }) => name === 'SUPERVISOR_STATE_CHANGE_RUNNING'), 'the start')
  await first.server.stop()
  for (const text of numbers(300)) await host.send(text)
  const second = await agent(t, host.socketPath)
  await until(() => second.bodies.length === 300, 'all 300')
  t.same(second.bodies, numbers(300), 'in order')
  contiguous(t, [first, second])
  t.same(second.gaps, [])
})

await t.test('a burst through agents that come and go', async (t) => {
  const host = await hostWithListener(t)
  const agents: Agent[] = []
  const sending = (async () => {
    for (const text of numbers(200)) await host.send(text)
  })()
  for (let round = 0; round < 6; round++) {
    const next = await agent(t, host.socketPath)
    agents.push(next)
    const goal = Math.min(200, (round + 1) * 30)
    await until(() => agents.flatMap(({ bodies }) => bodies).length >= goal, `event ${goal}`)
    await next.server.stop()
  }
  await sending
  const last = await agent(t, host.socketPath)
  agents.push(last)
  await until(() => agents.flatMap(({ bodies }) => bodies).length >= 200, 'the rest')
  t.same(
    agents.flatMap(({ bodies }) => bodies),
    numbers(200),
  )
  contiguous(t, agents)
})

await t.test('an agent that dies with an event in hand gets it again', async (t) => {
  const host = await hostWithListener(t)
  const dying = await rawAgent(host.socketPath, (socket) =>
    socket.once('data', () => socket.write('READY\n')),
  )
  await until(() => dying.received().includes('eventname:'), 'an event')
  await dying.close()
  const heir = await agent(t, host.socketPath)
  await until(() => heir.events.length > 1, 'the same event and the next')
  t.match(heir.hellos[0], { ready: false, pending: true })
  t.ok(dying.received().includes(` serial:${heir.events[0]?.serial} `), 'the first event is the one in hand')
  contiguous(t, [heir])
})

await t.test('a shim killed with an event in hand: told once, and once to other listeners', async (t) => {
  const host = await hostWithListener(t, { programs: {} })
  host.supervisord.writeProgram('eventlistener:other', otherListener(host.supervisord.folder))
  await host.rpc.call('supervisor.reloadConfig')
  await host.rpc.call('supervisor.addProcessGroup', ['other'])
  const hold: { release: () => void } = { release: () => {} }
  const watcher = await agent(t, host.socketPath, {
    onEvent: async ({ body }) => {
      if (body.kind === 'remote' && body.body === 'slow')
        await new Promise<void>((resolve) => (hold.release = resolve))
    },
  })
  await until(() => watcher.events.length > 0, 'the first events')
  await host.send('slow')
  await until(() => watcher.bodies.includes('slow'), 'the slow event')
  const before = await host.shimPid()
  process.kill(before, 'SIGKILL')
  await until(() => watcher.hellos.length === 2, 'the next shim')
  hold.release()
  await host.send('after')
  await until(() => watcher.bodies.includes('after'), 'the event after it')
  t.same(watcher.bodies, ['slow', 'after'])
  t.not(watcher.hellos[1]?.pid, before)
  t.same(watcher.gaps, [])
  contiguous(t, [watcher])
  await until(
    () => seenByOther(host.supervisord.folder).length >= 2 && host.send('end'),
    'the other listener',
  )
  await until(() => watcher.bodies.includes('end'), 'the end')
  await until(
    () => seenByOther(host.supervisord.folder).at(-1)?.endsWith('REMOTE_COMMUNICATION'),
    'the end there',
  )
  const seen = seenByOther(host.supervisord.folder)
  t.same(seen, [...new Set(seen)], 'the other listener got nothing twice')
})

await t.test('supervisord ends and starts again', async (t) => {
  const host = await hostWithListener(t)
  const watcher = await agent(t, host.socketPath)
  const starts = (): number =>
    watcher.events.filter(({ name }) => name === 'SUPERVISOR_STATE_CHANGE_RUNNING').length
  await until(() => starts() === 1, 'the start')
  await host.supervisord.kill('SIGTERM')
  await until(() => watcher.disconnections === 1, 'the end of the shim')
  t.equal(watcher.server.status().connected, false)
  await host.supervisord.start()
  await until(() => starts() === 2, 'the second start')
  t.equal(watcher.resets, 1)
  t.same(watcher.gaps, [], 'a new count is no gap')

  await host.rpc.call('supervisor.restart')
  await until(() => starts() === 3, 'the start after a restart from within')
  t.equal(watcher.resets, 2, 'told, also when supervisord keeps its pid')
  t.same(watcher.gaps, [])
})

await t.test('events that supervisord throws away show as a gap', async (t) => {
  const host = await hostWithListener(t, { listener: { buffer_size: 2 } })
  const first = await agent(t, host.socketPath)
  await until(() => first.events.length > 0, 'the start')
  await host.send('here')
  await until(() => first.bodies.length === 1, 'the last event before it leaves')
  await first.server.stop()
  const position = first.server.status().position
  for (const text of numbers(10)) await host.send(text)
  const second = await agent(t, host.socketPath, position ? { position } : {})
  await until(() => second.bodies.at(-1) === '9', 'the last event')
  const missing = 10 - second.bodies.length
  t.ok(missing > 0, `${missing} of 10 fell out of the buffer`)
  t.equal(
    second.gaps.reduce((sum, { expected, got }) => sum + got - expected, 0),
    missing,
  )
  t.equal(second.server.status().lost, missing)
})

await t.test('a listener that comes while the agent takes its first look: states go on', async (t) => {
  const slow = { command: 'sleep 300', startsecs: 4, autostart: false }
  const host = new Supervisord({ programs: { slow } })
  t.teardown(() => host.stop())
  mkdirSync(join(host.folder, 'run'))
  await host.start()
  // as `listener install` does it, so that the listener has no events of other groups before it
  const rpc = rpcOf(host.socket)
  host.writeProgram(
    'eventlistener:supervisor-agent',
    listenerSettings(join(host.folder, 'run/listener.sock')),
  )
  await rpc.call('supervisor.reloadConfig')
  await rpc.call('supervisor.addProcessGroup', ['supervisor-agent'])
  const shim = await until(() => host.children()[0], 'the shim')
  process.kill(shim, 'SIGSTOP')
  await rpc.call('supervisor.startProcess', ['slow', false])

  const held = await holding(t, host, 'getAllProcessInfo')
  const starting = startStack(t, host, { url: held.url })
  await until(() => held.isHolding(), 'the first look')
  process.kill(shim, 'SIGCONT')
  const said = () => readFileSync(join(host.folder, 'run/listener.sock.shim.err'), 'utf8')
  await until(() => said().includes('connected to the agent'), 'the listener to come')
  held.release()
  const { stack, waitState, states } = await starting
  await until(() => stack.listener.status().connected, 'the agent to know it')
  await waitState('slow', 'RUNNING')
  t.match(states('slow').at(-1), { from: 'STARTING', to: 'RUNNING' })
})

/** A way to supervisord that keeps back the answer to the first question with that word in it. */
async function holding(t: { teardown(task: () => unknown): void }, host: Supervisord, word: string) {
  let release = () => {}
  let isHolding = false
  const released = new Promise<void>((resolve) => (release = resolve))
  const server = createServer((near) => {
    const far = connect(host.socket)
    for (const [one, other] of [
      [near, far],
      [far, near],
    ] as const) {
      one.on('error', () => other.destroy())
      one.on('close', () => other.destroy())
    }
    near.on('data', (chunk: Buffer) => {
      if (!isHolding && chunk.includes(word)) {
        isHolding = true
        far.pause()
        void released.then(() => far.resume())
      }
      far.write(chunk)
    })
    far.on('data', (chunk) => near.write(chunk))
  })
  const path = join(host.folder, 'held.sock')
  await once(server.listen(path), 'listening')
  t.teardown(() => server.close())
  return { url: `unix://${path}`, isHolding: () => isHolding, release }
}
