/**
 * Memory of the idle daemon with 400 processes and one subscriber, for two minutes.
 * Run: npx tsx bench/memory.ts
 */
import { setTimeout } from 'node:timers/promises'
import { connect } from '../src/client/index.ts'
import { printTable, say, verdict } from './lib/figures.ts'
import { atEnd, bench, memoryOf, sleepers, startAgent, startSupervisord } from './lib/host.ts'

const PROCESSES = 400
const LOOKS_S = [12, 30, 60, 90, 120]
const BAR_MB = 60

await bench(async () => {
  say(`${PROCESSES} processes come up`)
  const supervisor = await startSupervisord({ programs: sleepers(PROCESSES) })
  const agent = await startAgent({ supervisor })
  const subscriber = await connect({ ...(await agent.remote()), reconnect: false })
  const events = subscriber.events()
  const reading = (async () => {
    for await (const event of events) void event
  })()
  atEnd(async () => {
    await subscriber.close()
    await reading.catch(() => undefined)
  })
  const began = performance.now()
  const rows: (string | number)[][] = []
  for (const second of LOOKS_S) {
    await setTimeout(second * 1000 - (performance.now() - began))
    const { rss, anon, file } = memoryOf(agent.pid)
    rows.push([
      second,
      rss.toFixed(1),
      anon.toFixed(1),
      file.toFixed(1),
      second >= 90 ? verdict(rss <= BAR_MB) : '',
    ])
  }
  const { rss, anon, file } = memoryOf(supervisor.pid)
  rows.push(['supervisord itself', rss.toFixed(1), anon.toFixed(1), file.toFixed(1), ''])
  printTable(
    ['seconds after the start', 'VmRSS, MB (10^6)', 'RssAnon', 'RssFile', `≤ ${BAR_MB} MB at 90 s`],
    rows,
  )
})
