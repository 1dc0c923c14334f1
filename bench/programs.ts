/**
 * Changes of programs over admin.sock: a put of a new one, another process more, a rolling restart, a plan among 300
 * files; beside the first, what writing the file and `supervisorctl update` take. And how long a process of a scaled program
 * runs twice after such an update. Run: npx tsx bench/programs.ts
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { type AgentClient, connect } from '../src/client/index.ts'
import { ProcessInfo } from '../src/core/supervisor/process-info.ts'
import { SupervisorRpc } from '../src/core/supervisor/rpc.ts'
import { median, printTable, say, spread, timed, verdict } from './lib/figures.ts'
import { atEnd, bench, sleepers, startAgent, startSupervisord } from './lib/host.ts'

const ROUNDS = 7
const FILES = 300
const PLANS = 21
const ROLLED = 10
const MAX_UNAVAILABLE = 2
const SAMPLE_MS = 20
const BARS = { put: 1_800, plan: 150, surplus: 1_000 }
/** Notes when it starts and when it is told to stop, nanoseconds. */
const NOTING =
  'note() { echo "$SUPERVISOR_GROUP_NAME $1 $(date +%s%N)" >> "$0.log"; }\n' +
  'trap "note TERM; exit 0" TERM\nnote start\nwhile :; do sleep 0.01; done\n'

const definition = (name: string, processes = 1) => ({
  name,
  command: '/bin/sleep 1000000',
  processes,
  startSecs: 1,
  stdoutLogfile: 'NONE',
})
const pidsOf = async (client: AgentClient, name: string) => {
  const { program } = await client.call('program.get', { name })
  return new Map(program.instances.map((one) => [one.name, one.pid]))
}

await bench(async () => {
  const supervisor = await startSupervisord({ programs: sleepers(1) })
  const agent = await startAgent({ supervisor })
  const client = await connect({ url: `unix://${agent.adminSocket}`, reconnect: false })
  atEnd(() => client.close())

  const times = { put: [] as number[], update: [] as number[] }
  for (let round = 0; round < ROUNDS; round++) {
    say(`put, round ${round + 1} of ${ROUNDS}`)
    const put = { definition: definition(`new${round}`), verifyMs: 1_000 }
    times.put.push(await timed(() => client.call('program.put', put)))
    const file = join(supervisor.programDir, `hand${round}.conf`)
    const text = `[program:hand${round}]\ncommand=/bin/sleep 1000000\nstdout_logfile=NONE\nredirect_stderr=true\n`
    times.update.push(
      await timed(async () => {
        writeFileSync(file, text)
        await supervisor.ctl('update', `hand${round}`)
        while (!/RUNNING/.test((await supervisor.ctl('status', `hand${round}`)).stdout))
          await setTimeout(SAMPLE_MS)
      }),
    )
  }

  say('scale 4 to 5')
  await client.call('program.put', { definition: definition('scaled', 4) })
  const before = await pidsOf(client, 'scaled')
  await client.call('program.scale', { name: 'scaled', processes: 5 })
  const after = await pidsOf(client, 'scaled')
  const replaced = [...before].filter(([name, pid]) => after.get(name) !== pid).length

  say('an update by a person after a scale')
  const surplus: number[] = []
  for (let round = 0; round < ROUNDS; round++) {
    const name = `twice${round}`
    const script = join(supervisor.folder, `${name}.sh`)
    writeFileSync(script, NOTING)
    const command = `/bin/sh ${script}`
    await client.call('program.put', {
      definition: { ...definition(name), startSecs: 0, command },
      verifyMs: 0,
    })
    await client.call('program.scale', { name, processes: 2 })
    await supervisor.ctl('update', name)
    const noted = (group: string, what: string) =>
      readFileSync(`${script}.log`, 'utf8')
        .split('\n')
        .map((line) => line.split(' '))
        .filter(([of, did]) => of === group && did === what)
        .map(([, , at]) => Number(at) / 1e6)
        .at(-1)
    while (noted(`${name}.surge1`, 'TERM') === undefined) await setTimeout(SAMPLE_MS)
    surplus.push((noted(`${name}.surge1`, 'TERM') ?? 0) - (noted(name, 'start') ?? 0))
  }

  say(`rolling restart of ${ROLLED}`)
  await client.call('program.put', { definition: definition('rolled', ROLLED) })
  const rpc = new SupervisorRpc({ url: supervisor.url, username: '', password: '' })
  atEnd(() => rpc.close())
  let fewest = ROLLED
  const end = new AbortController()
  const sampling = (async () => {
    while (!end.signal.aborted) {
      const infos = ProcessInfo.array().parse(await rpc.call('supervisor.getAllProcessInfo', []))
      const up = infos.filter(({ group, statename }) => group === 'rolled' && statename === 'RUNNING')
      fewest = Math.min(fewest, up.length)
      await setTimeout(SAMPLE_MS)
    }
  })()
  const rollMs = await timed(() =>
    client.call('process.restart', {
      select: ['rolled:*'],
      mode: 'rolling',
      maxUnavailable: MAX_UNAVAILABLE,
    }),
  )
  end.abort()
  await sampling

  say(`plan among ${FILES} files`)
  const many = await startSupervisord({ programs: sleepers(FILES) })
  const second = await startAgent({ supervisor: many })
  const planner = await connect({ url: `unix://${second.adminSocket}`, reconnect: false })
  atEnd(() => planner.close())
  const plans: number[] = []
  for (let round = -2; round < PLANS; round++) {
    const ms = await timed(() => planner.call('program.plan', { definition: definition('planned') }))
    if (round >= 0) plans.push(ms)
  }

  const least = ROLLED - MAX_UNAVAILABLE
  printTable(
    ['what', 'figure', 'beside it', 'bar', ''],
    [
      [
        'put of a new program, startsecs=1, verified 1 s, ms',
        spread(times.put),
        `${spread(times.update)} written and supervisorctl update`,
        `≤ ${BARS.put}`,
        verdict(median(times.put) <= BARS.put),
      ],
      ['scale 4 to 5: pids replaced', replaced, '-', '0', verdict(replaced === 0)],
      [
        'a process twice after supervisorctl update of a scaled program: up to its stop signal, ms',
        spread(surplus),
        '-',
        `≤ ${BARS.surplus}`,
        verdict(Math.max(...surplus) <= BARS.surplus),
      ],
      [
        `rolling restart of ${ROLLED}, ${MAX_UNAVAILABLE} at a time: fewest RUNNING`,
        fewest,
        `${(rollMs / 1000).toFixed(1)} s in all`,
        `≥ ${least}`,
        verdict(fewest >= least),
      ],
      [
        `plan among ${FILES} files, ms`,
        spread(plans),
        '-',
        `≤ ${BARS.plan}`,
        verdict(median(plans) <= BARS.plan),
      ],
    ],
  )
})
