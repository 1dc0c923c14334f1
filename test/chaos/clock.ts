import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { AgentProcess } from '../fixtures/agent-process.ts'
import type { Supervisord } from '../fixtures/supervisord.ts'
import { until } from '../fixtures/wait.ts'

/** Runs before the agent: what reads the time of day gets one that is off by what a file says, looked at at SIGUSR2. */
const OTHER_CLOCK = `
const { existsSync, readFileSync } = require('node:fs')
const Real = Date
const file = __filename + '.off'
let offMs = existsSync(file) ? Number(readFileSync(file, 'utf8')) : 0
globalThis.Date = class Date extends Real {
  constructor(...args) { args.length > 0 ? super(...args) : super(Real.now() + offMs) }
  static now() { return Real.now() + offMs }
}
process.on('SIGUSR2', () => {
  offMs = Number(readFileSync(file, 'utf8'))
  process.stderr.write('the clock is off by ' + offMs + '\\n')
})
`

/** The time of day as one agent sees it; that of supervisord and of files stays as it is. */
export class Clock {
  readonly env: Record<string, string>
  readonly #file: string

  constructor(host: Supervisord) {
    this.#file = join(host.folder, 'clock.cjs')
    writeFileSync(this.#file, OTHER_CLOCK)
    this.env = { NODE_OPTIONS: `--require=${this.#file}` }
  }

  /** Sets it, also for runs of the agent to come. */
  /** Returns when it is set. */
  async jump(agent: AgentProcess, offMs: number): Promise<void> {
    const said = () => agent.daemon.stderr().split(`off by ${offMs}\n`).length
    const before = said()
    writeFileSync(`${this.#file}.off`, String(offMs))
    process.kill(agent.pid, 'SIGUSR2')
    await until(() => said() > before, 'the clock to jump')
  }
}
