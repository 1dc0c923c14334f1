import { once } from 'node:events'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { connect as connectSocket } from 'node:net'
import { join } from 'node:path'
import t from 'tap'
import { WebSocket } from 'ws'
import { type AgentEventOf, connect } from '../../src/client/index.ts'
import { agentProcess, launch } from '../fixtures/agent-process.ts'
import { supervisord } from '../fixtures/supervisord.ts'
import { until } from '../fixtures/wait.ts'

await t.test('a panel sees a worker crash', async (t) => {
  const host = await supervisord(t, {
    programs: { worker: { command: `/bin/sh -c "echo job 1 done; echo boom >&2; exec sleep 300"` } },
  })
  const agent = await agentProcess(t, host, { listener: true })
  const { stdout: token } = await agent.run('token', 'create', 'panel', '--role', 'viewer')
  const client = await connect({ url: await agent.address(), token: token.trim() })
  t.teardown(() => client.close())
  const seen: AgentEventOf<'process.state'>[] = []
  const stop = new AbortController()
  const reading = (async () => {
    for await (const item of client.events({ types: ['process.*'], signal: stop.signal }))
      if (item.kind === 'event' && item.type === 'process.state') seen.push(item)
  })()
  const pid = async () => (await client.call('process.list', { select: ['worker'] })).processes[0]?.pid ?? 0
  await until(async () => (await pid()) > 0, 'the worker')
  await until(
    async () => (await client.call('process.list', {})).processes[0]?.state === 'RUNNING',
    'RUNNING',
  )
  const before = await pid()
  process.kill(before, 'SIGKILL')
  await until(
    () => seen.at(-1)?.payload.to === 'RUNNING' && seen.some(({ payload }) => payload.to === 'EXITED'),
    'its return',
  )
  t.match(seen.find(({ payload }) => payload.to === 'EXITED')?.payload, {
    process: 'worker',
    from: 'RUNNING',
    pid: before,
    signal: 'SIGKILL',
    expected: false,
    logTail: /boom/,
  })
  const numbers = seen.map(({ seq }) => seq)
  t.same(
    numbers,
    numbers.toSorted((a, b) => a - b),
    'in order',
  )
  stop.abort()
  await reading
})

await t.test('a name that somebody once gave breaks nothing', async (t) => {
  const host = await supervisord(t, {
    programs: { 'odd&<name>': { command: 'sleep 300' }, web: { command: 'sleep 300' } },
  })
  const agent = await agentProcess(t, host, { listener: true })
  const client = await connect({ url: `unix://${agent.runDir}/admin.sock` })
  t.teardown(() => client.close())
  const states = async () =>
    (await client.call('process.list', {})).processes.map(({ name, state }) => `${name} ${state}`)
  await until(async () => (await states()).join() === 'odd&<name> RUNNING,web RUNNING', 'both to run')
  const { results } = await client.call('process.stop', { select: ['all'] }, { mutates: true })
  t.match(results, [
    {
      process: 'odd&<name>',
      ok: false,
      error: { name: 'INVALID_PARAMS', message: /none of < > & and at most 255/ },
    },
    { process: 'web', ok: true },
  ])
  t.same(await states(), ['odd&<name> RUNNING', 'web STOPPED'])
})

await t.test('the daemon lets go of what read its config and its presets', async (t) => {
  const host = await supervisord(t)
  const [presets, watch] = [join(host.folder, 'presets'), join(host.folder, 'watch.cjs')]
  mkdirSync(presets)
  writeFileSync(
    join(presets, 'import.yaml'),
    'preset: shop-import\ntitle: Import\ncommand: [php, bin/import]\n',
    { mode: 0o600 },
  )
  // it holds weakly what the bundle exports
  writeFileSync(
    watch,
    `const { Module } = require('node:module')
    const load = Module._load
    const held = []
    Module._load = function (name, ...rest) {
      const loaded = load.call(this, name, ...rest)
      if (name.endsWith('settings.cjs')) held.push(new WeakRef(loaded.readSettings))
      return loaded
    }
    process.on('SIGUSR2', () => {
      gc()
      console.log(held.map((one) => (one.deref() ? 'held' : 'gone')).join())
    })`,
  )
  const agent = await agentProcess(t, host, {
    config: `presetsDir: ${presets}`,
    env: { NODE_OPTIONS: `--expose-gc --require=${watch}` },
  })
  const { stdout } = await agent.run('program', 'presets', '--json')
  t.match(stdout, /shop-import/)
  await until(() => {
    process.kill(agent.pid, 'SIGUSR2')
    return agent.daemon.stdout().endsWith('gone,gone\n')
  }, 'both to be gone')
})

await t.test('the end of the daemon', async (t) => {
  const host = await supervisord(t, {
    programs: {
      web: { command: 'sleep 300' },
      stuck: {
        command: `/bin/sh -c "trap '' TERM; while :; do sleep 0.2; done"`,
        stopwaitsecs: 3600,
        stopasgroup: true,
        killasgroup: true,
      },
    },
  })
  const agent = await agentProcess(t, host, { listener: true })
  const { stdout: token } = await agent.run('token', 'create', 'panel', '--role', 'operator')
  const address = await agent.address()
  await until(async () => (await agent.run('status')).code === 0, 'all RUNNING')
  const pid = (await host.ctl('pid', 'web')).stdout

  await t.test('healthz is open and says ok', async (t) => {
    const answer = await fetch(address.replace('ws:', 'http:').replace('/ws', '/healthz'))
    t.equal(answer.status, 200)
    t.same(await answer.json(), { status: 'ok' })
  })

  await t.test('a second daemon is refused, and the first does not notice', async (t) => {
    const second = await launch(['--config', agent.configFile, 'daemon']).outcome
    t.equal(second.code, 1)
    t.match(second.stderr, /another agent runs, as process \d+/)
    t.match(await agent.run('status', 'web'), { code: 0 })
    // a journal that says `stopped` is believed after a power cut
    t.equal(JSON.parse(agent.read('state/journal/state.json')).state, 'running')
  })

  await t.test(
    'nor does one with sockets of its own get at the state or the spool of the first',
    async (t) => {
      const { configFile, runDir } = agent
      const file = join(host.folder, 'other.yaml')
      let text = readFileSync(configFile, 'utf8').replace(runDir, `${runDir}-2`)
      for (const shared of ['state', 'spool']) {
        writeFileSync(file, text, { mode: 0o600 })
        t.match(await launch(['--config', file, 'daemon']).outcome, {
          code: 1,
          stderr: new RegExp(`another agent runs, as process \\d+ \\(${host.folder}/${shared}/agent.lock\\)`),
        })
        t.notOk(existsSync(join(`${runDir}-2`, 'admin.sock')))
        text = text.replace(`${host.folder}/state`, `${host.folder}/state-2`)
      }
    },
  )

  await t.test('SIGHUP does not end it', async (t) => {
    agent.daemon.child.kill('SIGHUP')
    await until(() => agent.daemon.stderr().includes('nothing to reload'), 'its answer')
    t.match(await agent.run('status', 'web'), { code: 0 })
  })

  await t.test(
    'SIGTERM: calls get an answer, sessions 1012, files their last line, within five seconds',
    async (t) => {
      const socket = new WebSocket(address, { headers: { Authorization: `Bearer ${token.trim()}` } })
      const frames: { id?: number; error?: { data: { name: string } }; params?: { type?: string } }[] = []
      socket.on('message', (data: Buffer) =>
        frames.push(JSON.parse(data.toString()) as (typeof frames)[number]),
      )
      await once(socket, 'open')
      const ask = (id: number, method: string, params: object) =>
        socket.send(JSON.stringify({ jsonrpc: '2.0', id, method, params }))
      ask(1, 'event.subscribe', {})
      ask(2, 'process.stop', { select: ['stuck'], idempotencyKey: 'stop-stuck-1' })
      await until(() => frames.some(({ params }) => params?.type === 'process.state'), 'the stop to begin')
      const closed = once(socket, 'close') as Promise<[number, Buffer]>
      const { code, tookMs } = await agent.stop()
      const [closeCode] = await closed
      t.equal(code, 0)
      t.equal(closeCode, 1012)
      t.ok(tookMs < 5000, `${Math.round(tookMs)} ms`)
      t.equal(frames.find(({ id }) => id === 2)?.error?.data.name, 'SHUTTING_DOWN')
      t.ok(frames.some(({ params }) => params?.type === 'agent.stopping'))
      t.notOk(existsSync(join(agent.runDir, 'admin.sock')))
    },
  )

  await t.test('the workers did not notice', async (t) => {
    t.equal((await host.ctl('pid', 'web')).stdout, pid)
  })

  await t.test('after kill -9 it starts again over its own stale sockets, and once', async (t) => {
    await agent.start()
    await agent.stop('SIGKILL')
    t.ok(existsSync(join(agent.runDir, 'admin.sock')), 'a stale socket is left')
    const rivals = [1, 2].map(() => launch(['--config', agent.configFile, 'daemon']))
    t.teardown(() => rivals.map(({ child }) => child.kill('SIGKILL')))
    const refused = await Promise.race(rivals.map(({ outcome }) => outcome))
    t.match(refused, { code: 1, stderr: /another agent runs/ })
    const winner = rivals.find(({ child }) => child.exitCode === null)
    await until(() => winner?.stderr().includes('"agent started"'), 'the other to start')
    winner?.child.kill('SIGKILL')
    await winner?.outcome
    await agent.start()
    t.match(await agent.run('status', 'web'), { code: 0 })
    t.equal((await host.ctl('pid', 'web')).stdout, pid)
  })

  await t.test('the sockets have their modes', async (t) => {
    const { statSync } = await import('node:fs')
    t.equal(statSync(join(agent.runDir, 'admin.sock')).mode & 0o777, 0o600)
    t.equal(statSync(join(agent.runDir, 'agent.sock')).mode & 0o777, 0o660)
    t.equal(statSync(join(agent.runDir, 'listener.sock')).mode & 0o777, 0o600)
  })

  await t.test('agent.sock may look and may not touch', async (t) => {
    const socket = join(agent.runDir, 'agent.sock')
    t.match(await launch(['--socket', socket, 'status', 'web']).outcome, { code: 0 })
    t.match(await launch(['--socket', socket, 'restart', 'web']).outcome, {
      code: 4,
      stderr: /needs the scope control/,
    })
  })

  await t.test('it speaks lines of JSON to anybody who opens its socket', async (t) => {
    const socket = connectSocket(join(agent.runDir, 'admin.sock'))
    let text = ''
    socket.setEncoding('utf8').on('data', (chunk: string) => (text += chunk))
    socket.write('{"jsonrpc":"2.0","id":1,"method":"agent.info"}\n')
    await until(() => text.includes('"id":1'), 'the answer')
    socket.destroy()
    t.match(JSON.parse(text.split('\n')[0] ?? ''), {
      method: 'hello',
      params: { protocol: 1, agent: 'test-host' },
    })
  })
})
