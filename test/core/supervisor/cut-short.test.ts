// Calls that are cut short: by a deadline, by their caller, by a supervisord that hangs.
import { join } from 'node:path'
import t from 'tap'
import { launch } from '../../fixtures/agent-process.ts'
import { ADMIN, startStack, updating, waiting } from '../../fixtures/stack.ts'
import { supervisord } from '../../fixtures/supervisord.ts'
import { until } from '../../fixtures/wait.ts'

const SLOW = `/bin/sh -c "trap 'sleep 1.5; exit 0' TERM; while :; do sleep 0.1; done"`

await t.test('calls that are cut short', async (t) => {
  const host = await supervisord(t, {
    programs: { slow: { command: SLOW, stopwaitsecs: 60 }, web: { command: 'sleep 300' } },
  })
  const { stack, states, waitState, events } = await startStack(t, host, { listener: true })
  const { processes, table } = stack
  const hard = { mode: 'hard', maxUnavailable: 1 } as const
  await waitState('slow', 'RUNNING')
  await waitState('web', 'RUNNING')

  await t.test(
    'a restart whose deadline passes goes on to the end, and its events name who asked',
    async (t) => {
      const { pid } = table.need('slow')
      const [row] = await processes.restart(processes.select(['slow'], ADMIN), {
        ...waiting({ timeoutMs: 500, actor: 'token:p' }),
        ...hard,
      })
      t.match(row, { ok: false, error: { name: 'TIMEOUT' } })
      await until(
        () => table.get('slow')?.state === 'RUNNING' && table.get('slow')?.pid !== pid,
        'its new process',
      )
      const mine = events().filter(({ type, actor }) => type === 'process.state' && actor === 'token:p')
      t.same(
        mine.map(({ payload }) => ('to' in payload ? payload.to : '')),
        ['STOPPING', 'STOPPED', 'STARTING', 'RUNNING'],
      )
    },
  )

  await t.test('a restart that the caller cancels goes on too', async (t) => {
    const { pid } = table.need('slow')
    const cancel = new AbortController()
    const restart = processes.restart(processes.select(['slow'], ADMIN), {
      ...waiting({ signal: cancel.signal }),
      ...hard,
    })
    await waitState('slow', 'STOPPING')
    cancel.abort(new Error('enough'))
    await t.rejects(restart, { message: 'enough' })
    await until(
      () => table.get('slow')?.state === 'RUNNING' && table.get('slow')?.pid !== pid,
      'its new process',
    )
  })

  await t.test('a stop that comes after takes the place of what was left of the restart', async (t) => {
    const starts = () => states('slow').filter(({ to }) => to === 'STARTING').length
    const before = starts()
    await processes.restart(processes.select(['slow'], ADMIN), { ...waiting({ timeoutMs: 400 }), ...hard })
    t.match(await processes.stop(processes.select(['slow'], ADMIN), waiting()), [{ ok: true }])
    t.equal(table.get('slow')?.state, 'STOPPED')
    await stack.observer.reconcile()
    t.equal(states('slow').at(-1)?.to, 'STOPPED')
    t.equal(starts(), before, 'it was not started in between')
  })

  await t.test('the events of a call that does not wait name who asked', async (t) => {
    await processes.stop(processes.select(['web'], ADMIN), waiting({ wait: false, actor: 'token:q' }))
    await waitState('web', 'STOPPED')
    const mine = events().filter(({ actor }) => actor === 'token:q')
    t.same(
      mine.map(({ payload }) => ('to' in payload ? payload.to : '')),
      ['STOPPING', 'STOPPED'],
    )
    await processes.start(processes.select(['web'], ADMIN), waiting())
    process.kill(Number(table.need('web').pid), 'SIGKILL')
    await until(
      () => states('web').some(({ signal }) => signal === 'SIGKILL'),
      'a death that nobody asked for',
    )
    t.notOk(events().findLast(({ payload }) => 'signal' in payload && payload.signal === 'SIGKILL')?.actor)
  })

  await t.test('an update of a group that does not exist is refused', async (t) => {
    await t.rejects(stack.service.update(['webb'], updating()), {
      code: 'PROCESS_NOT_FOUND',
      message: /no group webb/,
    })
  })

  await t.test('a supervisord that hangs: the deadline of the call is its end', async (t) => {
    await waitState('web', 'RUNNING')
    const { pid } = table.need('web')
    await host.kill('SIGSTOP')
    const restart = { ...waiting({ timeoutMs: 500 }), ...hard }
    t.match(await processes.restart(processes.select(['web'], ADMIN), restart), [
      {
        process: 'web',
        ok: false,
        error: { name: 'TIMEOUT', message: /nothing was begun: supervisord gave/ },
      },
    ])
    await host.kill('SIGCONT')
    for (let round = 0; round < 3; round++) await stack.observer.reconcile()
    t.match(table.need('web'), { state: 'RUNNING', pid }, 'what was said not to be begun is not')
    await host.kill('SIGSTOP')
    t.match(await processes.stop(processes.select(['web'], ADMIN), waiting({ timeoutMs: 500 })), [
      { process: 'web', ok: false, error: { name: 'TIMEOUT', message: /: supervisord gave no answer$/ } },
    ])
    t.match(await processes.start(processes.select(['web', 'slow'], ADMIN), waiting({ timeoutMs: 500 })), [
      { ok: false, error: { name: 'TIMEOUT' } },
      { ok: false, error: { name: 'TIMEOUT' } },
    ])
    await host.kill('SIGCONT')
  })
})

await t.test(
  'with the rights of the systemd unit a restart of supervisord is not judged, so it is refused',
  async (t) => {
    if (process.getuid?.() !== 0) return t.comment('needs root to take rights away')
    const host = await supervisord(t, { programs: { web: { command: 'sleep 300' } } })
    const { AgentProcess } = await import('../../fixtures/agent-process.ts')
    const agent = new AgentProcess(host)
    const { spawn } = await import('node:child_process')
    const rights = ['--bounding-set=-all,+chown,+dac_read_search', '--inh-caps=-all,+chown,+dac_read_search']
    const command = [process.execPath, join('dist', 'agent.cjs'), '--config', agent.configFile, 'daemon']
    const daemon = spawn('setpriv', [...rights, ...command], { stdio: 'ignore' })
    t.teardown(() => daemon.kill('SIGKILL'))
    await until(async () => (await agent.run('status', 'web')).code === 0, 'the confined agent')
    host.writeProgram('broken', { command: '/bin/true', numprocs: 'many' })
    const restart = await launch(['--socket', join(agent.runDir, 'admin.sock'), 'supervisor', 'restart'])
      .outcome
    t.match(restart, { code: 1, stderr: /cannot be tried out from here/ })
    t.match(await agent.run('status', 'web'), { code: 0 }, 'everything runs on')
  },
)
