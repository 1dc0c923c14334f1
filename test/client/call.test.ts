import t from 'tap'
import { type AgentClient, AgentError, ConnectionError, connect } from '../../src/client/index.ts'
import { startAgent } from '../fixtures/daemon.ts'
import { supervisord } from '../fixtures/supervisord.ts'
import { until } from '../fixtures/wait.ts'
import { proxy } from './proxy.ts'

const supervisor = await supervisord(t, {
  programs: {
    web: { command: 'sleep 600', startsecs: 0 },
    idle: {
      command: 'sleep 600',
      startsecs: 0,
      autostart: false,
      process_name: '%(program_name)s_%(process_num)02d',
      numprocs: 3,
    },
    stubborn: {
      command: `bash -c "trap '' TERM; while :; do sleep 1; done"`,
      startsecs: 0,
      stopwaitsecs: 600,
    },
    counted: { command: 'bash -c "echo started; exec sleep 600"', startsecs: 0, autostart: false },
  },
})
const agent = await startAgent(t, { supervisor })
const token = await agent.token('admin')

async function client(scope: { teardown(task: () => unknown): void }, url = agent.url): Promise<AgentClient> {
  const opened = await connect({ url, token, reconnect: { minMs: 1, maxMs: 50 } })
  scope.teardown(() => opened.close())
  return opened
}

await t.test('the hello says who answers and what the token may do', async (t) => {
  const { hello, state } = await client(t)
  t.match(hello, {
    protocol: 1,
    agent: 'test-host',
    scopes: ['read', 'logs', 'control', 'program', 'cron', 'admin'],
  })
  t.equal(hello.limits['inFlight'], 32)
  t.equal(state, 'connected')
})

await t.test('a call has the types and the result of its method', async (t) => {
  const opened = await client(t)
  const { processes } = await opened.call('process.list', { select: ['web'] })
  t.match(processes, [{ name: 'web', state: 'RUNNING', group: 'web' }])
  const pid: number | null | undefined = processes[0]?.pid
  t.type(pid, 'number')
})

await t.test('errors keep their name and facts', async (t) => {
  const opened = await client(t)
  const refusals = [
    { it: 'an unknown process', params: { select: ['nobody'] }, code: 'PROCESS_NOT_FOUND' },
    { it: 'parameters outside the schema', params: { select: [] }, code: 'INVALID_PARAMS' },
    {
      it: 'a request too big for the agent',
      params: { select: ['x'.repeat(300_000)] },
      code: 'INVALID_PARAMS',
    },
    { it: 'an unknown method', method: 'process.dance', params: {}, code: 'METHOD_NOT_FOUND' },
  ]
  for (const { it, method = 'process.list', params, code } of refusals) {
    const error = await opened.call(method as 'process.list', params).catch((reason: unknown) => reason)
    t.type(error, AgentError, it)
    t.match(error, { code }, it)
  }
  t.equal(opened.state, 'connected', 'none of them cost the connection')
})

await t.test('a call that changes something gets a key by itself, or keeps its own', async (t) => {
  const opened = await client(t)
  const first = await opened.call('process.start', { select: ['counted'] })
  t.strictSame(first, { results: [{ process: 'counted', ok: true, changed: true }] })
  const idempotencyKey = 'my-own-key-1'
  await opened.call('process.stop', { select: ['counted'], idempotencyKey })
  const again = await opened.call('process.stop', { select: ['counted'], idempotencyKey })
  t.match(again, { replayed: true, results: [{ changed: true }] })
  await t.rejects(opened.call('process.start', { select: ['counted'] }, { mutates: false }), {
    code: 'INVALID_PARAMS',
    message: /idempotencyKey/,
  })
})

await t.test('progress of a call on several processes is told', async (t) => {
  const opened = await client(t)
  const seen: number[] = []
  await opened.call(
    'process.start',
    { select: ['idle'] },
    {
      onProgress: ({ done, total }) => {
        t.equal(total, 3)
        seen.push(done)
      },
    },
  )
  t.equal(seen.at(-1), 3)
  await t.rejects(
    opened.call(
      'process.stop',
      { select: ['idle'] },
      {
        onProgress: () => {
          throw new Error('mine')
        },
      },
    ),
    { message: 'mine' },
  )
  t.equal(opened.state, 'connected')
})

await t.test('an aborted call is cancelled at the agent', async (t) => {
  const opened = await client(t)
  const inspector = await client(t)
  const abort = new AbortController()
  const stopping = opened.call(
    'process.stop',
    { select: ['stubborn'], timeoutMs: 600_000 },
    { signal: abort.signal },
  )
  await until(
    async () =>
      (await inspector.call('process.list', { select: ['stubborn'] })).processes[0]?.state === 'STOPPING',
  )
  abort.abort(new Error('changed my mind'))
  await t.rejects(stopping, { message: 'changed my mind' })
  // the same key tells how the call ended over there
  const key = 'cancelled-call-1'
  const second = new AbortController()
  const waiting = opened.call(
    'process.stop',
    { select: ['stubborn'], timeoutMs: 600_000, idempotencyKey: key },
    { signal: second.signal, onProgress: () => undefined },
  )
  await opened.call('agent.info', {})
  second.abort()
  await t.rejects(waiting, { name: 'AbortError' })
  const outcome = await inspector
    .call('process.stop', { select: ['stubborn'], timeoutMs: 600_000, idempotencyKey: key })
    .catch((error: unknown) => error)
  t.match(JSON.stringify(outcome), /CANCELLED|cancel/i)
  await t.rejects(opened.call('agent.info', {}, { signal: AbortSignal.abort(new Error('before')) }), {
    message: 'before',
  })
})

await t.test('a call past its deadline is a TIMEOUT', async (t) => {
  const opened = await client(t)
  const call = opened.call('process.start', { select: ['web'] }, { timeoutMs: 0, mutates: true })
  await t.rejects(call, { code: 'TIMEOUT' })
})

await t.test('more calls at once than the agent takes wait for their turn', async (t) => {
  const opened = await client(t)
  const answers = await Promise.all(Array.from({ length: 80 }, () => opened.call('process.list', {})))
  t.equal(answers.length, 80)
})

await t.test('calls in flight when the connection breaks are sent again', async (t) => {
  const cable = await proxy(t, () => agent.port)
  const opened = await client(t, cable.url)
  await opened.call('process.stop', { select: ['counted'] })
  await opened.call('log.clear', { select: ['counted'] })
  const direct = await client(t)
  const states: string[] = []
  opened.onState((state) => states.push(state))
  cable.freeze('answers')
  const starting = opened.call('process.start', { select: ['counted'] })
  await until(
    async () =>
      (await direct.call('process.list', { select: ['counted'] })).processes[0]?.state === 'RUNNING',
  )
  cable.cut()
  t.match(await starting, { replayed: true, results: [{ process: 'counted', ok: true, changed: true }] })
  const { text } = await direct.call('log.tail', { process: 'counted' })
  t.equal(text, 'started\n', 'it was started once')
  t.strictSame(states, ['reconnecting', 'connected'])
})

await t.test('a call without a connection fails when its deadline passes', async (t) => {
  const cable = await proxy(t, () => agent.port)
  const opened = await client(t, cable.url)
  cable.isDown = true
  cable.cut()
  await t.rejects(opened.call('process.list', {}, { timeoutMs: 200 }), { code: 'TIMEOUT' })
  cable.isDown = false
  t.ok(await opened.call('process.list', {}))
})

await t.test('a peer that goes silent is found, and left', async (t) => {
  const cable = await proxy(t, () => agent.port)
  const opened = await connect({ url: cable.url, token, deadMs: 400, reconnect: { minMs: 1, maxMs: 10 } })
  t.teardown(() => opened.close())
  const reasons: string[] = []
  opened.onState((state, reason) => reasons.push(`${state}: ${reason?.message}`))
  const { promise: idle, resolve } = withResolvers()
  setTimeout(resolve, 1_000)
  await idle
  t.strictSame(reasons, [], 'an idle connection that answers is not left')
  cable.freeze()
  await until(() => reasons.length === 2)
  t.match(reasons[0], /reconnecting: no sign of life for 400 ms/)
  t.match(reasons[1], /connected/)
})

await t.test('without reconnect the first break is the end', async (t) => {
  const cable = await proxy(t, () => agent.port)
  const opened = await connect({ url: cable.url, token, reconnect: false })
  cable.cut()
  await until(() => opened.state === 'closed')
  const error = await opened.call('agent.info', {}).catch((reason: unknown) => reason)
  t.type(error, ConnectionError)
  t.match(error, { failure: 'lost', closeCode: 1006 })
})

await t.test('close fails what waits, and is the end', async (t) => {
  const opened = await client(t)
  const states: string[] = []
  opened.onState((state) => states.push(state))
  const waiting = opened.call('process.list', {}, { mutates: false })
  const closed = opened.close()
  await t.rejects(waiting, { name: 'ConnectionError', failure: 'closed' })
  await closed
  await t.rejects(opened.call('process.list', {}), { name: 'ConnectionError', failure: 'closed' })
  t.strictSame(states, ['closed'])
})

function withResolvers(): { promise: Promise<void>; resolve: () => void } {
  let resolve = (): void => undefined
  const promise = new Promise<void>((done) => {
    resolve = done
  })
  return { promise, resolve }
}
