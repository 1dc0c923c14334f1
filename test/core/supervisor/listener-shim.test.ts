import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { until } from '../../fixtures/wait.ts'
import { agent, frame, hostWithListener, PYTHON, rawAgent, SHIM, scratch } from './listener-harness.ts'

/** The shim with a test in supervisord's place. */
function shim(t: Test, socketPath: string) {
  const child = spawn(PYTHON, [SHIM, socketPath], { stdio: ['pipe', 'pipe', 'pipe'] })
  let said = ''
  child.stdout.on('data', (chunk) => (said += chunk))
  child.stderr.resume()
  t.teardown(() => child.kill('SIGKILL'))
  return { child, said: () => said, pid: child.pid ?? 0 }
}

await t.test('it ends with supervisord, whether the agent is there or not', async (t) => {
  const socketPath = join(scratch(t), 'l.sock')
  const lonely = shim(t, socketPath)
  lonely.child.stdin.end()
  t.same(await once(lonely.child, 'exit'), [0, null])

  const peer = await rawAgent(socketPath)
  t.teardown(() => peer.close())
  const connected = shim(t, socketPath)
  await until(() => peer.received().includes('\n'), 'its hello')
  connected.child.stdin.end()
  t.same(await once(connected.child, 'exit'), [0, null])

  const terminated = shim(t, socketPath)
  await until(() => peer.connections.length === 2, 'its connection')
  terminated.child.kill('SIGTERM')
  t.same(await once(terminated.child, 'exit'), [null, 'SIGTERM'])
})

await t.test('it says READY only for the agent, and never twice', async (t) => {
  const socketPath = join(scratch(t), 'l.sock')
  const tested = shim(t, socketPath)
  const peer = await rawAgent(socketPath)
  t.teardown(() => peer.close())
  const helloOf = (index: number): unknown => JSON.parse(peer.received().split('\n').at(index) ?? '')
  await until(() => peer.received().includes('\n'), 'its hello')
  t.match(helloOf(0), { shim: 1, pid: tested.pid, supervisord: process.pid, ready: false, pending: false })
  t.equal(tested.said(), '', 'nothing before the agent says so')

  peer.connections[0]?.write('REA')
  peer.connections[0]?.write('DY\n')
  await until(() => tested.said() === 'READY\n', 'READY')
  peer.connections[0]?.write('READY\n')
  await until(() => peer.connections.length === 2, 'a new connection after the second READY')
  await until(() => peer.received().split('\n').length === 3, 'its hello')
  t.match(helloOf(1), { ready: true, pending: false })
  peer.connections[1]?.write('RESULT 2\nOK')
  await until(() => peer.connections.length === 3, 'a new connection after a result for nothing')
  t.equal(tested.said(), 'READY\n', 'supervisord saw one READY and no result')
})

await t.test('an event that comes in pieces is handed over whole, also to the next agent', async (t) => {
  const socketPath = join(scratch(t), 'l.sock')
  const tested = shim(t, socketPath)
  const peer = await rawAgent(socketPath, (socket) => {
    if (peer.connections.length === 1) socket.write('READY\n')
  })
  t.teardown(() => peer.close())
  await until(() => tested.said() === 'READY\n', 'READY')
  const bytes = Buffer.from(frame('type:a\n👍🏽 zwei'))
  const cut = bytes.indexOf(0xf0) + 2
  tested.child.stdin.write(bytes.subarray(0, cut))
  peer.connections[0]?.write('READY\n')
  await until(() => peer.connections.length === 2, 'a READY in the middle of an event is refused')
  await until(() => peer.received().split('\n').length === 3, 'the second hello')
  t.match(JSON.parse(peer.received().split('\n')[1] ?? ''), { ready: false, pending: true })
  tested.child.stdin.write(bytes.subarray(cut))
  await until(() => peer.received().endsWith('zwei'), 'the whole event')
  t.ok(peer.received().endsWith(`\n${bytes.toString()}`), 'byte for byte, once')

  peer.connections[1]?.destroy()
  await until(
    () => peer.connections.length === 3 && peer.received().split('zwei').length === 3,
    'the event again',
  )
  t.equal(peer.received().split('zwei').length, 3, 'handed over once more')
  peer.connections[2]?.write('RESULT 2\nOKREADY\n')
  await until(() => tested.said() === 'READY\nRESULT 2\nOKREADY\n', 'the answer')
})

await t.test('an event too large for the agent is answered without it', async (t) => {
  const host = await hostWithListener(t)
  const watcher = await agent(t, host.socketPath)
  await until(() => watcher.events.length > 0, 'the first events')
  await host.send('before')
  await host.send('é'.repeat((1 << 20) + 10))
  await host.send('after')
  await until(() => watcher.bodies.at(-1) === 'after', 'the event after it')
  t.same(watcher.bodies, ['before', 'after'])
  t.equal(watcher.gaps.length, 1, 'and shows as a gap')
})

await t.test('garbage from the agent never reaches supervisord', async (t) => {
  const host = await hostWithListener(t)
  const texts = [
    'HELLO\n',
    'RESULT 2\nOK',
    'READY \n',
    'RESULT 4\nFAIL',
    '\0',
    'READY\nREADY\n',
    'READY\nRESULT 2\nOKX',
  ]
  for (const text of texts) {
    const peer = await rawAgent(host.socketPath, (socket) => socket.write(text))
    await until(() => peer.connections.length >= 2, `the refusal of ${JSON.stringify(text)}`)
    await peer.close()
  }
  const pid = await host.shimPid()
  const watcher = await agent(t, host.socketPath)
  await host.send('still here')
  await until(() => watcher.bodies.length === 1, 'an event after all that')
  t.equal(watcher.hellos[0]?.pid, pid, 'the same shim')
  t.notMatch(
    readFileSync(host.supervisord.mainLog, 'utf8'),
    /UNKNOWN state/,
    'supervisord has nothing to complain about',
  )
})

await t.test('waiting costs nothing', async (t) => {
  const socketPath = join(scratch(t), 'l.sock')
  const tested = shim(t, socketPath)
  const peer = await rawAgent(socketPath, (socket) => socket.write('READY\n'))
  t.teardown(() => peer.close())
  await until(() => tested.said() === 'READY\n', 'READY')
  const switches = (): number =>
    Number(/^voluntary_ctxt_switches:\s+(\d+)/m.exec(readFileSync(`/proc/${tested.pid}/status`, 'utf8'))?.[1])
  // It has woken for the last time when it sleeps in poll again.
  await until(() => readFileSync(`/proc/${tested.pid}/wchan`, 'utf8').includes('poll'), 'sleep in poll')
  const before = switches()
  const begun = performance.now()
  await until(() => performance.now() - begun > 1000, 'a second of rest')
  t.equal(switches(), before, 'it did not wake once')
})
