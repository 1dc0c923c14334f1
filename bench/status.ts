/**
 * Wall time of `agent status` against `supervisorctl status`, with 10 and with 400 processes.
 * Run: npx tsx bench/status.ts
 */
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { median, printTable, say, spread, timed, verdict } from './lib/figures.ts'
import { bench, COMMAND_ENV, copyBundle, sleepers, startAgent, startSupervisord } from './lib/host.ts'

const run = promisify(execFile)
const SIZES = [10, 400]
const ROUNDS = 21
const BAR = 0.45

await bench(async () => {
  const rows: (string | number)[][] = []
  const script = await copyBundle()
  for (const processes of SIZES) {
    say(`${processes} processes come up`)
    const supervisor = await startSupervisord({ programs: sleepers(processes) })
    const agent = await startAgent({ supervisor, script })
    const ours: number[] = []
    const theirs: number[] = []
    for (let round = 0; round < ROUNDS; round++) {
      ours.push(
        await timed(async () => {
          const { stdout } = await run(script, ['--socket', agent.adminSocket, 'status'], {
            env: COMMAND_ENV,
          })
          expectLines(stdout, processes)
        }),
      )
      theirs.push(
        await timed(async () => {
          const { stdout } = await supervisor.ctl('status')
          expectLines(stdout, processes)
        }),
      )
    }
    const ratio = median(ours) / median(theirs)
    rows.push([processes, spread(ours), spread(theirs), ratio.toFixed(2), `≤ ${BAR}`, verdict(ratio <= BAR)])
    await agent.stop()
    await supervisor.stop()
  }
  printTable(['processes', '`agent status`, ms', '`supervisorctl status`, ms', 'ratio', 'bar', ''], rows)
})

function expectLines(stdout: string, processes: number): void {
  const running = stdout.match(/RUNNING/g)?.length ?? 0
  if (running < processes) throw new Error(`${running} of ${processes} processes in the answer`)
}
