/**
 * `crontab.put` against `crontab -l | crontab -` of the same crontab, by hand and by one who is root, each when the last
 * write is over a second old. The agent and a cron of its own run in namespaces. Run as root: npx tsx bench/crontab.ts
 */
import { chmodSync, readFileSync, rmSync } from 'node:fs'
import { setTimeout } from 'node:timers/promises'
import { type AgentClient, connect } from '../src/client/index.ts'
import { AgentProcess } from '../test/fixtures/agent-process.ts'
import { CronHost, noCron } from '../test/fixtures/crontab.ts'
import { Supervisord } from '../test/fixtures/supervisord.ts'
import { median, printTable, quantile, say, spread, timed, verdict } from './lib/figures.ts'
import { atEnd, bench } from './lib/host.ts'

const ROUNDS = 21
const BAR_MS = 60
/** Nobody writes twice within a second of the clock. */
const PAUSE_MS = 1_100
const USER = 'alice'
/** It tells how long it took by itself: what starts it inside is not counted. */
const BY_HAND = `a=$(date +%s%N); crontab -u ${USER} -l | crontab -u ${USER} - && echo $(( $(date +%s%N) - a ))`

const ROWS = [
  { it: 'one line of others', lines: 1 },
  { it: '2000 lines of others', lines: 2000 },
  { it: 'one line of others, an entry with a script', lines: 1, env: { APP_ENV: 'production' } },
]

await bench(async () => {
  const reason = noCron()
  if (reason !== false) return say(`skipped: ${reason}`)
  const host = await CronHost.start({ teardown: (task) => atEnd(() => task()) })
  await host.startCron()
  const place = new Supervisord({})
  atEnd(() => rmSync(place.folder, { recursive: true, force: true, maxRetries: 5 }))
  chmodSync(place.folder, 0o755)
  const agent = new AgentProcess(place)
  await agent.start({ under: host.under() })
  // nsenter only waits for it
  const pid = Number(readFileSync(`/proc/${agent.pid}/task/${agent.pid}/children`, 'utf8'))
  atEnd(async () => {
    process.kill(pid, 'SIGTERM')
    await agent.daemon.outcome
  })
  const client = await connect({ url: `unix://${agent.runDir}/admin.sock`, reconnect: false })
  atEnd(() => client.close())
  const figures: string[][] = []
  for (const { it, lines, env } of ROWS) {
    say(it)
    const foreign = Array.from({ length: lines }, (_, i) => `${i % 60} 1 1 1 * /bin/echo ${i}\n`).join('')
    await host.install(USER, foreign)
    const times = { ours: [] as number[], hand: [] as number[] }
    for (let round = -2; round < ROUNDS; round++) {
      await setTimeout(PAUSE_MS)
      const ours = await timed(() => put(client, round, env))
      await setTimeout(PAUSE_MS)
      const { stdout } = await host.run(['sh', '-c', BY_HAND])
      if (round < 0) continue // both sides warm up
      times.ours.push(ours)
      times.hand.push(Number(stdout) / 1e6)
    }
    const isMet = median(times.ours) <= BAR_MS
    figures.push([
      it,
      spread(times.ours, 1),
      quantile(times.ours, 0.95).toFixed(1),
      spread(times.hand, 1),
      (median(times.ours) / median(times.hand)).toFixed(1),
      verdict(isMet),
    ])
  }
  printTable(
    [
      'a crontab with',
      '`crontab.put`, ms',
      'p95',
      '`crontab -l \\| crontab -`, ms',
      'ratio',
      `≤ ${BAR_MS} ms`,
    ],
    figures,
  )
})

async function put(client: AgentClient, round: number, env?: Record<string, string>): Promise<void> {
  const entry = {
    id: 'job',
    name: 'Job',
    user: USER,
    schedule: `${(round + 60) % 60} 4 * * *`,
    command: '/bin/true',
    ...(env ? { env } : {}),
  }
  await client.call('crontab.put', { entry }, { mutates: true })
}
