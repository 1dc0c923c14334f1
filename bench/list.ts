/**
 * `process.list` of 400 processes against `supervisor.getAllProcessInfo`, and how long supervisord keeps others waiting
 * meanwhile. Run: npx tsx bench/list.ts
 */
import { setTimeout } from 'node:timers/promises'
import { localAsker, RawRpc, webSocketAsker } from './lib/clients.ts'
import { median, printTable, quantile, say, spread, timed, verdict } from './lib/figures.ts'
import { atEnd, bench, sleepers, startAgent, startSupervisord } from './lib/host.ts'

const PROCESSES = 400
const ROUNDS = 41
const LOAD_MS = 5_000
const PAUSE_MS = 50
const BAR = 1 / 20

await bench(async () => {
  say(`${PROCESSES} processes come up`)
  const supervisor = await startSupervisord({ programs: sleepers(PROCESSES) })
  const agent = await startAgent({ supervisor })
  const local = await localAsker(agent.adminSocket)
  const remote = await webSocketAsker(await agent.remote())
  const direct = new RawRpc(supervisor.socket)
  const other = new RawRpc(supervisor.socket)
  atEnd(() => [local, remote, direct, other].forEach((one) => one.close()))
  const overLocal = () => local.ask('process.list')
  const overWebSocket = () => remote.ask('process.list')
  const ofSupervisord = () => direct.call('supervisor.getAllProcessInfo')

  expectAll(await overLocal())
  expectAll(await overWebSocket())
  const times = { local: [] as number[], remote: [] as number[], direct: [] as number[] }
  for (let round = -3; round < ROUNDS; round++) {
    const took = {
      local: await timed(overLocal),
      remote: await timed(overWebSocket),
      direct: await timed(ofSupervisord),
    }
    if (round < 0) continue // both sides warm up
    times.local.push(took.local)
    times.remote.push(took.remote)
    times.direct.push(took.direct)
    await setTimeout(PAUSE_MS)
  }
  const row = (name: string, ours: number[]) => {
    const ratio = median(ours) / median(times.direct)
    return [
      name,
      spread(ours, 1),
      spread(times.direct, 1),
      `1/${(1 / ratio).toFixed(0)}`,
      '≤ 1/20',
      verdict(ratio <= BAR),
    ]
  }
  printTable(
    [`\`process.list\` of ${PROCESSES}`, 'ours, ms', '`getAllProcessInfo`, ms', 'ratio', 'bar', ''],
    [row('over admin.sock', times.local), row('over WebSocket', times.remote)],
  )

  const latency = async (load: () => Promise<unknown>) => {
    const until = performance.now() + LOAD_MS
    const loading = (async () => {
      while (performance.now() < until) {
        await load()
        await setTimeout(PAUSE_MS)
      }
    })()
    const waits: number[] = []
    while (performance.now() < until) {
      waits.push(await timed(() => other.call('supervisor.getPID')))
      await setTimeout(3)
    }
    await loading
    return [median(waits).toFixed(1), quantile(waits, 0.95).toFixed(1), Math.max(...waits).toFixed(1)]
  }
  printTable(
    [`\`getPID\` of supervisord while, every ${PAUSE_MS} ms,`, 'median, ms', 'p95', 'worst'],
    [
      ['nothing is asked', ...(await latency(async () => undefined))],
      ['`process.list` is asked of the agent', ...(await latency(overWebSocket))],
      ['`getAllProcessInfo` is asked of supervisord', ...(await latency(ofSupervisord))],
    ],
  )
})

function expectAll(answer: string): void {
  const processes = answer.match(/"state":"RUNNING"/g)?.length ?? 0
  if (processes !== PROCESSES)
    throw new Error(`${processes} of ${PROCESSES} processes: ${answer.slice(0, 300)}`)
}
