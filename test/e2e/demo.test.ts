import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { resolve } from 'node:path'
import t from 'tap'
import { endAll, markOf } from '../../scripts/demo-processes.ts'
import { parseToken } from '../../src/protocol/token.ts'
import { supervisorCommand } from '../fixtures/supervisor-command.ts'
import { until } from '../fixtures/wait.ts'

const ROOT = resolve(import.meta.dirname, '../..')

const PROCESSES = [
  'broken',
  'chatty',
  'flaky',
  'shop:api',
  'shop:search',
  'slow-stop',
  'worker:worker_00',
  'worker:worker_01',
]

interface Demo {
  process: ChildProcess
  folder(): string
  stdout(): string
  stderr(): string
  exit: Promise<{ code: number | null; signal: string | null }>
}

/** Starts the demo from another folder, without a terminal. */
function startDemo(t: { teardown(task: () => unknown): void }, env: Record<string, string> = {}): Demo {
  const child = spawn(resolve(ROOT, 'scripts/demo'), {
    cwd: tmpdir(),
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  })
  let stdout = ''
  let stderr = ''
  child.stdout.on('data', (chunk) => (stdout += chunk))
  child.stderr.on('data', (chunk) => (stderr += chunk))
  const exit = once(child, 'close').then(([code, signal]) => ({ code, signal }))
  t.teardown(() => {
    child.kill('SIGTERM')
    return exit
  })
  return {
    process: child,
    folder: () => /against it, in (\S+)/.exec(stdout)?.[1] ?? '',
    stdout: () => stdout,
    stderr: () => stderr,
    exit,
  }
}

/** Waits for a text in what the demo prints; gives up at once when the demo has ended. */
async function shown(demo: Demo, pattern: RegExp): Promise<RegExpExecArray> {
  const match = await until(
    () => pattern.exec(demo.stdout()) ?? (demo.process.exitCode === null ? null : 'ended'),
    `${pattern} in the output of the demo`,
    60_000,
  )
  if (match === 'ended') throw new Error(`the demo ended: ${demo.stdout()}${demo.stderr()}`)
  return match
}

/** Pids of everything whose command line or environment names that folder. */
function processesOf(folder: string): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) =>
      ['cmdline', 'environ'].some((file) => {
        try {
          return readFileSync(`/proc/${pid}/${file}`, 'utf8').includes(folder)
        } catch {
          return false
        }
      }),
    )
    .map(Number)
}

/** Runs a line that the demo printed for another terminal. */
function paste(line: string): Promise<{ code: number; stdout: string }> {
  return new Promise((done) => {
    execFile('sh', ['-c', line], (error, stdout) => done({ code: error ? Number(error.code) : 0, stdout }))
  })
}

await t.test('what the demo prints can be used, and Ctrl-C leaves nothing running', async (t) => {
  const demo = startDemo(t)
  await shown(demo, /processes at event/)
  const [, token = ''] = await shown(demo, /token {6}(\S+) /)
  t.ok(parseToken(token))
  t.match(demo.stdout(), /WebSocket {2}ws:\/\/127\.0\.0\.1:\d+\/ws\n/)
  const line = (end: string) =>
    demo
      .stdout()
      .split('\n')
      .filter((text) => text.startsWith('  ') && text.endsWith(end))
      .map((text) => text.trim())
  const [local = '', remote = ''] = line(' status')
  t.match(remote, / --url ws:/)
  for (const command of [local, remote]) {
    const { code, stdout } = await paste(command)
    t.equal(code, 3, 'broken is not RUNNING')
    const names = stdout.split('\n').map((row) => row.split(' ')[0])
    t.same(names, [...PROCESSES, ''])
    t.same(names, [...PROCESSES, ''])
  }

  const start = local.replace(/ status$/, ' start broken')
  await until(async () => (await paste(local)).stdout.includes('broken                           FATAL'))
  t.equal((await paste(start)).code, 1)
  await shown(demo, /broken BACKOFF -> FATAL.*\n +broken: cannot read/)
  const [restart = ''] = line(" restart 'worker:*'")
  t.equal((await paste(restart)).code, 0)
  await shown(demo, /worker:worker_01 STARTING -> RUNNING \(pid \d+\) by local:admin/)

  const [, pid = ''] = /shop:api +RUNNING +pid (\d+)/.exec((await paste(local)).stdout) ?? []
  process.kill(Number(pid), 'SIGKILL')
  await shown(demo, new RegExp(`shop:api RUNNING -> EXITED \\(pid ${pid}, SIGKILL, not expected\\)`))
  await shown(demo, /flaky RUNNING -> EXITED \(pid \d+, exit status 1, not expected\)/)

  const second = startDemo(t)
  t.same(await second.exit, { code: 1, signal: null })
  t.match(second.stderr(), `a demo is running already (pid ${demo.process.pid})`)

  const folder = demo.folder()
  t.ok(processesOf(folder).length >= 9, 'supervisord, its workers, the listener and the agent run')
  demo.process.kill('SIGINT')
  t.same(await demo.exit, { code: 0, signal: null })
  t.match(demo.stdout(), /\nended: nothing is left running\n$/)
  t.same(processesOf(folder), [])
  t.notOk(existsSync(folder))
})

const endings = [
  { it: 'by itself', env: { DEMO_SECONDS: '1' }, signal: null, exit: { code: 0, signal: null } },
  { it: 'on SIGTERM', env: {}, signal: 'SIGTERM', exit: { code: 0, signal: null } },
  { it: 'when the terminal closes', env: {}, signal: 'SIGHUP', exit: { code: null, signal: 'SIGHUP' } },
] as const
for (const { it, env, signal, exit } of endings)
  await t.test(`the demo ends ${it} and leaves nothing running`, async (t) => {
    const demo = startDemo(t, env)
    // its second may be over before the first event is shown
    await shown(demo, signal ? /processes at event/ : /Events, until/)
    if (signal) demo.process.kill(signal)
    t.same(await demo.exit, exit)
    t.same(processesOf(demo.folder()), [])
  })

await t.test('a demo that was killed is cleared up by the next one', async (t) => {
  const killed = startDemo(t)
  await shown(killed, /processes at event/)
  const gone = once(killed.process, 'exit')
  killed.process.kill('SIGKILL')
  await gone
  const next = startDemo(t, { DEMO_SECONDS: '1' })
  const exit = await next.exit
  t.same(exit, { code: 0, signal: null }, `it ends in order: ${next.stderr()}`)
  t.match(next.stdout(), 'clearing up after a demo that was killed')
  t.same(processesOf(killed.folder()), [])
})

await t.test('a process whose first thread has ended is ended too', async (t) => {
  const folder = `/nowhere/${process.pid}`
  const script = `import ctypes, threading, time
threading.Thread(target=time.sleep, args=(600,)).start()
print('on', flush=True)
ctypes.CDLL(None).pthread_exit(None)`
  const { python, env } = supervisorCommand()
  const child = spawn(python, ['-c', script], {
    env: { ...env, ...markOf(folder) },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  t.teardown(() => child.kill('SIGKILL'))
  await once(child.stdout, 'data')
  await until(() => /\) Z /.test(readFileSync(`/proc/${child.pid}/stat`, 'utf8')), 'the first thread to end')
  await endAll(folder, () => false)
  t.equal(await until(() => child.signalCode, 'it to be ended'), 'SIGKILL')
})

await t.test('the queue worker prints its jobs and ends with 0 after --max-time', async (t) => {
  const { code, stdout } = await paste(`${resolve(ROOT, 'scripts/demo-workers/queue-worker')} --max-time=1`)
  t.equal(code, 0)
  t.match(stdout, /\n {2}\d{4}-\d\d-\d\d \d\d:\d\d:\d\d App\\Jobs\\SendMail \.+ RUNNING\n/)
  t.match(stdout, /\n {2}\d{4}-\d\d-\d\d \d\d:\d\d:\d\d App\\Jobs\\SendMail \.+ 0\.3s DONE\n/)
})
