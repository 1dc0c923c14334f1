// The demo that scripts/demo prepares: supervisord with workers, the agent against it, events until it is ended.
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, existsSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { promisify } from 'node:util'
import { supervisorCommand } from '../test/fixtures/supervisor-command.ts'
import { type DemoFiles, layOut, releaseLock, takeLock } from './demo-files.ts'
import { endAll, KeptService, markOf } from './demo-processes.ts'

const ROOT = resolve(import.meta.dirname, '..')
const AGENT = resolve(ROOT, 'dist/agent.cjs')
/** What the build writes last, and what it is made from. */
const LAST_BUILT = resolve(ROOT, 'dist/assets/event-listener.py')
const SOURCES = ['src', 'assets', 'scripts/build.ts', 'package.json', 'config.example.yaml']
/** On a host that is busy with other things, each command alone takes seconds. */
const READY_MS = 60_000
const COMMAND_MS = 30_000
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const

const ended = new AbortController()
for (const signal of SIGNALS) process.on(signal, () => ended.abort(signal))
// nobody reads any more: a closed terminal, or head
for (const stream of [process.stdout, process.stderr]) stream.on('error', () => ended.abort())

let services: KeptService[] = []
let events: ChildProcess | null = null
process.exitCode = await main()
if (ended.signal.reason === 'SIGHUP') {
  // the terminal is gone: an ordinary exit would try to reset it, and abort
  process.removeAllListeners('SIGHUP')
  process.kill(process.pid, 'SIGHUP')
}

async function main(): Promise<number> {
  let leftOver: string | null
  try {
    ;({ leftOver } = takeLock())
  } catch (error) {
    return complain(error)
  }
  try {
    if (leftOver !== null) await clearUp(leftOver)
    await build()
    return await run(layOut())
  } catch (error) {
    return ended.signal.aborted ? 0 : complain(error)
  } finally {
    releaseLock()
  }
}

/** Builds, unless what is there is newer than its sources. */
async function build(): Promise<void> {
  if (existsSync(AGENT) && isFresh(LAST_BUILT, SOURCES)) return
  const child = spawn(process.execPath, ['--import', 'tsx', 'scripts/build.ts'], {
    cwd: ROOT,
    stdio: 'inherit',
  })
  const [status] = await once(child, 'exit')
  if (status !== 0) throw new Error('the build failed')
  ended.signal.throwIfAborted()
}

function isFresh(product: string, sources: readonly string[]): boolean {
  try {
    const made = statSync(product).mtimeMs
    const isOlder = (path: string): boolean => {
      const stat = statSync(path)
      const inside = stat.isDirectory() ? readdirSync(path) : []
      return stat.mtimeMs < made && inside.every((name) => isOlder(resolve(path, name)))
    }
    return sources.every((path) => isOlder(resolve(ROOT, path)))
  } catch (error) {
    // not built yet, or a file went while it was looked at
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false
    throw error
  }
}

async function run(demo: DemoFiles): Promise<number> {
  let status = 0
  try {
    chmodSync(AGENT, 0o755)
    await start(demo)
    await streamEvents(demo)
  } catch (error) {
    if (!ended.signal.aborted) status = complain(error)
  }
  try {
    await stop(demo)
  } catch (error) {
    status = complain(error)
  }
  if (status === 0) {
    rmSync(demo.folder, { recursive: true, force: true, maxRetries: 5 })
    say('\nended: nothing is left running')
  } else say(`kept: ${demo.folder} (logs in ${demo.folder}/log)`)
  return status
}

async function start(demo: DemoFiles): Promise<void> {
  const { folder, agentConfig, supervisorConfig, supervisorLog, agentLog } = demo
  const { python, supervisord, env } = supervisorCommand()
  const supervisor = new KeptService(
    {
      name: 'supervisord',
      command: [python, supervisord, '-n', '-c', supervisorConfig],
      env,
      log: '/dev/null',
      folder,
    },
    say,
  )
  const daemon = new KeptService(
    {
      name: 'the agent',
      command: [process.execPath, AGENT, '--config', agentConfig, 'daemon'],
      log: agentLog,
      folder,
    },
    say,
  )
  services = [daemon, supervisor]
  supervisor.start()
  await ready(supervisor, supervisorLog, () => agent(demo, '--config', agentConfig, 'listener', 'install'))
  daemon.start()
  const listen = await ready(daemon, agentLog, () => addressOf(demo))
  const token = await agent(demo, '--config', agentConfig, 'token', 'create', 'demo', '--role', 'operator')
  writeFileSync(demo.tokenFile, token, { mode: 0o600 })
  introduce(demo, token.trim(), `ws://${listen.host}:${listen.port}/ws`)
}

/** Where the agent listens. @throws while it does not: its sockets answer before its port is open */
async function addressOf(demo: DemoFiles): Promise<{ host: string; port: number }> {
  const info = await agent(demo, '--socket', demo.adminSocket, '--json', 'info')
  const { listen } = JSON.parse(info) as { listen: { host: string; port: number } | null }
  if (listen === null) throw new Error('the agent does not listen yet')
  return listen
}

/** Repeats a command that needs the service until it works. */
async function ready<T>(service: KeptService, log: string, command: () => Promise<T>): Promise<T> {
  const deadline = performance.now() + READY_MS
  for (;;) {
    try {
      return await command()
    } catch (error) {
      ended.signal.throwIfAborted()
      if (!service.isRunning || performance.now() > deadline)
        throw new Error(`${(error as Error).message}\nend of ${log}:\n${endOf(log)}`, { cause: error })
    }
    await setTimeout(50)
  }
}

async function agent({ folder }: DemoFiles, ...args: string[]): Promise<string> {
  const { stdout } = await promisify(execFile)(process.execPath, [AGENT, ...args], {
    cwd: folder,
    timeout: COMMAND_MS,
  })
  return stdout
}

function introduce(
  { folder, adminSocket, tokenFile, agentLog }: DemoFiles,
  token: string,
  url: string,
): void {
  const local = `${quote(AGENT)} --socket ${quote(adminSocket)}`
  const remote = `${quote(AGENT)} --url ${url} --token-file ${quote(tokenFile)}`
  const place = folder.startsWith(ROOT)
    ? ''
    : ' (the path of the checkout does not suit sockets and config files)'
  say(`
A supervisord of its own with a few workers, and the agent against it, in ${folder}${place}

  token      ${token}   (role operator)
  WebSocket  ${url}
  agent log  ${agentLog}

In another terminal:

  ${local} status
  ${local} logs -f 'worker:*'
  ${local} restart 'worker:*'
  ${local} stop slow-stop
  ${remote} status
  ${remote} events

Events, until Ctrl-C:
`)
}

async function streamEvents(demo: DemoFiles): Promise<void> {
  const child = spawn(process.execPath, [AGENT, '--socket', demo.adminSocket, 'events'], {
    stdio: ['ignore', 'inherit', 'inherit'],
    env: { ...process.env, ...markOf(demo.folder) },
  })
  events = child
  const seconds = Number(process.env['DEMO_SECONDS'] ?? 0)
  const timer = seconds > 0 && AbortSignal.timeout(seconds * 1000)
  if (timer) timer.addEventListener('abort', () => ended.abort())
  const status = await new Promise<number | null>((done) => {
    child.once('exit', done)
    ended.signal.addEventListener('abort', () => done(0))
    if (ended.signal.aborted) done(0)
  })
  if (status !== 0 && !ended.signal.aborted) throw new Error(`agent events ended with ${status}`)
}

/** @throws when a process is left */
async function stop({ folder }: DemoFiles): Promise<void> {
  events?.kill('SIGTERM')
  for (const service of services) service.stop()
  // the agent closes its sessions and flushes; supervisord would wait for slow workers
  await endAll(folder, (cmdline) => cmdline.includes(AGENT))
}

/** What a demo left that was killed. */
async function clearUp(folder: string): Promise<void> {
  say(`clearing up after a demo that was killed (${folder})`)
  await endAll(folder, () => false)
  rmSync(folder, { recursive: true, force: true, maxRetries: 5 })
}

function endOf(path: string): string {
  try {
    return readFileSync(path, 'utf8').split('\n').slice(-15).join('\n')
  } catch {
    return '(there is none)'
  }
}

function quote(word: string): string {
  return /^[\w./:@%+-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`
}

function say(text: string): void {
  process.stdout.write(`${text}\n`)
}

function complain(error: unknown): 1 {
  process.stderr.write(`demo: ${error instanceof Error ? error.message : String(error)}\n`)
  return 1
}
