import { lstatSync, renameSync, statSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import t from 'tap'
import { until } from '../../fixtures/wait.ts'
import { Agent, agent, frame, HELLO, rawShim, scratch } from './listener-harness.ts'

const hello = (more: object = {}): string => `${JSON.stringify({ ...HELLO, ...more })}\n`

await t.test('the socket is private from the start', async (t) => {
  const socketPath = join(scratch(t), 'l.sock')
  const umask = process.umask()
  const watcher = await agent(t, socketPath, { uid: 65534 })
  t.equal(statSync(socketPath).mode & 0o777, 0o600)
  t.equal(statSync(socketPath).uid, process.getuid?.() === 0 ? 65534 : process.getuid?.())
  t.equal(process.umask(), umask)
  await watcher.server.stop()
  t.equal(lstatSync(socketPath, { throwIfNoEntry: false }), undefined)
})

await t.test('only a dead socket is taken over', async (t) => {
  const folder = scratch(t)
  const file = join(folder, 'file')
  writeFileSync(file, 'precious')
  await t.rejects(new Agent(file).server.start(), { code: 'INTERNAL', message: /is not a socket/ })

  const socketPath = join(folder, 'l.sock')
  await agent(t, socketPath)
  await t.rejects(new Agent(socketPath).server.start(), { message: /another agent answers/ })

  // A process that is killed leaves its socket behind.
  const left = join(folder, 'left.sock')
  const dead = createServer()
  await new Promise<void>((done) => dead.listen(`${left}.tmp`, done))
  renameSync(`${left}.tmp`, left)
  await new Promise((done) => dead.close(done))
  await agent(t, left)
  t.ok(lstatSync(left).isSocket())
})

await t.test('it answers event by event', async (t) => {
  const socketPath = join(scratch(t), 'l.sock')
  const watcher = await agent(t, socketPath)
  let answers = ''
  const shim = rawShim(socketPath, hello())
  shim.on('data', (chunk) => (answers += chunk))
  await until(() => answers === 'READY\n', 'READY to a shim that is not')
  for (const byte of Buffer.from(frame('type:x\n👍'))) shim.write(Buffer.of(byte))
  await until(() => answers === 'READY\nRESULT 2\nOKREADY\n', 'the answer')
  t.same(watcher.bodies, ['👍'])
  shim.write(frame('type:x\n👍'))
  await until(() => answers.endsWith('OKREADY\nRESULT 2\nOKREADY\n'), 'the answer to the same event')
  t.same(watcher.bodies, ['👍'], 'not passed on again')
  shim.destroy()
})

await t.test('a shim that is ready or has an event in hand is not told READY', async (t) => {
  for (const state of [{ ready: true }, { pending: true }]) {
    const socketPath = join(scratch(t), 'l.sock')
    const watcher = await agent(t, socketPath)
    let answers = ''
    const shim = rawShim(socketPath, hello(state))
    shim.on('data', (chunk) => (answers += chunk))
    await until(() => watcher.hellos.length === 1, 'the hello')
    shim.write(frame('type:x\nfirst'))
    await until(() => answers !== '', 'an answer')
    t.equal(answers, 'RESULT 2\nOKREADY\n')
    shim.destroy()
  }
})

await t.test('the newest shim wins, and an event in hand is not doubled', async (t) => {
  const socketPath = join(scratch(t), 'l.sock')
  const hold: { release: () => void } = { release: () => {} }
  const watcher = await agent(t, socketPath, {
    onEvent: () => new Promise((resolve) => (hold.release = resolve)),
  })
  const old = rawShim(socketPath, hello({ ready: true }) + frame('type:x\nslow', { serial: 5 }))
  await until(() => watcher.bodies.length === 1, 'the event')
  let answers = ''
  const young = rawShim(
    socketPath,
    hello({ pid: 4243, pending: true }) + frame('type:x\nslow', { serial: 5 }),
  )
  young.on('data', (chunk) => (answers += chunk))
  await until(() => old.closed, 'the end of the old one')
  t.equal(watcher.server.status().shimPid, 4243)
  t.equal(answers, '', 'its event waits for the first time of the same')
  hold.release()
  await until(() => answers === 'RESULT 2\nOKREADY\n', 'the answer to the new one')
  t.same(watcher.bodies, ['slow'])
  young.destroy()
  await until(() => !watcher.server.status().connected, 'the end')
})

await t.test('what is no shim is turned away, and the shim stays', async (t) => {
  const socketPath = join(scratch(t), 'l.sock')
  const watcher = await agent(t, socketPath)
  const shim = rawShim(socketPath, hello())
  await until(() => watcher.hellos.length === 1, 'the shim')
  const refused = ['hello\n', '{"shim":2}\n', hello({ extra: 1 }), `{"shim":1${' '.repeat(5000)}`]
  for (const text of refused) {
    const stranger = rawShim(socketPath, text)
    await until(() => stranger.closed, `the end of ${text.slice(0, 20)}`)
  }
  t.match(watcher.server.status(), { connected: true, shimPid: 4242 })
  t.equal(watcher.hellos.length, 1)
  shim.write('ver:3.0 nonsense\n')
  await until(() => shim.closed, 'the end of a shim that sends no events')
})

await t.test('a consumer that fails loses its event, not the stream', async (t) => {
  const socketPath = join(scratch(t), 'l.sock')
  const watcher = await agent(t, socketPath, {
    onEvent: ({ serial }) => {
      if (serial === 8) throw new Error('disk full')
    },
  })
  let answers = ''
  const events = [7, 8, 9].map((serial) => frame('type:x\n', { serial }))
  const shim = rawShim(socketPath, hello({ ready: true }) + events.join(''))
  shim.on('data', (chunk) => (answers += chunk))
  await until(() => answers.split('RESULT').length === 4, 'three answers')
  t.same(watcher.gaps, [{ expected: 8, got: 9 }])
  t.equal(watcher.server.status().lost, 1)
  shim.destroy()
})

await t.test('numbers that no supervisord counts to leave a number of lost events', async (t) => {
  const socketPath = join(scratch(t), 'l.sock')
  const watcher = await agent(t, socketPath)
  const events = Array.from({ length: 24 }, (_, i) =>
    frame('type:x\n', { serial: i + 1, poolSerial: i % 2 === 0 ? 0 : 999_999_999_999_999 }),
  )
  const shim = rawShim(socketPath, hello({ ready: true }) + events.join(''))
  await until(() => watcher.gaps.length === 12, 'twelve gaps')
  t.equal(watcher.server.status().lost, Number.MAX_SAFE_INTEGER)
  shim.destroy()
})

await t.test('a position carries the count over a restart of the agent', async (t) => {
  const position = { supervisord: 4000, started: 77, serial: 20, poolSerial: 10 }
  const cases = [
    { it: 'the next event', event: { serial: 25, poolSerial: 11 }, passed: 1, gaps: [], resets: 0 },
    { it: 'the one that was done', event: { serial: 20, poolSerial: 10 }, passed: 0, gaps: [], resets: 0 },
    {
      it: 'one after a hole',
      event: { serial: 30, poolSerial: 14 },
      passed: 1,
      gaps: [{ expected: 11, got: 14 }],
      resets: 0,
    },
    { it: 'one of a new pool', event: { serial: 31, poolSerial: 0 }, passed: 1, gaps: [], resets: 1 },
    {
      it: 'one of a new supervisord',
      hello: { started: 78 },
      event: { serial: 3, poolSerial: 0 },
      passed: 1,
      gaps: [],
      resets: 1,
    },
    {
      it: 'one of a new supervisord that threw the first away',
      hello: { started: 78 },
      event: { serial: 30, poolSerial: 11 },
      passed: 1,
      gaps: [{ expected: 0, got: 11 }],
      resets: 1,
    },
  ]
  for (const { it, event, passed, gaps, resets, hello: more } of cases)
    await t.test(it, async (t) => {
      const socketPath = join(scratch(t), 'l.sock')
      const watcher = await agent(t, socketPath, { position })
      let answers = ''
      const shim = rawShim(socketPath, hello({ pending: true, ...more }) + frame('type:x\n', event))
      shim.on('data', (chunk) => (answers += chunk))
      await until(() => answers !== '', 'an answer')
      t.equal(watcher.events.length, passed)
      t.same(watcher.gaps, gaps)
      t.equal(watcher.resets, resets)
      shim.destroy()
    })
})

await t.test('stop ends the event in hand and leaves the shim not ready', async (t) => {
  const socketPath = join(scratch(t), 'l.sock')
  const hold: { release: () => void } = { release: () => {} }
  const watcher = await agent(t, socketPath, {
    onEvent: () => new Promise((resolve) => (hold.release = resolve)),
  })
  let answers = ''
  const shim = rawShim(socketPath, hello({ ready: true }) + frame('type:x\n', { serial: 1 }))
  shim.on('data', (chunk) => (answers += chunk))
  await until(() => watcher.events.length === 1, 'the event')
  const stopped = watcher.server.stop()
  shim.write(frame('type:x\n', { serial: 2 }))
  hold.release()
  await stopped
  await until(() => shim.closed, 'the end')
  t.equal(answers, 'RESULT 2\nOK')
  t.equal(watcher.events.length, 1, 'what came after is left to the next agent')
  t.match(watcher.server.status(), { connected: false, position: { serial: 1 } })
})
