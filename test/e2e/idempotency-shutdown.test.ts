// SIGTERM with calls under way: each gets one definite answer, and what was cut short says so afterwards.
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { connect } from '../../src/client/index.ts'
import { withFileLock } from '../../src/core/access/file-lock.ts'
import type { MethodName } from '../../src/methods/index.ts'
import { AgentError } from '../../src/protocol/errors.ts'
import { agentProcess } from '../fixtures/agent-process.ts'
import { supervisord } from '../fixtures/supervisord.ts'
import { until } from '../fixtures/wait.ts'
import { answered, bearer, raw, upgradeRequest } from '../transports/support.ts'

const CALLS: { it: string; method: MethodName; params: Record<string, unknown> }[] = [
  { it: 'a stop that lasts', method: 'process.stop', params: { select: ['slow'] } },
  { it: 'a start that lasts', method: 'process.start', params: { select: ['late'] } },
  {
    it: 'a restart, which is finished once begun',
    method: 'process.restart',
    params: { select: ['stubborn'] },
  },
  { it: 'an update, which hears nobody', method: 'supervisor.update', params: { groups: ['changing'] } },
  { it: 'a token, which waits for its file', method: 'token.create', params: { name: 'x', role: 'viewer' } },
]
const TRAP = `sh -c "trap '' TERM; while :; do sleep 0.1; done"`
/** Of the answer to an upgrade; 0 where nobody listens any more. */
async function statusOf(port: number, token: string): Promise<number> {
  const client = raw(t, port, upgradeRequest(bearer(token)))
  await Promise.race([answered(client), client.ended])
  return client.status
}

const DEFINITE = ['SHUTTING_DOWN', 'TIMEOUT', 'CANCELLED']

await t.test('calls under way at SIGTERM', async (t) => {
  const host = await supervisord(t, {
    programs: {
      slow: { command: TRAP, stopwaitsecs: 300, startsecs: 0 },
      stubborn: { command: TRAP, stopwaitsecs: 300, startsecs: 0 },
      changing: { command: TRAP, stopwaitsecs: 300, startsecs: 0 },
      late: { command: 'sleep 300', startsecs: 200, autostart: false },
    },
  })
  host.writeProgram('changing', { command: 'sleep 5', stopwaitsecs: 300 })
  const agent = await agentProcess(t, host, { listener: true })
  const { stdout: token } = await agent.run('token', 'create', 'panel', '--role', 'viewer')
  const port = Number(new URL(await agent.address()).port)
  const url = `unix://${join(agent.runDir, 'admin.sock')}`
  const client = await connect({ url, reconnect: false })
  const left = await connect({ url, reconnect: false })
  t.teardown(() => Promise.all([client.close(), left.close()]))
  const keyOf = (method: string) => ({ idempotencyKey: `key-${method}` })
  const state = async (name: string) =>
    (await client.call('process.list', { select: [name] })).processes[0]?.state
  const results = () =>
    readdirSync(join(host.folder, 'state/results'))
      .map((name) => agent.read(`state/results/${name}`))
      .join('')
  const outcomes = await withFileLock(`${join(host.folder, 'tokens.json')}.lock`, async () => {
    const running = CALLS.map(({ method, params }) =>
      client.call(method, { ...params, ...keyOf(method) }).then(
        (result) => ({ result }),
        (error: unknown) => ({ error }),
      ),
    )
    // its caller does not wait for the answer
    void left.call('process.stop', { select: ['slow'], ...keyOf('left') }).catch(() => undefined)
    const isUnderWay = async () =>
      (await state('slow')) === 'STOPPING' &&
      (await state('stubborn')) === 'STOPPING' &&
      (await state('changing')) === 'STOPPING' &&
      (await state('late')) === 'STARTING' &&
      ['key-token.create', 'key-left'].every((key) => results().includes(key))
    await until(isUnderWay, 'all calls to be under way')
    await left.close()
    const stopping = agent.stop()
    await until(() => agent.daemon.stderr().includes('agent stopping'), 'the stop to begin')
    t.not(await statusOf(port, token.trim()), 101, 'nobody is taken in any more')
    const { code, tookMs } = await stopping
    t.equal(code, 0)
    t.ok(
      tookMs < 10_000, // what systemd allows
      `${Math.round(tookMs)} ms`,
    )
    return await Promise.all(running)
  })
  for (const [index, { it }] of CALLS.entries())
    await t.test(it, (t) => {
      const outcome = outcomes[index] ?? {}
      const error = 'error' in outcome ? outcome.error : null
      if (error === null) t.ok('result' in outcome)
      else if (error instanceof AgentError) t.ok(DEFINITE.includes(error.code), error.code)
      else t.fail(`no answer: ${error instanceof Error ? error.message : '?'}`)
      t.end()
    })

  await agent.start()
  const after = await connect({ url, reconnect: false })
  t.teardown(() => after.close())
  for (const { it, method, params } of [
    ...CALLS,
    { it: 'one whose caller had left', method: 'process.stop' as const, params: { select: ['slow'] } },
  ])
    await t.test(`${it}, asked for again`, async (t) => {
      const key = it.includes('had left') ? keyOf('left') : keyOf(method)
      const again = await after.call(method, { ...params, ...key }).catch((error: unknown) => error)
      if (again instanceof AgentError) t.match(again, { code: 'OUTCOME_UNKNOWN', facts: { observed: {} } })
      else t.match(again, { replayed: true })
    })
  const { tokens } = await after.call('token.list', {})
  t.strictSame(tokens.filter(({ name }) => name === 'x').length, 0, 'it was not made after the answer')
  const { records } = await after.call('audit.list', {})
  t.strictSame(
    records
      .filter(({ outcome, subject }) => outcome === 'ok' && subject?.[0] !== 'panel')
      .map(({ method }) => method),
    [],
  )
  const ended = (outcome: string) =>
    records.filter((one) => one.method === 'process.stop' && one.outcome === outcome).length
  t.strictSame(
    [ended('SHUTTING_DOWN'), ended('OUTCOME_UNKNOWN')],
    [2, 2],
    'each is in the audit, and each repeat',
  )
  t.match(await after.call('audit.verify', {}), { ok: true })
})
