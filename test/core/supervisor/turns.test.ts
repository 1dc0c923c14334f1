// Calls for one process that meet: deadlines while queued, restarts that were given up, signals, a supervisord that ends.
import t, { type Test } from 'tap'
import { SCOPES } from '../../../src/protocol/scopes.ts'
import { ADMIN, startStack, waiting } from '../../fixtures/stack.ts'
import { supervisord } from '../../fixtures/supervisord.ts'
import { until } from '../../fixtures/wait.ts'

const SEES_ALL = { scopes: new Set(SCOPES), users: ['*'] }

const PROGRAMS = {
  quick: { command: 'sleep 300' },
  stubborn: {
    command: `/bin/sh -c "trap '' TERM; while :; do sleep 0.2; done"`,
    stopwaitsecs: 3600,
    stopasgroup: true,
    killasgroup: true,
  },
}
const HARD = { mode: 'hard', maxUnavailable: 1 } as const
/** Far longer than anything here takes: whoever waits for it has found a defect. */
const PATIENT = { timeoutMs: 60_000 }

async function stubbornStack(t: Test) {
  const host = await supervisord(t, { programs: PROGRAMS })
  const started = await startStack(t, host, { listener: true })
  for (const name of Object.keys(PROGRAMS)) await started.waitState(name, 'RUNNING')
  const { processes, table } = started.stack
  const kill = () => process.kill(-Number(table.need('stubborn').pid), 'SIGKILL')
  /** A restart whose caller gives up while it stops. */
  const abandonRestart = async () => {
    const [row] = await processes.restart(processes.select(['stubborn'], ADMIN), {
      ...waiting({ timeoutMs: 1000 }),
      ...HARD,
    })
    t.match(row, { ok: false, error: { name: 'TIMEOUT', message: /what was begun goes on/ } })
    t.equal(table.get('stubborn')?.state, 'STOPPING')
  }
  return { host, ...started, processes, table, kill, abandonRestart }
}

await t.test('a call that waits for its turn ends at its deadline, and when it is cancelled', async (t) => {
  const { processes, waitState, table, kill } = await stubbornStack(t)
  const stopping = processes.stop(processes.select(['stubborn'], ADMIN), waiting(PATIENT))
  await waitState('stubborn', 'STOPPING')
  const rows = await processes.restart(processes.select(['stubborn', 'quick'], ADMIN), {
    ...waiting({ timeoutMs: 5000 }),
    ...HARD,
  })
  t.match(rows, [
    { process: 'quick', ok: true },
    { process: 'stubborn', ok: false, error: { name: 'TIMEOUT', message: /nothing was begun/ } },
  ])
  const cancel = new AbortController()
  const queued = processes.start(
    processes.select(['stubborn'], ADMIN),
    waiting({ ...PATIENT, signal: cancel.signal }),
  )
  cancel.abort(new Error('enough'))
  await t.rejects(queued, { message: 'enough' })
  t.equal(table.get('stubborn')?.state, 'STOPPING', 'the first call still waits')
  kill()
  t.match(await stopping, [{ ok: true, changed: true }])
  t.equal(table.get('stubborn')?.state, 'STOPPED', 'neither of the others was done later')
})

await t.test('a signal waits for nobody', async (t) => {
  const { processes, waitState, abandonRestart, states } = await stubbornStack(t)
  const stopping = processes.stop(processes.select(['stubborn'], ADMIN), waiting(PATIENT))
  await waitState('stubborn', 'STOPPING')
  t.match(await processes.signal(processes.select(['stubborn'], ADMIN), 'KILL', waiting(PATIENT)), [
    { ok: true },
  ])
  t.match(await stopping, [{ ok: true, changed: true }])

  await processes.start(processes.select(['stubborn'], ADMIN), waiting(PATIENT))
  await abandonRestart()
  await processes.signal(processes.select(['stubborn'], ADMIN), 'KILL', waiting(PATIENT))
  await waitState('stubborn', 'RUNNING')
  t.pass('the restart that was given up goes on to its end')

  await processes.signal(
    processes.select(['quick'], ADMIN),
    'KILL',
    waiting({ ...PATIENT, actor: 'token:night' }),
  )
  await until(() => states('quick').some(({ to }) => to === 'EXITED'), 'its death')
})

await t.test('a stop that waits behind a restart takes its place when that is given up', async (t) => {
  const { processes, waitState, table, kill } = await stubbornStack(t)
  const restarting = processes.restart(processes.select(['stubborn'], ADMIN), {
    ...waiting({ timeoutMs: 2500 }),
    ...HARD,
  })
  await waitState('stubborn', 'STOPPING')
  const stopping = processes.stop(processes.select(['stubborn'], ADMIN), waiting(PATIENT))
  t.match(await restarting, [{ ok: false, error: { name: 'TIMEOUT' } }])
  kill()
  t.match(await stopping, [{ ok: true }])
  t.equal(table.get('stubborn')?.state, 'STOPPED')
})

await t.test(
  'supervisord ends while calls wait: they end as well, and nothing of them comes back',
  async (t) => {
    const { host, processes, waitState, bus, stack, kill, abandonRestart } = await stubbornStack(t)
    await abandonRestart()
    kill()
    await waitState('stubborn', 'RUNNING')
    const old = Number(stack.table.need('stubborn').pid)
    const stopping = processes.stop(processes.select(['stubborn'], ADMIN), waiting(PATIENT))
    await waitState('stubborn', 'STOPPING')
    await host.kill('SIGKILL')
    t.match(await stopping, [
      { ok: false, error: { name: 'SUPERVISOR_UNREACHABLE', message: /supervisord ended meanwhile/ } },
    ])
    process.kill(-old, 'SIGKILL')
    const before = bus.seq
    await host.start()
    await until(
      () => stack.connection.isUp && stack.table.get('stubborn')?.state === 'RUNNING',
      'the next one',
    )
    for (let seq = before + 1; seq <= bus.seq; seq++)
      t.notMatch(
        bus.at(seq)?.frame('e1', SEES_ALL).toString() ?? '',
        /"actor"/,
        'what it does nobody asked for',
      )
  },
)

await t.test('a restart that was given up does not come back in the next supervisord', async (t) => {
  const { host, waitState, stack, abandonRestart } = await stubbornStack(t)
  await abandonRestart()
  const old = Number(stack.table.need('stubborn').pid)
  await host.kill('SIGKILL')
  process.kill(-old, 'SIGKILL')
  await until(() => !stack.connection.isUp, 'its end to be seen')
  await host.start()
  await waitState('stubborn', 'RUNNING')
  await host.ctl('stop', 'quick')
  const stopping = host.ctl('stop', 'stubborn')
  await waitState('stubborn', 'STOPPING')
  process.kill(-Number(stack.table.need('stubborn').pid), 'SIGKILL')
  await stopping
  await waitState('stubborn', 'STOPPED')
  // a start that was left over would come within a turn of its loop
  await stack.processes.restart(stack.processes.select(['quick'], ADMIN), { ...waiting(PATIENT), ...HARD })
  t.equal(stack.table.get('stubborn')?.state, 'STOPPED')
})

await t.test('what ends and is started again all the time is stopped, and stays so', async (t) => {
  for (const listener of [true, false]) {
    const host = await supervisord(t, {
      programs: {
        crashing: {
          command: '/bin/sh -c "sleep 0.3; exit 1"',
          numprocs: 8,
          process_name: 'c%(process_num)d',
          startsecs: 0,
          autorestart: true,
        },
        done: { command: '/bin/true', startsecs: 0, autorestart: false },
      },
    })
    const { stack, states } = await startStack(t, host, { listener })
    const { processes, table } = stack
    // whatever is asked of supervisord gives it a turn in which it finds what ended, or starts it again
    const asking = setInterval(() => void stack.rpc.call('supervisor.getPID', []).catch(() => undefined), 20)
    t.teardown(() => clearInterval(asking))
    await until(() => states('crashing:c0').some(({ to }) => to === 'EXITED'), 'it to end')
    for (let round = 0; round < 5; round++) {
      const rows = await processes.stop(processes.select(['crashing:*', 'done'], ADMIN), waiting())
      t.same(
        rows.map(({ ok, changed }) => ok && changed),
        [...Array<boolean>(8).fill(true), false],
        'each of them was stopped',
      )
      const { stdout } = await host.ctl('status', 'crashing:*')
      t.same(stdout.match(/[A-Z]{5,}/g), Array<string>(8).fill('STOPPED'), 'when the answer comes')
      t.ok(table.all().every(({ group, state }) => group !== 'crashing' || state === 'STOPPED'))
      await processes.start(processes.select(['crashing:*'], ADMIN), waiting())
    }
    clearInterval(asking)
  }
})
