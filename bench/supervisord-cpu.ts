/**
 * Processor time of supervisord caused by an idle agent: two supervisords with 400 processes each at the same time,
 * one with the agent, its listener and one subscriber. Run: npx tsx bench/supervisord-cpu.ts
 */
import { setTimeout } from 'node:timers/promises'
import { webSocketAsker } from './lib/clients.ts'
import { median, printTable, say, spread, verdict } from './lib/figures.ts'
import { atEnd, bench, cpuSecondsOf, sleepers, startAgent, startSupervisord } from './lib/host.ts'

const PROCESSES = 400
const WINDOWS = 3
const WINDOW_MS = 60_000
const SETTLE_MS = 15_000
const BAR_SECONDS = 0.25

await bench(async () => {
  say(`twice ${PROCESSES} processes come up`)
  const alone = await startSupervisord({ programs: sleepers(PROCESSES) })
  const watched = await startSupervisord({ programs: sleepers(PROCESSES) })
  const agent = await startAgent({ supervisor: watched })
  const subscriber = await webSocketAsker(await agent.remote())
  atEnd(() => subscriber.close())
  await subscriber.ask('event.subscribe')
  await setTimeout(SETTLE_MS)
  const pids = [alone.pid, watched.pid, agent.pid]
  const used: number[][] = [[], [], []]
  for (let window = 0; window < WINDOWS; window++) {
    say(`window ${window + 1} of ${WINDOWS}`)
    const before = pids.map(cpuSecondsOf)
    await setTimeout(WINDOW_MS)
    pids.map(cpuSecondsOf).forEach((after, i) => used[i]?.push(after - (before[i] ?? 0)))
  }
  const [base = [], withAgent = [], own = []] = used
  const caused = withAgent.map((seconds, i) => seconds - (base[i] ?? 0))
  printTable(
    ['processor seconds in 60 s, 400 processes', 'median (range)', 'bar', ''],
    [
      ['supervisord alone', spread(base, 2), '', ''],
      ['supervisord with the agent', spread(withAgent, 2), '', ''],
      ['caused by the agent', spread(caused, 2), `≤ ${BAR_SECONDS}`, verdict(median(caused) <= BAR_SECONDS)],
      ['the agent itself', spread(own, 2), '', ''],
    ],
  )
})
