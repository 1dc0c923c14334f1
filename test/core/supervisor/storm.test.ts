import t from 'tap'
import { ADMIN, startStack, waiting } from '../../fixtures/stack.ts'
import { supervisord } from '../../fixtures/supervisord.ts'
import { until } from '../../fixtures/wait.ts'

await t.test('comparing in the middle of a storm finds nothing that events did not tell', async (t) => {
  const host = await supervisord(t, {
    programs: {
      w: { command: 'sleep 300', numprocs: 40, process_name: 'w%(process_num)02d', startsecs: 0 },
      crashing: {
        command: '/bin/sh -c "sleep 0.3; exit 1"',
        numprocs: 5,
        process_name: 'c%(process_num)d',
        startsecs: 0,
      },
    },
  })
  const { stack, events, bus } = await startStack(t, host, { listener: true })
  const { table, processes, observer } = stack
  await until(
    () =>
      table
        .all()
        .filter(({ group }) => group === 'w')
        .every(({ state }) => state === 'RUNNING'),
    'all',
  )
  const after = bus.seq
  const storm = { isOver: false }
  let compared = 0
  const comparing = (async () => {
    while (!storm.isOver) {
      await observer.reconcile()
      compared++
    }
  })()
  for (let round = 0; round < 4; round++) {
    const some = table.all().filter(({ group }, index) => group === 'w' && (index + round) % 3 === 0)
    for (const { pid } of some) if (pid !== null && (pid + round) % 2 === 0) process.kill(pid, 'SIGKILL')
    await processes.restart(
      processes.select(
        some.map(({ name }) => name),
        ADMIN,
      ),
      { ...waiting(), mode: 'hard', maxUnavailable: 1 },
    )
  }
  storm.isOver = true
  await comparing
  t.ok(compared > 1, `${compared} comparisons`)

  const last = new Map<string, string>()
  let changes = 0
  for (const { seq, type, payload } of events()) {
    if (type !== 'process.state' || seq <= after) continue
    const { process, from, to, observed } = payload
    changes++
    if (observed) t.fail(`${process} ${from} -> ${to} was not told by an event`)
    if (last.has(process) && last.get(process) !== from)
      t.fail(`${process} went to ${last.get(process)}, then from ${from}`)
    last.set(process, to)
  }
  t.ok(changes > 100, `${changes} changes`)

  await t.test('and the table is what supervisord says', async (t) => {
    await processes.stop(processes.select(['crashing:*'], ADMIN), waiting())
    const read = async () => (await host.ctl('status')).stdout
    await until(async () => !/ST(?:OPP|ART)ING/.test(await read()), 'all to have settled')
    const theirs = (await read())
      .split('\n')
      .filter((line) => line !== '' && !line.startsWith('supervisor-agent'))
      .map((line) => line.split(/\s+/).slice(0, 2).join(' '))
    t.same(
      table.all().map(({ name, state }) => `${name} ${state}`),
      theirs,
    )
  })
})

await t.test('an agent that comes back among crashing processes tells each death once', async (t) => {
  const host = await supervisord(t, {
    programs: {
      crashing: {
        command: '/bin/sh -c "sleep 0.2; exit 1"',
        numprocs: 6,
        process_name: 'c%(process_num)d',
        startsecs: 0,
      },
    },
  })
  const first = await startStack(t, host, { listener: true })
  await first.stop()
  for (let round = 0; round < 4; round++) {
    const { stack, events, stop } = await startStack(t, host)
    await until(() => stack.listener.status().connected && stack.observer.isEventDriven, 'the listener')
    await stack.observer.reconcile()
    await until(() => events().length > 60, 'some deaths')
    await stop()
    const last = new Map<string, string>()
    const deaths = new Set<string>()
    for (const { type, payload } of events()) {
      if (type !== 'process.state') continue
      const { process, from, to, pid } = payload
      if (last.has(process) && last.get(process) !== from)
        t.fail(`${process} went to ${last.get(process)}, then from ${from}`)
      last.set(process, to)
      if (to !== 'EXITED') continue
      if (deaths.has(`${process} ${pid}`)) t.fail(`${process} with pid ${pid} died twice`)
      deaths.add(`${process} ${pid}`)
    }
    t.ok(deaths.size > 5, `${deaths.size} deaths`)
  }
})
