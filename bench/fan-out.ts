/**
 * One event to 100 subscribers: deliveries per second through the agent's own bus, sessions and WebSockets. Server and
 * clients are processes of their own; the clients count frames and parse nothing. Run: npx tsx bench/fan-out.ts
 */
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout } from 'node:timers/promises'
import { median, printTable, spread, verdict } from './lib/figures.ts'
import { atEnd, bench, cpuSecondsOf } from './lib/host.ts'

const SUBSCRIBERS = 100
const ROUNDS = 7
const ROUND_MS = 4_000
const WARM_MS = 2_000
const BAR = 150_000

await bench(async () => {
  const server = start(new URL('./lib/fan-out-server.ts', import.meta.url))
  const [ready] = (await once(server, 'message')) as [{ port: number; tokens: string[] }]
  const clients = start(new URL('./lib/fan-out-clients.ts', import.meta.url))
  clients.send({ ...ready, subscribers: SUBSCRIBERS })
  await once(clients, 'message')
  // the server goes on as the slowest subscriber does
  clients.on('message', (message: { slowest?: number }) => {
    if (message.slowest !== undefined) server.send(message)
  })
  const counted = (): Promise<number> =>
    new Promise((resolve) => {
      const take = (message: { count?: number }) => {
        if (message.count === undefined) return
        clients.off('message', take)
        resolve(message.count)
      }
      clients.on('message', take)
      clients.send('count')
    })
  const rates: number[] = []
  const costs: number[] = []
  server.send('go')
  await setTimeout(WARM_MS)
  for (let round = 0; round < ROUNDS; round++) {
    const before = { count: await counted(), cpu: cpuSecondsOf(server.pid ?? 0), at: performance.now() }
    await setTimeout(ROUND_MS)
    const count = (await counted()) - before.count
    rates.push(count / ((performance.now() - before.at) / 1000))
    costs.push(((cpuSecondsOf(server.pid ?? 0) - before.cpu) / count) * 1e6)
  }
  printTable(
    [`1 event to ${SUBSCRIBERS} subscribers`, 'median (range)', 'bar', ''],
    [
      ['deliveries a second', spread(rates), `≥ ${BAR}`, verdict(median(rates) >= BAR)],
      ['processor time of the server per delivery, µs', spread(costs, 1), '', ''],
    ],
  )
})

function start(file: URL): ChildProcess {
  const child = fork(file, { execArgv: ['--import', 'tsx'] })
  atEnd(() => child.kill())
  return child
}
