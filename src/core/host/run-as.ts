import { type ChildProcess, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import {
  closeSync,
  constants,
  existsSync,
  fstatSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readdirSync,
  readSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { Writable } from 'node:stream'
import { orAbort } from '../../lib/or-abort.ts'
import { environmentFile, type Launch, setprivLaunch, systemdLaunch, type Task } from './run-as-argv.ts'

export type { Task }

/** How a task ended. Where systemd ran it, a signal that ended it is exit status 255. */
export interface TaskEnd {
  exitStatus: number | null
  signal: string | null
  /** Its deadline had passed. */
  isLate: boolean
  /** The end of what it said, both ways. */
  output: string
}

/** A task cannot be started here; the message says why. */
export class RunAsError extends Error {
  override readonly name = 'RunAsError'
}

export interface RunAsOptions {
  /** Of the agent alone: environments and outputs are here while they are needed. Made where it is missing. */
  folder: string
  /** An interpreter of Python 3, where one is known. */
  python: () => string | null
  /** Whether systemd runs this host. */
  isSystemd?: boolean
}

const OUTPUT_BYTES = 16 * 1024
/** What is said beyond that goes, the end of it apart. */
const OUTPUT_MOST = 1024 * 1024
const LOOK_MS = 1_000
/** systemd reads the environment when it starts a task. */
const START_MS = 10_000

/** The interpreter of Python 3 that hosts with supervisord mostly have; null where there is none. */
export function usualPython(): string | null {
  return ['/usr/bin/python3', '/usr/local/bin/python3'].find((path) => existsSync(path)) ?? null
}

/** Runs programs as other users, with their groups. They outlive the agent. */
export class RunAs {
  readonly #folder: string
  readonly #python: () => string | null
  readonly #isSystemd: boolean

  constructor({ folder, python, isSystemd = existsSync('/run/systemd/system') }: RunAsOptions) {
    this.#folder = folder
    this.#python = python
    this.#isSystemd = isSystemd
    mkdirSync(folder, { recursive: true, mode: 0o700 })
    for (const name of readdirSync(folder)) rmSync(join(folder, name), { force: true }) // of an agent that was killed
  }

  /**
   * Starts a task that goes on by itself; its output goes nowhere.
   * @throws {RunAsError}
   */
  async start(task: Task): Promise<void> {
    const { launch, forget } = this.#prepare(task, false)
    try {
      const child = await started(launch, task, ['ignore', 'ignore', 'ignore'])
      if (!this.#isSystemd) return child.unref()
      const [status] = (await once(child, 'exit')) as [number | null]
      if (status !== 0)
        throw new RunAsError(`systemd does not run it: systemd-run ended with ${status ?? 'a signal'}`)
    } finally {
      forget()
    }
  }

  /**
   * Runs a task to its end.
   * @throws {RunAsError}; the signal's reason, and then the task goes on
   */
  async run(task: Task, signal: AbortSignal): Promise<TaskEnd> {
    signal.throwIfAborted()
    const { launch, forget } = this.#prepare(task, true)
    const output = new OutputFile(join(this.#folder, `output-${nonce()}`))
    const began = performance.now()
    const forgetting = setTimeout(forget, START_MS)
    try {
      const child = await started(launch, task, ['ignore', output.fd, output.fd])
      const exit = once(child, 'exit') as Promise<[number | null, string | null]>
      const [exitStatus, killedBy] = await orAbort(exit, signal)
      const isLate = task.deadlineMs !== undefined && performance.now() - began >= task.deadlineMs
      return { exitStatus, signal: killedBy, isLate, output: output.end() }
    } finally {
      clearTimeout(forgetting)
      forget()
      output.close()
    }
  }

  #prepare(task: Task, isAttached: boolean): { launch: Launch; forget: () => void } {
    if (!this.#isSystemd) return { launch: this.#setpriv(task), forget: () => undefined }
    const path = join(this.#folder, `env-${nonce()}`)
    writeFileSync(path, environmentFile(task.env), { mode: 0o600, flag: 'wx' })
    const unit = `supervisor-agent-task-${nonce()}`
    return {
      launch: systemdLaunch(task, { unit, environmentFile: path, isAttached }),
      forget: () => rmSync(path, { force: true }),
    }
  }

  #setpriv(task: Task): Launch {
    const ownUid = process.getuid?.() ?? 0
    if (ownUid !== 0 && ownUid !== task.user.uid)
      throw new RunAsError(`the agent does not run as root and cannot become ${task.user.name}`)
    const setpriv = ['/usr/bin/setpriv', '/bin/setpriv'].find((path) => existsSync(path))
    if (ownUid === 0 && setpriv === undefined)
      throw new RunAsError('there is no setpriv (util-linux) on this host')
    const launch = setprivLaunch(task, { setpriv: setpriv ?? '', python: this.#python(), ownUid })
    if (!launch)
      throw new RunAsError('its environment can be handed over by Python 3 alone, and none is known here')
    return launch
  }
}

async function started(launch: Launch, task: Task, stdio: ('ignore' | number)[]): Promise<ChildProcess> {
  const { argv, env, handed } = launch
  const [program, ...args] = argv
  const child = spawn(program, args, {
    cwd: task.directory,
    env,
    detached: true, // a session of its own, as cron's jobs have
    stdio: handed === null ? stdio : [...stdio, 'pipe'],
  })
  const pipe = child.stdio[3]
  if (handed !== null && pipe instanceof Writable) {
    pipe.on('error', () => undefined) // it ended before it took it: its exit status tells
    pipe.end(handed)
  }
  try {
    await once(child, 'spawn')
  } catch (error) {
    throw new RunAsError(
      `${program} in ${task.directory}: ${error instanceof Error ? error.message : String(error)}`,
    )
  }
  return child
}

/** Takes what a task says, also when the agent is gone; a pipe would end it then. */
class OutputFile {
  readonly fd: number
  #kept: Buffer = Buffer.alloc(0)
  readonly #timer: NodeJS.Timeout

  constructor(path: string) {
    const { O_APPEND, O_CREAT, O_EXCL, O_RDWR } = constants
    this.fd = openSync(path, O_APPEND | O_CREAT | O_EXCL | O_RDWR, 0o600)
    rmSync(path)
    this.#timer = setInterval(() => this.#shorten(), LOOK_MS).unref()
  }

  end(): string {
    return Buffer.concat([this.#kept, this.#tail()]).subarray(-OUTPUT_BYTES).toString('utf8')
  }

  close(): void {
    clearInterval(this.#timer)
    closeSync(this.fd)
  }

  #shorten(): void {
    if (fstatSync(this.fd).size < OUTPUT_MOST) return
    this.#kept = this.#tail()
    ftruncateSync(this.fd)
  }

  #tail(): Buffer {
    const { size } = fstatSync(this.fd)
    const bytes = Buffer.alloc(Math.min(size, OUTPUT_BYTES))
    return bytes.subarray(0, readSync(this.fd, bytes, 0, bytes.length, size - bytes.length))
  }
}

function nonce(): string {
  return randomBytes(6).toString('hex')
}
