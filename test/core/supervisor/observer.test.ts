import { readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { join } from 'node:path'
import t from 'tap'
import { Process } from '../../../src/protocol/process.ts'
import { ADMIN, startStack, updating, waiting } from '../../fixtures/stack.ts'
import { supervisord } from '../../fixtures/supervisord.ts'
import { until } from '../../fixtures/wait.ts'

const exits = (code: string) => `/bin/sh -c "echo out of order >&2; ${code}"`

await t.test('deaths are told with status, signal and the end of the log', async (t) => {
  const host = await supervisord(t, {
    programs: {
      web: { command: 'sleep 300' },
      seven: { command: exits('sleep 1.2; exit 7'), autostart: false, autorestart: false },
      planned: { command: exits('sleep 1.2; exit 0'), autostart: false, autorestart: false },
      segv: { command: exits('sleep 1.2; kill -SEGV $$'), autostart: false, autorestart: false },
      broken: { command: exits('exit 3'), autostart: false, startretries: 0 },
      'group:a': { programs: 'twin_a' },
      'group:b': { programs: 'twin_b' },
      twin_a: {
        command: exits('sleep 1.2; exit 11'),
        process_name: 'twin',
        autostart: false,
        autorestart: false,
      },
      twin_b: {
        command: exits('sleep 1.2; exit 12'),
        process_name: 'twin',
        autostart: false,
        autorestart: false,
      },
    },
  })
  const { stack, states, waitState } = await startStack(t, host, { listener: true })
  const { processes, table } = stack
  await waitState('web', 'RUNNING')

  await t.test('kill -9: EXITED with SIGKILL, then it comes back', async (t) => {
    const { pid } = table.need('web')
    process.kill(Number(pid), 'SIGKILL')
    await until(
      () => states('web').at(-1)?.to === 'RUNNING' && states('web').some(({ to }) => to === 'EXITED'),
      'its return',
    )
    t.match(states('web').slice(-3), [
      { from: 'RUNNING', to: 'EXITED', pid, signal: 'SIGKILL', expected: false },
      { from: 'EXITED', to: 'STARTING' },
      { from: 'STARTING', to: 'RUNNING' },
    ])
    const view = table.view(table.need('web'))
    t.match(view, { restarts: 1, lastExit: { signal: 'SIGKILL', expected: false }, exitStatus: null })
    t.not(view.pid, pid)
  })

  const cases = [
    {
      name: 'seven',
      event: { to: 'EXITED', exitStatus: 7, expected: false, logTail: /out of order/ },
      status: 7,
    },
    { name: 'planned', event: { to: 'EXITED', exitStatus: 0, expected: true }, status: 0 },
    { name: 'segv', event: { to: 'EXITED', signal: 'SIGSEGV', expected: false }, status: null },
  ]
  await processes.start(processes.select(['seven', 'planned', 'segv', 'a:twin', 'b:twin'], ADMIN), waiting())
  for (const { name, event, status } of cases)
    await t.test(`trap 14: ${name}`, async (t) => {
      await waitState(name, 'EXITED')
      t.match(states(name).at(-1), event)
      t.equal(table.view(table.need(name)).exitStatus, status)
    })

  await t.test('two processes of one name in two groups are told apart by pid', async (t) => {
    await waitState('a:twin', 'EXITED')
    await waitState('b:twin', 'EXITED')
    t.equal(states('a:twin').at(-1)?.exitStatus, 11)
    t.equal(states('b:twin').at(-1)?.exitStatus, 12)
  })

  await t.test('FATAL comes with the end of stderr, and the list has the reason', async (t) => {
    const [result] = await processes.start(processes.select(['broken'], ADMIN), waiting())
    t.match(result, { ok: false, error: { name: 'START_FAILED', message: /exit status 3/ } })
    await waitState('broken', 'FATAL')
    t.match(states('broken').at(-1), { to: 'FATAL', logTail: /out of order/ })
    await until(() => table.view(table.need('broken')).spawnError, 'its spawn error')
    t.match(table.view(table.need('broken')), { lastExit: { exitStatus: 3 } })
  })
})

await t.test('crash loops are recognised', async (t) => {
  const host = await supervisord(t, {
    programs: {
      flapping: { command: exits('sleep 0.05; exit 1'), startsecs: 0 },
      steady: { command: 'sleep 300' },
    },
  })
  for (const listener of [true, false])
    await t.test(listener ? 'from events' : 'from pid and start changes', async (t) => {
      const { stack, stop } = await startStack(t, host, { listener })
      await until(
        () => stack.table.view(stack.table.need('flapping')).flags.includes('crash-loop'),
        'the flag',
      )
      t.ok(stack.table.view(stack.table.need('flapping')).restarts >= 2)
      t.same(stack.table.view(stack.table.need('steady')).flags, [])
      await stop()
    })
})

await t.test('what happens while the agent is down is told when it is back, once and in order', async (t) => {
  const host = await supervisord(t, {
    programs: { web: { command: 'sleep 300' }, other: { command: 'sleep 300' } },
  })
  const first = await startStack(t, host, { listener: true })
  await first.waitState('web', 'RUNNING')
  const { pid } = first.stack.table.need('web')
  await first.stop()
  process.kill(Number(pid), 'SIGKILL')
  await until(async () => (await host.ctl('status', 'web')).stdout.includes('RUNNING'), 'its return', 10_000)
  await host.ctl('stop', 'other')

  const second = await startStack(t, host, { position: first.stack.listener.status().position })
  t.match(second.stack.table.get('web'), { state: 'RUNNING' }, 'the list is right from the first moment')
  const listed = Process.array().parse(second.stack.processes.list(undefined, ADMIN).processes)
  t.match(listed.find(({ name }) => name === 'web')?.lastExit, { signal: 'SIGKILL', expected: false })
  await until(() => second.states('other').some(({ to }) => to === 'STOPPED'), 'what was missed')
  t.match(second.states('web'), [
    { from: 'RUNNING', to: 'EXITED', pid, signal: 'SIGKILL' },
    { from: 'EXITED', to: 'STARTING' },
    { from: 'STARTING', to: 'RUNNING' },
  ])
  t.same(
    second.states('other').map(({ to }) => to),
    ['STOPPING', 'STOPPED'],
  )
  t.match(second.stack.table.get('web'), { state: 'RUNNING' })
  t.match(second.stack.table.get('other'), { state: 'STOPPED' })
})

await t.test('a buffer that overflows is a gap, and comparison finds what it hid', async (t) => {
  const host = await supervisord(t, {
    programs: {
      worker: { command: 'sleep 300', numprocs: 12, process_name: '%(process_num)02d', autostart: false },
    },
  })
  const made = await startStack(t, host)
  await made.installListener(3)
  const { shimPid } = made.stack.listener.status()
  process.kill(Number(shimPid), 'SIGSTOP')
  t.teardown(() => {
    try {
      process.kill(Number(shimPid), 'SIGKILL')
    } catch {
      // it has ended with its supervisord
    }
  })
  await host.ctl('start', 'worker:*')
  process.kill(Number(shimPid), 'SIGCONT')
  await until(() => made.stack.listener.status().lost > 0, 'lost events')
  await until(() => made.stack.table.all().every(({ state }) => state === 'RUNNING'), 'all of them RUNNING')
  const { bus } = made
  const gaps = Array.from({ length: bus.seq }, (_, i) => bus.at(i + 1)).filter(
    (stored) => stored?.type === null,
  )
  t.ok(gaps.length > 0, 'subscribers are told of a gap')
})

await t.test('the listener killed: states go on by comparison, and events come back with it', async (t) => {
  const host = await supervisord(t, { programs: { web: { command: 'sleep 300' } } })
  const { stack, states, waitState } = await startStack(t, host, { listener: true })
  await waitState('web', 'RUNNING')
  process.kill(Number(stack.listener.status().shimPid), 'SIGKILL')
  process.kill(Number(stack.table.need('web').pid), 'SIGKILL')
  await until(
    () => states('web').filter(({ to }) => to === 'RUNNING').length >= 1 && stack.table.get('web')?.pid,
    'web',
  )
  await until(
    () => stack.listener.status().connected && stack.observer.isEventDriven,
    'the listener to be back',
  )
  await stack.observer.reconcile()
  await waitState('web', 'RUNNING')
  await host.ctl('stop', 'web')
  await until(() => states('web').at(-1)?.to === 'STOPPED', 'the stop')
  t.notOk(states('web').at(-1)?.observed, 'told by supervisord itself')
})

await t.test('a listener that hears nothing is found out, and comparison takes over', async (t) => {
  const host = await supervisord(t, { programs: { web: { command: 'sleep 300' } } })
  const { stack, states, waitState } = await startStack(t, host, { listener: true })
  await waitState('web', 'RUNNING')
  const { shimPid } = stack.listener.status()
  process.kill(Number(shimPid), 'SIGSTOP')
  const reconciled = stack.observer.reconcile()
  await until(() => !stack.observer.isEventDriven, 'the fallback')
  await reconciled
  await host.ctl('stop', 'web')
  await until(() => stack.table.get('web')?.state === 'STOPPED', 'the stop')
  t.ok(states('web').at(-1)?.observed)
  process.kill(Number(shimPid), 'SIGCONT')
  await stack.observer.reconcile()
  await until(() => stack.observer.isEventDriven, 'events again')
})

// goes on to the end of this file, for what is seen only in a long time
const unheard = await supervisord(t, {
  programs: { web: { command: 'sleep 300' }, slow: { command: 'sleep 300', startsecs: 2 } },
  settings: { loglevel: 'trace' },
})
const fallback = await startStack(t, unheard)
/** How often supervisord was asked for many processes or all; it notes what comes together as one call. */
const questions = () =>
  readFileSync(unheard.mainLog, 'utf8').split(/called: (?:system.multicall|supervisor.getAll)/).length - 1
const comings = () => fallback.events().filter(({ type }) => type === 'supervisor.state').length
const settled = { questions: 0, comings: 0 }

await t.test('without a listener', async (t) => {
  const { stack, states, waitState } = fallback

  await t.test('it says so', (t) => {
    t.equal(stack.service.brief().eventSource, 'fallback')
    t.end()
  })

  await t.test('a start that takes its time is followed to RUNNING', async (t) => {
    await waitState('slow', 'RUNNING')
    t.match(states('slow').at(-1), { from: 'STARTING', to: 'RUNNING', observed: true })
  })

  await t.test('a death is seen by its children list, with its signal', async (t) => {
    await waitState('web', 'RUNNING')
    const { pid } = stack.table.need('web')
    process.kill(Number(pid), 'SIGKILL')
    await until(
      () => states('web').some(({ to, signal }) => to === 'EXITED' && signal === 'SIGKILL'),
      'its death',
    )
    await waitState('web', 'RUNNING')
    t.not(stack.table.get('web')?.pid, pid)
  })

  await t.test('when nothing happens any more it asks for everything no more', async (t) => {
    await waitState('web', 'RUNNING')
    await until(async () => {
      settled.questions = questions()
      await new Promise((resolve) => setTimeout(resolve, 1500))
      return questions() === settled.questions
    }, 'a second and a half without a question for all processes')
    t.ok(settled.questions > 0, 'it had to ask before')
    settled.comings = comings()
  })
})

await t.test('groups that come and go', async (t) => {
  const host = await supervisord(t, { programs: { web: { command: 'sleep 300' } } })
  for (const listener of [false, true])
    await t.test(listener ? 'with the listener' : 'without', async (t) => {
      const made = await startStack(t, host, { listener })
      host.writeProgram('mailer', { command: 'sleep 300', numprocs: 2, process_name: 'm%(process_num)d' })
      await host.ctl('update', 'mailer')
      await until(() => made.stack.table.get('mailer:m1')?.state === 'RUNNING', 'the new group')
      t.ok(
        made
          .events()
          .some(
            ({ type, payload }) =>
              type === 'process.added' && 'process' in payload && payload.process === 'mailer:m0',
          ),
      )
      const { rmSync } = await import('node:fs')
      rmSync(join(host.programDir, 'mailer.conf'))
      await host.ctl('update')
      if (!listener) await made.stack.observer.reconcile()
      await until(() => !made.stack.table.get('mailer:m1'), 'the group to go')
      t.ok(made.events().some(({ type }) => type === 'process.removed'))
      await made.stop()
    })
})

await t.test('supervisord comes and goes', async (t) => {
  const host = await supervisord(t, {
    programs: { web: { command: 'sleep 300' }, off: { command: 'sleep 300', autostart: false } },
  })
  const { stack, events, waitState } = await startStack(t, host, { listener: true })
  const states = () => events().flatMap(({ type, payload }) => (type === 'supervisor.state' ? [payload] : []))
  await waitState('web', 'RUNNING')
  const { pid } = stack.table.need('web')

  await t.test('killed: unreachable with the reason in words', async (t) => {
    await host.kill('SIGKILL')
    await until(() => !stack.connection.isUp, 'unreachable')
    t.match(states().at(-1), { state: 'unreachable', reason: /supervisord ended|nobody listens/ })
    await t.rejects(
      async () => await stack.processes.start(stack.processes.select(['web'], ADMIN), waiting()),
      {
        code: 'SUPERVISOR_UNREACHABLE',
      },
    )
  })

  await t.test('started again: running, and the table is true', async (t) => {
    await host.start()
    await until(() => stack.connection.isUp, 'it to be back within two seconds', 2000)
    t.match(states().at(-1), { state: 'running' })
    await waitState('web', 'RUNNING')
    t.not(stack.table.get('web')?.pid, pid)
  })

  await t.test('trap 21: the process that its dead predecessor left is named', async (t) => {
    const { orphans } = await stack.service.info()
    t.same(orphans, [{ process: 'web', pid }])
    process.kill(Number(pid), 'SIGKILL')
    await until(async () => (await stack.service.info()).orphans.length === 0, 'the orphan to be gone')
  })

  await t.test('stopped by SIGSTOP: hung, said so; and back when it goes on', async (t) => {
    await host.kill('SIGSTOP')
    await stack.connection.check()
    await until(() => !stack.connection.isUp, 'unreachable', 20_000)
    t.match(states().at(-1), { state: 'unreachable', reason: /no answer within/ })
    await host.kill('SIGCONT')
    await until(() => stack.connection.isUp, 'it to be back')
  })

  await t.test('restarted on request: restarting, then running with the same pid', async (t) => {
    const before = host.pid
    await stack.service.restart(ADMIN, new AbortController().signal)
    await until(() => states().some(({ state }) => state === 'restarting'), 'restarting')
    await until(() => stack.connection.isUp, 'it to be back')
    t.equal(stack.connection.status.identity?.pid, before)
    await waitState('web', 'RUNNING')
  })

  await t.test('trap 11: a restart with a broken file is refused before anything stops', async (t) => {
    await waitState('web', 'RUNNING')
    const { pid: worker } = stack.table.need('web')
    host.writeProgram('broken', { command: '/bin/true', numprocs: 'many' })
    await t.rejects(stack.service.restart(ADMIN, new AbortController().signal), {
      code: 'SUPERVISOR_FAULT',
      message: /numprocs|many|broken/,
    })
    t.equal(stack.table.get('web')?.pid, worker)
    const { rmSync } = await import('node:fs')
    rmSync(join(host.programDir, 'broken.conf'))
  })

  await t.test('trap 12: update of a changed group starts again what ran without autostart', async (t) => {
    await stack.processes.start(stack.processes.select(['off'], ADMIN), waiting())
    const before = stack.table.need('web').pid
    host.writeProgram('off', { command: 'sleep 301', autostart: false })
    t.same(await stack.service.update(['off'], updating()), {
      added: [],
      changed: ['off'],
      removed: [],
    })
    await waitState('off', 'RUNNING')
    t.equal(stack.table.get('web')?.pid, before, 'nobody else was touched')
  })

  await t.test('update goes on past a group that cannot be asked for, and names it', async (t) => {
    host.writeProgram('odd&name', { command: 'sleep 300' })
    host.writeProgram('later', { command: 'sleep 300' })
    await t.rejects(stack.service.update(undefined, updating()), {
      code: 'SUPERVISOR_FAULT',
      message: /odd&name: .*the other groups are updated/,
    })
    await waitState('later', 'RUNNING')
  })

  await t.test('trap 20: shut down: its end is hurried, then unreachable, and the agent stays', async (t) => {
    await stack.service.shutdown(ADMIN, new AbortController().signal)
    await until(() => stack.connection.status.state === 'unreachable', 'its end')
    t.ok(states().some(({ state }) => state === 'shutdown'))
  })
})

await t.test(
  'not there at the start, and garbage on the socket: clear states, and the agent stays up',
  async (t) => {
    const host = await supervisord(t, { programs: { web: { command: 'sleep 300' } } })
    await host.kill('SIGTERM')
    const garbage = createServer((_request, response) => response.end('<html>not me</html>'))
    await new Promise<void>((resolve) => garbage.listen(join(host.folder, 'g.sock'), resolve))
    t.teardown(() => garbage.close())
    const wrong = await startStack(t, host, { url: `unix://${join(host.folder, 'g.sock')}` })
    t.match(wrong.stack.connection.status, { state: 'unreachable', reason: /XML-RPC/ })
    await wrong.stop()
    const { stack } = await startStack(t, host)
    t.match(stack.connection.status, { state: 'unreachable', reason: /no such socket|nobody listens/ })
    await host.start()
    await until(() => stack.connection.isUp, 'supervisord to be found')
    await until(() => stack.table.get('web')?.state === 'RUNNING', 'web')
  },
)

await t.test('without a listener supervisord was not polled while all that was going on', async (t) => {
  if (comings() === settled.comings) t.equal(questions(), settled.questions)
})
