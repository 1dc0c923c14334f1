// A host to measure: a private supervisord with programs, and the bundled agent as a process of its own.
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { cpSync, existsSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'
import { V8_FLAGS } from '../../src/cli/plain-daemon.ts'
import { type AgentClient, connect } from '../../src/client/index.ts'
import { type Settings, Supervisord, type SupervisordOptions } from '../../test/fixtures/supervisord.ts'
import { UNIT_ENV } from '../../test/fixtures/unit.ts'
import { until } from '../../test/fixtures/wait.ts'

const run = promisify(execFile)
const DIST = resolve(import.meta.dirname, '../../dist')
/** supervisord holds about five descriptors per process. */
const MINFDS = 4096
const START_MS = 120_000
/**
 * What a command is started with, ours and theirs: a variable like NODE_EXTRA_CA_CERTS would add its 40 ms to each
 * start of Node.js.
 */
export const COMMAND_ENV = { PATH: process.env['PATH'] ?? '/usr/bin:/bin' }
/** What the unit starts the daemon with. */
const DAEMON_ENV = { ...COMMAND_ENV, ...UNIT_ENV }
/** For a part of the daemon that runs alone, from its sources: what the daemon gives to Node.js. */
export const AS_DAEMON = { execArgv: [...V8_FLAGS, '--import', 'tsx'], env: DAEMON_ENV }
/** For a part of a bench that is not ours. */
export const AS_OTHERS = { execArgv: ['--import', 'tsx'], env: COMMAND_ENV }

const started: { stop(): unknown }[] = []

/** Runs a bench; stops all that it started, whatever happens. */
export async function bench(task: () => Promise<void>): Promise<void> {
  try {
    await task()
  } finally {
    for (const one of started.splice(0).toReversed()) await one.stop()
  }
}

/** Stops it at the end of the bench. */
export function atEnd(stop: () => unknown): void {
  started.push({ stop })
}

/** That many programs that run and do nothing: p000, p001, … */
export function sleepers(count: number, settings: Settings = {}): Record<string, Settings> {
  const names = Array.from({ length: count }, (_, i) => `p${String(i).padStart(3, '0')}`)
  return Object.fromEntries(
    names.map((name) => [name, { command: '/bin/sleep 1000000', redirect_stderr: true, ...settings }]),
  )
}

/** Starts a supervisord and waits until all its processes are RUNNING. */
export async function startSupervisord(options: SupervisordOptions): Promise<Supervisord> {
  const host = new Supervisord({ ...options, settings: { minfds: MINFDS, ...options.settings } })
  atEnd(() => host.stop())
  await host.start()
  const wanted = Object.keys(options.programs ?? {}).length
  await until(
    async () => (await host.ctl('status')).stdout.match(/ RUNNING /g)?.length === wanted,
    `${wanted} programs to run`,
    START_MS,
  )
  return host
}

/** The bundle as built last: a copy, so that a build meanwhile changes nothing. */
export async function copyBundle(): Promise<string> {
  const files = ['agent.cjs', 'cli.cjs', 'daemon.cjs', 'settings.cjs', 'host.cjs', 'assets/event-listener.py']
  await until(() => files.every((file) => existsSync(join(DIST, file))), 'dist/ to be there: npm run build')
  const folder = mkdtempSync(join(tmpdir(), 'bench-dist-'))
  atEnd(() => rmSync(folder, { recursive: true, force: true }))
  cpSync(DIST, folder, { recursive: true })
  return join(folder, 'agent.cjs')
}

/** The bundled daemon, as a child process with a config and folders of its own. */
export class BenchAgent {
  readonly folder = mkdtempSync(join(tmpdir(), 'ba-'))
  readonly adminSocket = join(this.folder, 'run/admin.sock')
  readonly config = join(this.folder, 'config.yaml')
  readonly #script: string
  readonly #nodeFlags: readonly string[]
  #child: ChildProcess | null = null

  constructor(options: { supervisor: Supervisord; script: string; nodeFlags?: readonly string[] }) {
    this.#script = options.script
    this.#nodeFlags = options.nodeFlags ?? []
    const { folder } = this
    writeFileSync(
      this.config,
      JSON.stringify({
        stateDir: join(folder, 'state'),
        spoolDir: join(folder, 'spool'),
        tokensFile: join(folder, 'tokens.json'),
        supervisor: { url: options.supervisor.url },
        listen: { runDir: join(folder, 'run'), port: 0 },
      }),
    )
  }

  get pid(): number {
    const pid = this.#child?.pid
    if (pid === undefined) throw new Error('the agent is not running')
    return pid
  }

  async start(): Promise<void> {
    const log = openSync(join(this.folder, 'log'), 'a')
    const child = spawn(
      process.execPath,
      [...this.#nodeFlags, this.#script, '--config', this.config, 'daemon'],
      {
        env: DAEMON_ENV,
        stdio: ['ignore', log, log],
      },
    )
    this.#child = child
    await until(() => {
      if (child.exitCode !== null) throw new Error(`the agent ended: ${this.log()}`)
      return this.log().includes('agent started')
    }, 'the agent to start')
  }

  async stop(): Promise<void> {
    const child = this.#child
    this.#child = null
    if (child && child.exitCode === null) {
      const gone = once(child, 'exit')
      child.kill('SIGTERM')
      await gone
    }
    rmSync(this.folder, { recursive: true, force: true, maxRetries: 5 })
  }

  log(): string {
    return readFileSync(join(this.folder, 'log'), 'utf8')
  }

  /** Runs the command line: `agent ARGS`. */
  async command(...args: string[]): Promise<string> {
    const { stdout } = await run(process.execPath, [this.#script, '--config', this.config, ...args], {
      env: COMMAND_ENV,
    })
    return stdout
  }

  admin(): Promise<AgentClient> {
    return connect({ url: `unix://${this.adminSocket}`, reconnect: false })
  }

  /** Where it listens for WebSockets, and a token for it that may do everything. */
  async remote(): Promise<{ url: string; token: string }> {
    const line = this.log()
      .split('\n')
      .find((text) => text.includes('agent started'))
    const { address } = JSON.parse(line ?? '') as { address: { port: number } }
    const admin = await this.admin()
    const { token } = await admin.call(
      'token.create',
      { name: `bench-${Date.now()}`, role: 'admin' },
      { mutates: true },
    )
    await admin.close()
    return { url: `ws://127.0.0.1:${address.port}`, token: token ?? '' }
  }
}

/** Starts the bundled agent on a supervisord, with its event listener unless told otherwise. */
export async function startAgent(options: {
  supervisor: Supervisord
  script?: string
  nodeFlags?: readonly string[]
  listener?: boolean
}): Promise<BenchAgent> {
  const agent = new BenchAgent({ ...options, script: options.script ?? (await copyBundle()) })
  atEnd(() => agent.stop())
  await agent.start()
  if (options.listener ?? true) {
    await agent.command('listener', 'install')
    await until(() => agent.log().includes('event listener connected'), 'the listener to connect')
  }
  return agent
}

/** Megabytes (10^6) of a process: all, private, and of files. */
export function memoryOf(pid: number): { rss: number; anon: number; file: number } {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8')
  const field = (name: string) =>
    (Number(new RegExp(`^${name}:\\s*(\\d+)`, 'm').exec(status)?.[1]) * 1024) / 1e6
  return { rss: field('VmRSS'), anon: field('RssAnon'), file: field('RssFile') }
}

/** Seconds of processor time that a process has used. */
export function cpuSecondsOf(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return (Number(fields[11]) + Number(fields[12])) / 100
}
