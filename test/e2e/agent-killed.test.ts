// The agent is killed, and stopped in order, while processes crash: what happened meanwhile is told when it is back, once,
// in order, unbroken.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { type AgentEventOf, connect } from '../../src/client/index.ts'
import { agentProcess } from '../fixtures/agent-process.ts'
import { supervisord } from '../fixtures/supervisord.ts'
import { until } from '../fixtures/wait.ts'

const ENDS = ['SIGKILL', 'SIGTERM', 'SIGTERM', 'SIGKILL', 'SIGTERM', 'SIGKILL'] as const
const AWAY_EXITS = 3
const NAMES = ['crashing', 'other', 'many:many_00', 'many:many_01', 'many:many_02']

await t.test('ended among crashing processes', async (t) => {
  const host = await supervisord(t, {
    programs: {
      crashing: {
        command: '/bin/sh -c "sleep 0.4; exit 3"',
        startsecs: 0,
        autorestart: true,
        exitcodes: '0',
      },
      other: { command: '/bin/sh -c "sleep 0.7; exit 0"', startsecs: 0, autorestart: true },
      many: {
        command: '/bin/sh -c "sleep 0.3; exit 1"',
        startsecs: 0,
        autorestart: true,
        numprocs: 3,
        process_name: '%(program_name)s_%(process_num)02d',
      },
    },
  })
  const agent = await agentProcess(t, host, { listener: true })
  const client = await connect({
    url: `unix://${agent.runDir}/admin.sock`,
    reconnect: { minMs: 50, maxMs: 500 },
  })
  t.teardown(() => client.close())
  const states: AgentEventOf<'process.state'>[] = []
  const own: string[] = []
  const wrong: unknown[] = []
  let last: { epoch: string; seq: number } | null = null
  const reading = (async () => {
    for await (const item of client.events()) {
      if (item.kind === 'snapshot' && last === null) {
        last = { epoch: item.epoch, seq: item.seq }
        continue
      }
      if (item.kind !== 'event' || item.epoch !== last?.epoch || item.seq !== last.seq + 1) wrong.push(item)
      else last = { epoch: item.epoch, seq: item.seq }
      if (item.kind !== 'event') continue
      if (item.type === 'process.state') states.push(item)
      else own.push(item.type === 'supervisor.state' ? item.payload.state : item.type)
    }
  })()
  const exits = () => host.exitsIn('crashing')
  // the listener was installed a moment ago: what happened around that is found by comparison
  await until(() => states.some(({ payload }) => !payload.observed), 'the listener to tell')
  states.length = 0
  for (const signal of ENDS) {
    const seen = states.length
    await until(() => states.length > seen + 2 || wrong.length > 0, 'events to come')
    const { code } = await agent.stop(signal)
    t.equal(code, signal === 'SIGKILL' ? null : 0, signal)
    const before = exits()
    await until(() => exits() >= before + AWAY_EXITS, 'crashes while the agent is away')
    await agent.start()
  }
  const isBack = () => own.filter((type) => type === 'agent.started').length === ENDS.length
  await until(() => isBack() || wrong.length > 0, 'its last return to be told', 60_000)
  const seen = states.length
  await until(() => states.length > seen + 10 || wrong.length > 0, 'events to come', 30_000)
  await client.close()
  await reading.catch(() => undefined)

  t.same(wrong.slice(0, 3), [], 'no gap, no other epoch, no number twice')
  t.same(
    own,
    ENDS.flatMap((signal) => [
      ...(signal === 'SIGKILL' ? [] : ['agent.stopping']),
      'running',
      'agent.started',
    ]),
    'the agent tells of itself, and nothing else',
  )
  for (const name of NAMES) {
    const chain = states.filter(({ payload }) => payload.process === name).map(({ payload }) => payload)
    const broken = chain.filter(({ from }, index) => index > 0 && from !== chain[index - 1]?.to)
    t.same(broken.slice(0, 3), [], `${name}: each change begins where the one before ended`)
    t.ok(chain.length > ENDS.length * AWAY_EXITS, `${chain.length} changes`)
    t.notOk(
      chain.some(({ observed }) => observed),
      'all told by supervisord, none found by comparison',
    )
    const deaths = chain.filter(({ to }) => to === 'EXITED').map(({ pid }) => pid)
    t.equal(new Set(deaths).size, deaths.length, 'no death twice')
  }
})

await t.test('a restart that the end of the agent cuts short is finished by the next one', async (t) => {
  const slow = { command: `/bin/sh -c "trap 'sleep 2; exit 0' TERM; while :; do sleep 0.1; done"` }
  const host = await supervisord(t, { programs: { slow } })
  const agent = await agentProcess(t, host, { listener: true })
  const stateOf = async (name: string) => /^\S+ +(\w+)/.exec((await host.ctl('status', name)).stdout)?.[1]
  const isNothingNoted = () =>
    readFileSync(join(host.folder, 'state/restarts.json'), 'utf8') === '{"restarts":[]}'
  const restart = async () => {
    const admin = await connect({ url: `unix://${agent.runDir}/admin.sock`, reconnect: false })
    const call = admin.call('process.restart', { select: ['slow'] }, { mutates: true }).catch(() => undefined)
    await until(async () => (await stateOf('slow')) === 'STOPPING', 'its stop')
    return async (signal: 'SIGTERM' | 'SIGKILL') => {
      await agent.stop(signal)
      await call
      await admin.close()
    }
  }
  for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
    await until(async () => (await stateOf('slow')) === 'RUNNING', 'it to run')
    await (await restart())(signal)
    await agent.start()
    await until(async () => (await stateOf('slow')) === 'RUNNING', `it to be started again after ${signal}`)
    await until(isNothingNoted, 'its note to be gone')
  }
  await (await restart())('SIGKILL')
  await until(async () => (await stateOf('slow')) === 'STOPPED', 'it to be down')
  await host.ctl('start', 'slow')
  await host.ctl('stop', 'slow')
  await agent.start()
  await until(isNothingNoted, 'its note to be gone')
  t.equal(await stateOf('slow'), 'STOPPED', 'what somebody started and stopped meanwhile is left alone')
})
