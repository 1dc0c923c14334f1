// What the host itself may do to the agent: files swapped under it, a supervisord that is none, descriptors that run out.
import { execFileSync } from 'node:child_process'
import { readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { createServer, type Socket } from 'node:net'
import { join } from 'node:path'
import t from 'tap'
import { connect } from '../../src/client/index.ts'
import { agentProcess } from '../fixtures/agent-process.ts'
import { supervisord } from '../fixtures/supervisord.ts'
import { usageOf } from '../fixtures/usage.ts'
import { until } from '../fixtures/wait.ts'
import { Attack } from './attack.ts'
import { startTarget } from './target.ts'
import { wordOf } from './wire.ts'

/** More than one frame can name. Of 10 000 supervisord itself needs half a minute to tell. */
const MANY = 2_500
const LONG = 'a-program-whose-name-takes-its-room-in-every-frame'
const HUGE_BYTES = 1024 * 1024 * 1024
const GROWTH_BYTES = 160 * 1024 * 1024

/** What a socket that is not supervisord's may answer. */
const IMPOSTORS: Record<string, (socket: Socket) => void> = {
  garbage: (socket) => void socket.end('\0\u0001garbage\r\n\r\n'),
  'a page of HTML': (socket) =>
    void socket.end('HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 13\r\n\r\n<html></html>'),
  'XML without an end': (socket) =>
    void socket.end('HTTP/1.1 200 OK\r\nContent-Length: 40\r\n\r\n<?xml version="1.0"?><methodResponse><par'),
  'a header without end': (socket) => pour(socket, 'HTTP/1.1 200 OK\r\nX: ', 'a'),
  'a gibibyte': (socket) =>
    pour(socket, `HTTP/1.1 200 OK\r\nContent-Length: ${HUGE_BYTES}\r\n\r\n<?xml version="1.0"?>`, ' '),
  nothing: () => undefined,
}

/** Writes as long as the other side reads. */
function pour(socket: Socket, head: string, filling: string): void {
  const chunk = Buffer.alloc(1024 * 1024, filling)
  const more = () => {
    while (!socket.destroyed && socket.write(chunk));
  }
  socket.write(head)
  socket.on('drain', more)
  more()
}

await t.test('the host is hostile', async (t) => {
  const target = await startTarget(t)
  const { host, agent, tokens } = target
  const attack = new Attack(target, 1)
  t.teardown(() => attack.end())

  await t.test('a token file half written keeps the tokens that there were', async (t) => {
    const path = join(host.folder, 'tokens.json')
    const whole = readFileSync(path, 'utf8')
    writeFileSync(path, whole.slice(0, whole.length / 2))
    await until(() => agent.daemon.stderr().includes('tokens stay as they were'), 'the agent to see it')
    t.equal(await attack.call(tokens.viewer, 'agent.info', {}), 'ok')
    t.equal(await attack.upgrade({ Authorization: `Bearer ${tokens.revoked}` }), '401')
    writeFileSync(path, whole)
    await target.admin.call('token.revoke', { token: 'reader' }, { mutates: true })
    t.equal(
      await attack.upgrade({ Authorization: `Bearer ${tokens.reader}` }),
      '401',
      'what follows is taken',
    )
  })

  await t.test('a log file swapped for a link is not followed', async (t) => {
    const [log, other] = [join(host.logDir, 'web.out'), join(host.folder, 'shadow')]
    writeFileSync(other, 'root:$6$very-secret\n'.repeat(50))
    const wire = await attack.session(tokens.viewer)
    t.equal(await wire.call('log.follow', { select: ['web'], lines: 10 }), 'ok')
    renameSync(log, `${log}.1`)
    symlinkSync(other, log)
    t.equal(await wire.call('log.tail', { process: 'web' }), 'LOG_UNAVAILABLE 1015')
    t.equal(wordOf(await wire.ask('log.follow', { select: ['web'], lines: 10 })), 'ok')
    const clear = await attack.session(tokens.operator)
    const { result } = await clear.ask('log.clear', { select: ['web'], idempotencyKey: attack.key() })
    t.match(result, { results: [{ ok: false }] })
    writeFileSync(other, 'root:$6$very-secret\n'.repeat(60))
    await target.health()
    t.notOk(wire.client.bytes.includes('very-secret'))
    t.ok(readFileSync(other, 'utf8').length > 0, 'nor emptied')
    rmSync(log)
    renameSync(`${log}.1`, log)
  })

  await t.test('two panels that restart one program get an answer each, and it runs once', async (t) => {
    const wires = await Promise.all([attack.session(tokens.admin), attack.session(tokens.operator)])
    const restart = { select: ['web-1'], timeoutMs: 30_000 }
    const words = await Promise.all(
      [...wires, ...wires].map((wire) =>
        wire.call('process.restart', { ...restart, idempotencyKey: attack.key() }),
      ),
    )
    t.same(new Set(words), new Set(['ok']))
    const { processes } = await target.admin.call('process.list', { select: ['web-1'] })
    t.match(processes, [{ state: 'RUNNING' }])
    t.equal(host.children().filter((pid) => pid === processes[0]?.pid).length, 1)
  })

  await t.test(
    'without descriptors sessions live on, and new ones come when there are some again',
    async (t) => {
      const limit = (files: number) =>
        execFileSync('prlimit', ['--pid', String(target.pid), `--nofile=${files}:`])
      const wire = await attack.session(tokens.viewer)
      const most = target.usage().descriptors.length + 4
      limit(most)
      const clients = Array.from({ length: 40 }, () => attack.bytes('GET /healthz HTTP/1.1\r\nHost: a\r\n'))
      await until(() => target.usage().descriptors.length >= most, 'it to run out')
      t.equal(await wire.call('process.list', {}), 'ok')
      t.equal(await wire.call('agent.info', {}), 'ok')
      limit(4096)
      for (const { socket } of clients) socket.destroy()
      await until(async () => (await target.health()) === 200, 'new connections')
      t.equal(await attack.call(tokens.viewer, 'agent.info', {}), 'ok')
      t.ok(target.isAlive())
    },
  )

  for (const [it, answer] of Object.entries(IMPOSTORS))
    await t.test(`a supervisord that answers ${it}`, async (t) => {
      await host.kill('SIGKILL')
      rmSync(host.socket, { force: true })
      const before = target.usage().rssBytes
      const defects = target.defects()
      let asked = 0
      let most = 0
      const server = createServer((socket) => {
        socket.on('error', () => undefined)
        socket.once('data', () => {
          asked++
          answer(socket)
        })
      })
      await new Promise<void>((resolve) => server.listen(host.socket, resolve))
      await until(
        () => {
          most = Math.max(most, target.usage().rssBytes)
          return asked >= 2
        },
        'it to be asked twice',
        60_000,
      )
      const wire = await attack.session(tokens.operator)
      t.equal(await wire.call('process.list', {}), 'ok')
      const start = await wire.call('process.start', { select: ['idle'], idempotencyKey: attack.key() })
      t.match(start, /^(?:SUPERVISOR_UNREACHABLE 1014|TIMEOUT 1004|ok)$/)
      t.equal(await target.health(), 200)
      t.ok(most - before < GROWTH_BYTES, `${Math.round((most - before) / 2 ** 20)} MiB more`)
      server.close()
      rmSync(host.socket, { force: true })
      await host.start()
      const isBack = async () => (await target.admin.call('agent.info', {})).supervisor.reachable
      await until(isBack, 'the real one to be seen', 60_000)
      t.same(target.defects(), defects)
    })
})

await t.test('more processes than a frame can name', async (t) => {
  const many = { numprocs: MANY, process_name: '%(program_name)s_%(process_num)05d', autostart: false }
  const host = await supervisord(t, {
    programs: { [LONG]: { command: 'sleep 3000', stdout_logfile: 'NONE', stderr_logfile: 'NONE', ...many } },
  })
  const agent = await agentProcess(t, host)
  const admin = await connect({ url: `unix://${agent.runDir}/admin.sock`, reconnect: false })
  t.teardown(() => admin.close())
  const isKnown = async () => (await admin.call('agent.info', {})).supervisor.reachable
  await until(isKnown, 'supervisord to be seen', 60_000)
  await t.rejects(admin.call('process.list', {}), { code: 'INVALID_PARAMS', message: /over 1048576 bytes/ })
  const { processes } = await admin.call('process.list', { select: [`${LONG}:*_0199?`] })
  t.equal(processes.length, 10)
  t.equal((await admin.call('agent.info', {})).supervisor.reachable, true)
  t.comment(`${Math.round(usageOf(agent.pid).rssBytes / 2 ** 20)} MiB`)
})
