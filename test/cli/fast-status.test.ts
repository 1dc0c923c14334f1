import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { agentProcess, launch } from '../fixtures/agent-process.ts'
import { noNamespace } from '../fixtures/namespace.ts'
import { supervisord } from '../fixtures/supervisord.ts'
import { until } from '../fixtures/wait.ts'
import { onTerminal } from './terminal.ts'

const LIST = {
  supervisor: { state: 'running' },
  processes: [
    {
      name: 'web\u001b[31m',
      state: 'FATAL',
      pid: null,
      spawnError: 'no \u0007 bell',
      flags: [],
      lastExit: null,
    },
  ],
}

const endings = [
  {
    it: 'a connection that is closed at once',
    answer: null,
    stderr: /closed the connection without an answer/,
  },
  {
    it: 'a connection that is closed after hello',
    answer: '{"method":"hello"}\n',
    stderr: /without an answer/,
  },
  { it: 'an answer that is cut off', answer: '{"id":1,"res', stderr: /without an answer/ },
  { it: 'an answer that is no JSON', answer: 'HTTP/1.1 400 Bad Request\r\n', stderr: /is not the agent/ },
  { it: 'an answer that is null', answer: 'null\n', stderr: /is not the agent/ },
  {
    it: 'an error',
    answer: '{"id":1,"error":{"message":"not \\u001b[31m now"}}\n',
    stderr: /not \^\[\[31m now/,
  },
  {
    it: 'parameters that do not fit',
    answer: '{"id":1,"error":{"message":"select.0: too small","data":{"name":"INVALID_PARAMS"}}}\n',
    stderr: /select.0: too small/,
    code: 2,
  },
]
// it waits while the others go on
const mute = await answering(t, 'silence')
const unanswered = Promise.all([
  launch(['--socket', mute, 'status']).outcome,
  launch(['--socket', mute, 'info']).outcome,
])

for (const { it, answer, stderr, code = 4 } of endings)
  await t.test(`status says so and exits ${code} at ${it}`, async (t) => {
    const socket = await answering(t, answer)
    t.match(await launch(['--socket', socket, 'status']).outcome, { code, stdout: '', stderr })
    const json = await launch(['--socket', socket, 'status', '--json']).outcome
    t.match(json, { code, stderr })
    t.type((JSON.parse(json.stdout) as { error: { message: string } }).error.message, 'string')
  })

await t.test('with --json a lost way to the agent is an object, however it is asked', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'sa-fast-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  const tokenFile = join(folder, 'token')
  writeFileSync(tokenFile, 'agt_none')
  for (const command of [
    ['--socket', join(folder, 'none.sock'), 'status'],
    ['--socket', join(folder, 'none.sock'), 'info'],
    ['--url', 'ws://127.0.0.1:1/ws', '--token-file', tokenFile, 'info'],
  ]) {
    const { code, stdout } = await launch([...command, '--json']).outcome
    t.equal(code, 4)
    t.match(JSON.parse(stdout), {
      error: { code: 1014, data: { name: 'SUPERVISOR_UNREACHABLE', retry: true } },
    })
  }
})

await t.test(
  'status looks where the config puts the sockets, however that is written',
  { skip: noNamespace() },
  async (t) => {
    const withConfig =
      'mount -t tmpfs tmpfs /etc && mkdir /etc/supervisor-agent && printf "$0" > /etc/supervisor-agent/config.yaml && exec "$@"'
    for (const config of ['listen: { port: 0, runDir: /nowhere/run }', 'listen:\n  runDir: /nowhere/run\n'])
      t.match(
        await launch(['status'], { under: ['unshare', '-rm', 'sh', '-c', withConfig, config] }).outcome,
        {
          code: 4,
          stderr: /no agent answers on \/nowhere\/run\//,
        },
      )
  },
)

await t.test('states that are old are said to be, however they are asked for', async (t) => {
  const slow = { command: 'sleep 300', autostart: false, startsecs: 60 }
  const host = await supervisord(t, { programs: { web: { command: 'sleep 300' }, slow } })
  const agent = await agentProcess(t, host)
  const fast = () => launch(['--socket', join(agent.runDir, 'admin.sock'), 'status']).outcome
  await t.test('first, Ctrl-C ends a wait and not what was begun', async (t) => {
    const starting = launch(['--config', agent.configFile, '--json', 'start', 'slow'])
    await until(async () => /slow +STARTING/.test((await fast()).stdout), 'the start')
    starting.child.kill('SIGINT')
    const { code, stdout, stderr } = await starting.outcome
    t.match({ code, stderr }, { code: 1, stderr: 'agent: cancelled; what was begun goes on\n' })
    t.match(JSON.parse(stdout), { error: { data: { name: 'CANCELLED' } } })
    t.match((await fast()).stdout, /slow +STARTING/)
  })
  await host.kill('SIGKILL')
  const stderr = /^agent: supervisord is unreachable: .*nobody listens there/
  await until(async () => stderr.test((await fast()).stderr), 'the agent to know')
  t.match(await agent.run('status'), { code: 4, stdout: /^web +/m, stderr })
  t.match(await agent.run('status', '-q'), { code: 4, stderr: '' })
})

await t.test('names and errors of others are raw in a pipe and harmless on a terminal', async (t) => {
  const socket = await answering(t, `${JSON.stringify({ id: 1, result: LIST })}\n`)
  const args = ['--socket', socket, 'status']
  t.match((await launch(args).outcome).stdout, 'web\u001b[31m')
  const seen = await onTerminal(args)
  t.match(seen.stdout, /web\^\[\[31m .*no \^G bell/)
  t.notMatch(seen.stdout, '\u001b[31m')
})

await t.test('an agent that hangs is said to, within ten seconds', async (t) => {
  const [status, info] = await unanswered
  t.match(status, { code: 4, stdout: '', stderr: /no answer within 10 s: .*stopped or overloaded/ })
  t.match(info, { code: 4, stdout: '', stderr: /no hello within 10 s: .*stopped or overloaded/ })
})

/** A socket that answers each connection with that text and closes it, or says nothing at all. */
async function answering(t: { teardown(task: () => unknown): void }, text: string | null): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), 'sa-fast-'))
  const server = createServer((socket) => {
    if (text === null) socket.destroy()
    else if (text === 'silence') socket.resume()
    else socket.once('data', () => socket.end(text))
  })
  const path = join(folder, 'agent.sock')
  await new Promise<void>((resolve) => server.listen(path, resolve))
  t.teardown(() => {
    server.close()
    rmSync(folder, { recursive: true, force: true })
  })
  return path
}
