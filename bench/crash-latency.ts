/**
 * From `kill -9` of a worker to its event: at a WebSocket client of the agent, at a plain Python listener in the same
 * supervisord, and at one in a supervisord without an agent. Run: npx tsx bench/crash-latency.ts
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import type { Supervisord } from '../test/fixtures/supervisord.ts'
import { until } from '../test/fixtures/wait.ts'
import { webSocketAsker } from './lib/clients.ts'
import { printTable, quantile, say, spread, verdict } from './lib/figures.ts'
import { atEnd, bench, sleepers, startAgent, startSupervisord } from './lib/host.ts'

const WORKERS = 10
const KILLS = 30
/** Closer kills wake supervisord for each other and hide the delay. */
const SPACE_MS = 3_000
const BAR_MS = 150
/** Notes the time of each event the moment that its header is there. */
const LISTENER = `import sys, time
out = open(sys.argv[1], 'a', buffering=1)
while True:
    sys.stdout.write('READY\\n'); sys.stdout.flush()
    header = sys.stdin.readline()
    at = time.time()
    payload = sys.stdin.read(int(header.rsplit('len:', 1)[1]))
    out.write('%.3f %s\\n' % (at * 1000, payload))
    sys.stdout.write('RESULT 2\\nOK'); sys.stdout.flush()
`

interface Host {
  supervisor: Supervisord
  /** Arrivals at its plain listener, by pid. */
  arrivals(): Map<number, number>
}

await bench(async () => {
  const watched = await hostWithListener()
  const alone = await hostWithListener()
  const agent = await startAgent({ supervisor: watched.supervisor })
  const atClient = new Map<number, number>()
  const client = await webSocketAsker(await agent.remote(), (frame) => {
    const atMs = performance.timeOrigin + performance.now()
    const { params } = JSON.parse(frame) as {
      params: { type?: string; payload?: { to: string; pid: number } }
    }
    if (params.type === 'process.state' && params.payload?.to === 'EXITED')
      atClient.set(params.payload.pid, atMs)
  })
  atEnd(() => client.close())
  await client.ask('event.subscribe', { types: ['process.state'] })
  const killed = { watched: new Map<number, number>(), alone: new Map<number, number>() }
  for (let kill = 0; kill < KILLS; kill++) {
    if (kill % 10 === 0) say(`kill ${kill} of ${KILLS}`)
    await setTimeout(SPACE_MS + Math.random() * 1000)
    killed.watched.set(...killOne(watched.supervisor, kill))
    killed.alone.set(...killOne(alone.supervisor, kill))
  }
  await setTimeout(SPACE_MS)
  const row = (where: string, at: Map<number, number>, since: Map<number, number>, bar: boolean) => {
    const waits = [...since].map(([pid, atMs]) => (at.get(pid) ?? Number.NaN) - atMs)
    const missing = waits.filter(Number.isNaN).length
    if (missing > 0) throw new Error(`${missing} of ${KILLS} events did not come: ${where}`)
    const p95 = quantile(waits, 0.95)
    return [where, spread(waits), p95.toFixed(0), bar ? `≤ ${BAR_MS}` : '', bar ? verdict(p95 <= BAR_MS) : '']
  }
  printTable(
    [`kill -9 to event, ${KILLS} kills`, 'median (range), ms', 'p95, ms', 'bar (p95)', ''],
    [
      row('the agent, at a WebSocket client', atClient, killed.watched, true),
      row('a plain listener in the same supervisord', watched.arrivals(), killed.watched, false),
      row('a plain listener in a supervisord without the agent', alone.arrivals(), killed.alone, false),
    ],
  )
})

async function hostWithListener(): Promise<Host> {
  const supervisor = await startSupervisord({
    programs: sleepers(WORKERS, { startsecs: 1, autorestart: true }),
  })
  const script = join(supervisor.folder, 'listener.py')
  const log = join(supervisor.folder, 'arrivals')
  writeFileSync(script, LISTENER)
  supervisor.writeProgram('eventlistener:plain', {
    command: `/usr/bin/python3 ${script} ${log}`,
    events: 'PROCESS_STATE_EXITED',
    priority: 7,
  })
  await supervisor.ctl('update')
  await until(() => existsSync(log), 'the plain listener')
  return {
    supervisor,
    arrivals: () =>
      new Map(
        readFileSync(log, 'utf8')
          .split('\n')
          .filter(Boolean)
          .map((line) => [Number(/ pid:(\d+)/.exec(line)?.[1]), Number.parseFloat(line)]),
      ),
  }
}

/** Kills one of its workers. @returns pid and when */
function killOne(supervisor: Supervisord, kill: number): [number, number] {
  const workers = supervisor
    .children()
    .filter((pid) => readFileSync(`/proc/${pid}/comm`, 'utf8').startsWith('sleep'))
  const pid = workers[kill % workers.length] ?? 0
  const atMs = performance.timeOrigin + performance.now()
  process.kill(pid, 'SIGKILL')
  return [pid, atMs]
}
