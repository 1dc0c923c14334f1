// The demo that scripts/demo prepares: supervisord with workers, the agent against it, events until it is ended.
import { type ChildProcess, execFile, spawn, spawnSync } from 'node:child_process'
import { chmodSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { promisify } from 'node:util'
import { supervisorCommand } from '../test/fixtures/supervisor-command.ts'
import { until } from '../test/fixtures/wait.ts'
import { type DemoFiles, layOut, releaseLock, takeLock } from './demo-files.ts'
import { endAll, KeptService } from './demo-processes.ts'

const ROOT = resolve(import.meta.dirname, '..')
const AGENT = resolve(ROOT, 'dist/agent.cjs')
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const

const ended = new AbortController()
for (const signal of SIGNALS) process.on(signal, () => ended.abort())
// nobody reads any more: a closed terminal, or head
for (const stream of [process.stdout, process.stderr]) stream.on('error', () => ended.abort())

let services: KeptService[] = []
let events: ChildProcess | null = null
process.exitCode = await main()

async function main(): Promise<number> {
  let leftOver: string | null
  try {
    ;({ leftOver } = takeLock())
  } catch (error) {
    return complain(error)
  }
  try {
    if (leftOver !== null) await clearUp(leftOver)
    build()
    return await run(layOut())
  } catch (error) {
    return complain(error)
  } finally {
    releaseLock()
  }
}

function build(): void {
  const { status } = spawnSync(process.execPath, ['--import', 'tsx', 'scripts/build.ts'], {
    cwd: ROOT,
    stdio: 'inherit',
  })
  if (status !== 0) throw new Error('the build failed')
  chmodSync(AGENT, 0o755)
}

async function run(demo: DemoFiles): Promise<number> {
  let status = 0
  try {
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
  const info = await ready(daemon, agentLog, () =>
    agent(demo, '--socket', demo.adminSocket, '--json', 'info'),
  )
  const { listen } = JSON.parse(info) as { listen: { host: string; port: number } }
  const token = await agent(demo, '--config', agentConfig, 'token', 'create', 'demo', '--role', 'operator')
  writeFileSync(demo.tokenFile, token, { mode: 0o600 })
  introduce(demo, token.trim(), `ws://${listen.host}:${listen.port}/ws`)
}

/** Waits until a command works that needs the service. */
async function ready(service: KeptService, log: string, command: () => Promise<string>): Promise<string> {
  try {
    return await until(async () => {
      if (ended.signal.aborted) throw new Error('ended')
      if (!service.isRunning) throw new Error('it ended')
      return await command()
    }, 'it')
  } catch (error) {
    throw new Error(`${(error as Error).message}\nend of ${log}:\n${endOf(log)}`, { cause: error })
  }
}

async function agent({ folder }: DemoFiles, ...args: string[]): Promise<string> {
  const { stdout } = await promisify(execFile)(process.execPath, [AGENT, ...args], {
    cwd: folder,
    timeout: 10_000,
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
  })
  events = child
  const seconds = Number(process.env['DEMO_SECONDS'] ?? 0)
  const timer = seconds > 0 ? setTimeout(() => ended.abort(), seconds * 1000) : undefined
  try {
    const status = await new Promise<number | null>((done) => {
      child.once('exit', done)
      ended.signal.addEventListener('abort', () => done(0))
      if (ended.signal.aborted) done(0)
    })
    if (status !== 0 && !ended.signal.aborted) throw new Error(`agent events ended with ${status}`)
  } finally {
    clearTimeout(timer)
  }
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
  rmSync(folder, { recursive: true, force: true })
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
