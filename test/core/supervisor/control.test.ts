import t from 'tap'
import { ADMIN, startStack, waiting } from '../../fixtures/stack.ts'
import { supervisord } from '../../fixtures/supervisord.ts'
import { until } from '../../fixtures/wait.ts'

const PROGRAMS = {
  web: { command: 'sleep 300', autostart: false },
  worker: { command: 'sleep 300', numprocs: 4, process_name: '%(program_name)s_%(process_num)02d' },
  broken: { command: '/bin/false', autostart: false, startretries: 1 },
  missing: { command: '/no/such/program', autostart: false },
  stubborn: {
    command: `/bin/sh -c "trap '' TERM; while :; do sleep 0.2; done"`,
    stopwaitsecs: 3600,
    stopasgroup: true,
    killasgroup: true,
  },
  deaf: {
    command: `/bin/sh -c "trap '' TERM; while :; do sleep 0.2; done"`,
    autostart: false,
    stopwaitsecs: 1,
    stopasgroup: true,
    killasgroup: true,
  },
  instant: { command: 'sleep 300', autostart: false, startsecs: 0, stopwaitsecs: 30 },
  once: { command: '/bin/true', autostart: false, startsecs: 0, autorestart: false },
  'odd&name': { command: 'sleep 300' },
  brief: { command: 'sleep 300', autostart: false, stopwaitsecs: 30 },
}

for (const source of ['listener', 'comparison'] as const)
  await t.test(`control of processes, states from ${source}`, async (t) => {
    const host = await supervisord(t, { programs: PROGRAMS })
    const { stack, states, waitState } = await startStack(t, host, { listener: source === 'listener' })
    const { processes, table } = stack
    await waitState('worker:worker_03', 'RUNNING')
    await waitState('stubborn', 'RUNNING')

    await t.test('start waits for RUNNING, and what runs is left alone', async (t) => {
      t.same(await processes.start(processes.select(['web'], ADMIN), waiting()), [
        { process: 'web', ok: true, changed: true },
      ])
      t.equal(table.get('web')?.state, 'RUNNING')
      t.same(await processes.start(processes.select(['web'], ADMIN), waiting()), [
        { process: 'web', ok: true, changed: false },
      ])
    })

    await t.test('stop waits until it is down, and what is down is left alone', async (t) => {
      t.same(await processes.stop(processes.select(['web'], ADMIN), waiting()), [
        { process: 'web', ok: true, changed: true },
      ])
      t.equal(table.get('web')?.state, 'STOPPED')
      t.same(await processes.stop(processes.select(['web'], ADMIN), waiting()), [
        { process: 'web', ok: true, changed: false },
      ])
    })

    if (source === 'listener')
      await t.test('a stop that took a kill says so', async (t) => {
        await processes.start(processes.select(['deaf'], ADMIN), waiting())
        t.match(await processes.stop(processes.select(['deaf'], ADMIN), waiting()), [
          { process: 'deaf', ok: true, changed: true, note: /supervisord killed it/ },
        ])
      })

    await t.test('restart replaces every pid of a group and names the actor in its events', async (t) => {
      const pids = () => table.all().flatMap(({ group, pid }) => (group === 'worker' ? [pid] : []))
      const before = pids()
      const results = await processes.restart(processes.select(['worker:*'], ADMIN), {
        ...waiting({ actor: 'token:panel-1' }),
        mode: 'hard',
        maxUnavailable: 1,
      })
      t.same(
        results.map(({ ok, changed }) => ({ ok, changed })),
        Array.from({ length: 4 }, () => ({ ok: true, changed: true })),
      )
      t.notOk(
        pids().some((pid) => before.includes(pid)),
        'every pid is another one',
      )
    })

    await t.test('a process that dies while starting is START_FAILED with the reason', async (t) => {
      const [result] = await processes.start(processes.select(['broken'], ADMIN), waiting())
      t.match(result, { ok: false, error: { name: 'START_FAILED', message: /broken is (BACKOFF|FATAL)/ } })
    })

    await t.test('a command that does not exist is START_FAILED with its name', async (t) => {
      const [result] = await processes.start(processes.select(['missing'], ADMIN), waiting())
      t.match(result, { ok: false, error: { name: 'START_FAILED', message: /no\/such\/program/ } })
    })

    await t.test('a program that runs and ends at once with startsecs=0 has started', async (t) => {
      const [result] = await processes.start(processes.select(['once'], ADMIN), waiting())
      t.match(result, { ok: true, changed: true })
    })

    await t.test('trap 8: a stop right after a start does not lose its signal', async (t) => {
      for (let round = 0; round < 4; round++)
        for (const name of ['instant', 'brief']) {
          await processes.start(processes.select([name], ADMIN), waiting({ wait: false }))
          const [result] = await processes.stop(
            processes.select([name], ADMIN),
            waiting({ timeoutMs: 15_000 }),
          )
          t.same(
            result,
            { process: name, ok: true, changed: true },
            `${name} stops long before its stopwaitsecs of 30`,
          )
        }
    })

    await t.test('trap 8: nor one right after a start by somebody else', async (t) => {
      for (let round = 0; round < 4; round++) {
        await stack.rpc.call('supervisor.startProcess', ['brief', false])
        const stopping = processes.stop(processes.select(['brief'], ADMIN), waiting({ timeoutMs: 15_000 }))
        t.match(await stopping, [{ ok: true, changed: true }], 'long before its stopwaitsecs of 30')
      }
    })

    await t.test(
      'a slow stop blocks nobody else and ends as TIMEOUT with what was begun going on',
      async (t) => {
        const slow = processes.stop(processes.select(['stubborn'], ADMIN), waiting({ timeoutMs: 1500 }))
        await waitState('stubborn', 'STOPPING')
        const [quick] = await processes.restart(processes.select(['worker:worker_00'], ADMIN), {
          ...waiting(),
          mode: 'hard',
          maxUnavailable: 1,
        })
        t.match(quick, { ok: true }, 'another process was restarted meanwhile')
        const [result] = await slow
        t.match(result, { ok: false, error: { name: 'TIMEOUT', message: /STOPPING/ } })
      },
    )

    await t.test(
      'trap 9: a start of what is STOPPING waits for its end and then really starts',
      async (t) => {
        t.equal(table.get('stubborn')?.state, 'STOPPING')
        const { pid } = table.need('stubborn')
        const starting = processes.start(processes.select(['stubborn'], ADMIN), waiting())
        process.kill(-Number(pid), 'SIGKILL')
        t.match(await starting, [{ ok: true, changed: true }])
        t.not(table.get('stubborn')?.pid, pid)
      },
    )

    await t.test('a cancelled call rejects with its reason; what was begun goes on', async (t) => {
      const cancel = new AbortController()
      const stopping = processes.stop(
        processes.select(['stubborn'], ADMIN),
        waiting({ signal: cancel.signal }),
      )
      await waitState('stubborn', 'STOPPING')
      cancel.abort(new Error('cancelled by the caller'))
      await t.rejects(stopping, { message: 'cancelled by the caller' })
      process.kill(-Number(table.need('stubborn').pid), 'SIGKILL')
      await waitState('stubborn', 'STOPPED')
    })

    await t.test('trap 10: the slowest of several that stop together holds up none of them', async (t) => {
      await processes.start(processes.select(['stubborn'], ADMIN), waiting())
      const results = await processes.stop(
        processes.select(['stubborn', 'worker:*'], ADMIN),
        waiting({ timeoutMs: 4000 }),
      )
      t.match(results, [
        { process: 'stubborn', ok: false, error: { name: 'TIMEOUT' } },
        ...Array.from({ length: 4 }, () => ({ ok: true, changed: true })),
      ])
      process.kill(-Number(table.need('stubborn').pid), 'SIGKILL')
      await waitState('stubborn', 'STOPPED')
      await processes.start(processes.select(['worker:*'], ADMIN), waiting())
    })

    await t.test('a name that may not travel costs the others nothing', async (t) => {
      const results = await processes.restart(processes.select(['odd&name', 'web'], ADMIN), {
        ...waiting(),
        mode: 'hard',
        maxUnavailable: 1,
      })
      t.match(results, [
        { process: 'odd&name', ok: false, error: { name: 'INVALID_PARAMS' } },
        { process: 'web', ok: true, changed: true },
      ])
      await processes.stop(processes.select(['web'], ADMIN), waiting())
    })

    await t.test('wait: false returns when supervisord has begun', async (t) => {
      const [result] = await processes.start(processes.select(['web'], ADMIN), waiting({ wait: false }))
      t.match(result, { ok: true, changed: true })
      await waitState('web', 'RUNNING')
    })

    await t.test('a signal reaches the process; one for what is down is told', async (t) => {
      const results = await processes.signal(processes.select(['web', 'once'], ADMIN), 'KILL', waiting())
      t.match(results, [
        { process: 'once', ok: false, error: { name: 'SUPERVISOR_FAULT' } },
        { process: 'web', ok: true },
      ])
      await until(
        () => states('web').some(({ to, signal }) => to === 'EXITED' && signal === 'SIGKILL'),
        'its death',
      )
    })

    await t.test('a rolling restart ends at the first process that does not come up', async (t) => {
      const results = await processes.restart(processes.select(['broken', 'worker:*'], ADMIN), {
        ...waiting(),
        mode: 'rolling',
        maxUnavailable: 2,
      })
      t.match(
        results.find(({ process }) => process === 'broken'),
        { ok: false },
      )
      t.ok(results.filter(({ process }) => process.startsWith('worker')).every(({ ok }) => ok))
    })

    await t.test('progress counts up to the number of processes', async (t) => {
      const seen: string[] = []
      await processes.restart(processes.select(['worker'], ADMIN), {
        ...waiting({ onProgress: (done, total) => void seen.push(`${done}/${total}`) }),
        mode: 'hard',
        maxUnavailable: 1,
      })
      t.same(seen, ['1/4', '2/4', '3/4', '4/4'])
    })
  })

await t.test('selection', async (t) => {
  const host = await supervisord(t, {
    programs: {
      web: { command: 'sleep 300' },
      worker: { command: 'sleep 300', numprocs: 2, process_name: '%(program_name)s_%(process_num)02d' },
      'group:apps': { programs: 'api,mailer' },
      api: { command: 'sleep 300' },
      mailer: { command: 'sleep 300' },
      'eventlistener:crashmail': { command: 'sleep 300', events: 'PROCESS_STATE_FATAL' },
    },
  })
  const { stack } = await startStack(t, host, { listener: true })
  const pick = (select: string[], programs = ['*']) =>
    stack.processes.select(select, { ...ADMIN, programs }).map(({ name }) => name)

  const cases = [
    { select: ['all'], is: ['apps:api', 'apps:mailer', 'web', 'worker:worker_00', 'worker:worker_01'] },
    { select: ['web'], is: ['web'] },
    { select: ['web:web'], is: ['web'] },
    { select: ['worker'], is: ['worker:worker_00', 'worker:worker_01'] },
    { select: ['worker:'], is: ['worker:worker_00', 'worker:worker_01'] },
    { select: ['worker:*'], is: ['worker:worker_00', 'worker:worker_01'] },
    { select: ['worker:worker_01'], is: ['worker:worker_01'] },
    { select: ['w*'], is: ['web', 'worker:worker_00', 'worker:worker_01'] },
    { select: ['*_0?'], is: ['worker:worker_00', 'worker:worker_01'] },
    { select: ['apps:*', 'web', 'apps:api'], is: ['apps:api', 'apps:mailer', 'web'] },
    { select: ['api'], is: ['apps:api'] },
    { select: ['crashmail'], is: ['crashmail'] },
    { select: ['all'], programs: ['w*'], is: ['web', 'worker:worker_00', 'worker:worker_01'] },
  ]
  for (const { select, programs, is } of cases)
    await t.test(`${select.join(' ')}${programs ? ` within ${programs.join(' ')}` : ''}`, (t) => {
      t.same(pick(select, programs), is)
      t.end()
    })

  const refusals = [
    { select: ['nothing'], code: 'PROCESS_NOT_FOUND' },
    { select: ['web', 'nothing*'], code: 'PROCESS_NOT_FOUND' },
    { select: ['supervisor-agent'], code: 'PROCESS_NOT_FOUND' },
    { select: ['supervisor-agent:*'], code: 'PROCESS_NOT_FOUND' },
    { select: ['supervisor*'], code: 'PROCESS_NOT_FOUND' },
    { select: ['crash*'], code: 'PROCESS_NOT_FOUND' },
    { select: ['web'], programs: ['worker'], code: 'FORBIDDEN' },
    { select: ['worker:*'], programs: ['web'], code: 'FORBIDDEN' },
    { select: ['xweb'], programs: ['web*'], code: 'PROCESS_NOT_FOUND' },
  ]
  for (const { select, programs, code } of refusals)
    await t.test(
      `refuses ${select.join(' ')}${programs ? ` within ${programs.join(' ')}` : ''}: ${code}`,
      (t) => {
        t.throws(() => pick(select, programs), { code })
        t.end()
      },
    )

  await t.test('our own listener is in no list; a foreign one is listed with its kind', (t) => {
    const { processes } = stack.processes.list(undefined, ADMIN)
    t.notOk(processes.some(({ group }) => group === 'supervisor-agent'))
    t.match(
      processes.find(({ name }) => name === 'crashmail'),
      { kind: 'eventlistener' },
    )
    t.match(
      processes.find(({ name }) => name === 'apps:api'),
      { kind: 'program', program: 'api', group: 'apps' },
    )
    t.end()
  })
})
