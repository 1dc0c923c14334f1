/**
 * Stop all and restart all of 100 programs, by the agent and by supervisorctl, both as commands.
 * Run: npx tsx bench/control.ts
 */
import { execFile } from 'node:child_process'
import { setTimeout } from 'node:timers/promises'
import { promisify } from 'node:util'
import { median, printTable, say, spread, timed, verdict } from './lib/figures.ts'
import { bench, COMMAND_ENV, copyBundle, sleepers, startAgent, startSupervisord } from './lib/host.ts'

const run = promisify(execFile)
const PROCESSES = 100
const ROUNDS = 7
/** Between two commands: no process is young, and supervisord's loop sleeps as it does on an idle host. */
const REST_MS = 2_500
const BARS = { 'stop all': 0.3, 'restart all': 0.7 }

await bench(async () => {
  say(`twice ${PROCESSES} processes come up`)
  const programs = sleepers(PROCESSES, { startsecs: 1 })
  // a supervisord each: `supervisorctl stop all` would stop the agent's listener too
  // as by default: each child closes every descriptor up to minfds before it becomes the program
  const settings = { minfds: 1024 }
  const withAgent = await startSupervisord({ programs, settings })
  const alone = await startSupervisord({ programs, settings })
  const script = await copyBundle()
  const { adminSocket } = await startAgent({ supervisor: withAgent, script })
  const agent = async (verb: string) =>
    void (await run(script, ['--socket', adminSocket, verb, 'all'], { env: COMMAND_ENV }))
  const ctl = async (verb: string) => void (await alone.ctl(verb, 'all'))
  const measure = async (by: typeof agent, verb: 'stop' | 'restart') => {
    await setTimeout(REST_MS)
    const ms = await timed(() => by(verb))
    const { stdout } = await (by === agent ? withAgent : alone).ctl('status')
    const word = verb === 'stop' ? 'STOPPED' : 'RUNNING'
    const count = Object.keys(programs).filter((name) =>
      new RegExp(`^${name} +${word} `, 'm').test(stdout),
    ).length
    if (count !== PROCESSES) throw new Error(`${count} of ${PROCESSES} are ${word}`)
    if (verb === 'stop') await by('start')
    return ms
  }
  const times = {
    'stop all': { ours: [] as number[], theirs: [] as number[] },
    'restart all': { ours: [] as number[], theirs: [] as number[] },
  }
  for (let round = 0; round < ROUNDS; round++) {
    say(`round ${round + 1} of ${ROUNDS}`)
    times['stop all'].ours.push(await measure(agent, 'stop'))
    times['stop all'].theirs.push(await measure(ctl, 'stop'))
    times['restart all'].ours.push(await measure(agent, 'restart'))
    times['restart all'].theirs.push(await measure(ctl, 'restart'))
  }
  printTable(
    [`${PROCESSES} programs`, 'agent, ms', 'supervisorctl, ms', 'ratio', 'bar', ''],
    (['stop all', 'restart all'] as const).map((what) => {
      const { ours, theirs } = times[what]
      const ratio = median(ours) / median(theirs)
      return [
        what,
        spread(ours),
        spread(theirs),
        ratio.toFixed(2),
        `≤ ${BARS[what]}`,
        verdict(ratio <= BARS[what]),
      ]
    }),
  )
})
