/**
 * One event to 100 subscribers: deliveries per second through the agent's own bus, sessions and WebSockets. Server and
 * clients are processes of their own; the clients count frames and parse nothing. Beside it the `ws` package alone. Run: npx tsx bench/fan-out.ts
 */
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout } from 'node:timers/promises'
import { median, printTable, spread, verdict } from './lib/figures.ts'
import { AS_DAEMON, AS_OTHERS, atEnd, bench, cpuSecondsOf } from './lib/host.ts'

const SUBSCRIBERS = 100
const ROUNDS = 5
const ROUND_MS = 2_500
const WARM_MS = 500
const BAR = 150_000

interface Side {
  server: ChildProcess
  clients: ChildProcess
  rates: number[]
  costs: number[]
}

await bench(async () => {
  const ours = await startSide(new URL('./lib/fan-out-server.ts', import.meta.url), AS_DAEMON)
  const bare = await startSide(new URL('./lib/fan-out-bare.ts', import.meta.url), AS_OTHERS)
  for (let round = -1; round < ROUNDS; round++)
    for (const side of [ours, bare]) {
      const { rate, cost } = await measure(side)
      if (round < 0) continue // code warms up
      side.rates.push(rate)
      side.costs.push(cost)
    }
  const row = (name: string, { rates, costs }: Side) => [name, spread(rates), spread(costs, 1)]
  printTable(
    [
      `1 event to ${SUBSCRIBERS} subscribers`,
      'deliveries a second',
      'server, µs of processor each',
      'bar',
      '',
    ],
    [
      [...row('the agent', ours), `≥ ${BAR}`, verdict(median(ours.rates) >= BAR)],
      [...row('`ws` alone, the same frames', bare), '', ''],
    ],
  )
})

async function startSide(file: URL, options: typeof AS_DAEMON): Promise<Side> {
  const server = start(file, options)
  const [ready] = (await once(server, 'message')) as [{ port: number; tokens: string[] }]
  const clients = start(new URL('./lib/fan-out-clients.ts', import.meta.url), AS_OTHERS)
  clients.send({ ...ready, subscribers: SUBSCRIBERS })
  await once(clients, 'message')
  // the server goes on as the slowest subscriber does
  clients.on('message', (message: { slowest?: number }) => {
    if (message.slowest !== undefined) server.send(message)
  })
  return { server, clients, rates: [], costs: [] }
}

async function measure({ server, clients }: Side): Promise<{ rate: number; cost: number }> {
  const cpu = () => cpuSecondsOf(server.pid ?? 0)
  server.send('go')
  await setTimeout(WARM_MS)
  const before = { count: await counted(clients), cpu: cpu(), at: performance.now() }
  await setTimeout(ROUND_MS)
  const count = (await counted(clients)) - before.count
  const rate = count / ((performance.now() - before.at) / 1000)
  const cost = ((cpu() - before.cpu) / count) * 1e6
  server.send('stop')
  await setTimeout(WARM_MS)
  return { rate, cost }
}

function counted(clients: ChildProcess): Promise<number> {
  return new Promise((resolve) => {
    const take = (message: { count?: number }) => {
      if (message.count === undefined) return
      clients.off('message', take)
      resolve(message.count)
    }
    clients.on('message', take)
    clients.send('count')
  })
}

function start(file: URL, options: typeof AS_DAEMON): ChildProcess {
  const child = fork(file, options)
  atEnd(() => child.kill())
  return child
}
