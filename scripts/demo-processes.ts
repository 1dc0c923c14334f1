import { type ChildProcess, spawn } from 'node:child_process'
import { closeSync, openSync, readdirSync, readFileSync } from 'node:fs'
import { setTimeout } from 'node:timers/promises'

/** Marks every process of a demo, whatever it becomes: children inherit it. */
const MARK = 'SUPERVISOR_AGENT_DEMO'
const RESTART_MS = 2_000
const GRACE_MS = 4_000
const LOOK_MS = 30
/** How often none must be seen before none is left. */
const QUIET_LOOKS = 3
const DEADLINE_MS = 30_000

export interface Service {
  name: string
  command: readonly [string, ...string[]]
  env?: Record<string, string>
  log: string
  folder: string
}

/** A process that is started again when it ends, as systemd does it. In a session of its own: Ctrl-C is ours. */
export class KeptService {
  readonly #service: Service
  readonly #say: (text: string) => void
  #child: ChildProcess | null = null
  #isStopping = false

  constructor(service: Service, say: (text: string) => void) {
    this.#service = service
    this.#say = say
  }

  get isRunning(): boolean {
    return this.#child !== null
  }

  start(): void {
    const { name, command, env, log, folder } = this.#service
    const [file, ...args] = command
    const out = openSync(log, 'a')
    const child = spawn(file, args, {
      cwd: folder,
      env: { PATH: process.env['PATH'] ?? '/usr/bin:/bin', ...env, ...markOf(folder) },
      stdio: ['ignore', out, out],
      detached: true,
    })
    closeSync(out)
    this.#child = child
    child.once('error', (error) => this.#say(`${name} cannot be started: ${error.message}`))
    child.once('exit', (status, signal) => {
      this.#child = null
      if (this.#isStopping) return
      this.#say(
        `${name} ended (${signal ?? `exit status ${status}`}); it is started again, as systemd does it`,
      )
      void setTimeout(RESTART_MS).then(() => this.#isStopping || this.start())
    })
  }

  /** Asks it to end, and does not start it again. */
  stop(): void {
    this.#isStopping = true
    this.#child?.kill('SIGTERM')
  }
}

/** What a process must have in its environment to belong to the demo in that folder. */
export function markOf(folder: string): Record<string, string> {
  return { [MARK]: folder }
}

/** Processes that belong to the demo in that folder. */
export function processesOf(folder: string): number[] {
  const mark = `${MARK}=${folder}\0`
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
    .filter((name) => environmentsOf(name).some((text) => `${text}\0`.includes(mark)))
    .map(Number)
}

/** Of a process, and where it has none any more, of those of its threads that are still at work. */
function environmentsOf(pid: string): string[] {
  const own = readOf(pid, 'environ')
  if (own !== '') return [own]
  try {
    return readdirSync(`/proc/${pid}/task`).map((thread) => readOf(`${pid}/task/${thread}`, 'environ'))
  } catch {
    return [] // it is gone
  }
}

/**
 * Ends every process of the demo, hard where it does not go at once.
 * @param isAsked true for processes that were asked to end and get a moment for it
 * @throws when one is left
 */
export async function endAll(folder: string, isAsked: (cmdline: string) => boolean): Promise<void> {
  const startedAt = performance.now()
  // one that becomes another program has no environment for a moment
  for (let looks = 0; looks < QUIET_LOOKS; looks++) {
    const left = processesOf(folder)
    if (left.length > 0) looks = -1
    const age = performance.now() - startedAt
    if (left.length > 0 && age > DEADLINE_MS) throw new Error(`still running: ${left.join(' ')}`)
    for (const pid of left) if (age > GRACE_MS || !isAsked(readOf(pid, 'cmdline'))) end(pid)
    await setTimeout(LOOK_MS)
  }
}

function end(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch {
    // it is gone already
  }
}

function readOf(pid: number | string, file: string): string {
  try {
    return readFileSync(`/proc/${pid}/${file}`, 'utf8')
  } catch {
    return ''
  }
}
