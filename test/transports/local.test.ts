import { once } from 'node:events'
import { chown, rename, stat, symlink, unlink, writeFile } from 'node:fs/promises'
import { connect, createServer, type Socket } from 'node:net'
import { dirname, join } from 'node:path'
import t from 'tap'
import { connect as connectClient } from '../../src/client/index.ts'
import { withFileLock } from '../../src/core/access/file-lock.ts'
import { LOCAL_ADMIN } from '../../src/core/access/local-principals.ts'
import type { Principal } from '../../src/core/access/principal.ts'
import { createLogger } from '../../src/logger.ts'
import { LocalTransport } from '../../src/transports/local.ts'
import { until } from '../fixtures/wait.ts'
import { parts } from '../server/support.ts'
import { echoes, folder } from './support.ts'

const principal: Principal = {
  actor: 'local:admin',
  id: 'local:admin',
  scopes: new Set(['read']),
  programs: ['*'],
  users: ['*'],
  isAbovePolicy: true,
  isRemote: false,
}
const logger = createLogger('silent')

type Options = Partial<ConstructorParameters<typeof LocalTransport>[0]>

async function unstarted(t: Parameters<typeof folder>[0], options: Options = {}) {
  const path = options.path ?? join(await folder(t), 'a.sock')
  const { sessions, open } = echoes()
  const transport = new LocalTransport({ path, mode: 0o600, principal, open, logger, ...options })
  t.teardown(() => transport.stop())
  return { path, sessions, transport }
}

async function serving(t: Parameters<typeof folder>[0], options: Options = {}) {
  const made = await unstarted(t, options)
  await made.transport.start()
  return made
}

/** A connection and all it was sent. */
async function client(
  t: Parameters<typeof folder>[0],
  path: string,
  options: { allowHalfOpen?: boolean } = {},
) {
  const socket: Socket = connect({ path, ...options })
  let text = ''
  socket.on('data', (chunk) => {
    text += chunk.toString('latin1')
  })
  socket.on('error', () => undefined)
  t.teardown(() => socket.destroy())
  const ended = new Promise<void>((resolve) => socket.once('close', () => resolve()))
  await once(socket, 'connect')
  return { socket, ended, lines: () => text.split('\n').slice(0, -1), text: () => text }
}

await t.test('each line is a frame, both ways', async (t) => {
  const { path, sessions } = await serving(t)
  const { socket, lines } = await client(t, path)
  socket.write('{"a":1}\n{"b":2}\n\n{"c":')
  socket.write('"ä"}\n')
  await until(() => lines().length === 4)
  t.strictSame(sessions[0]?.received, ['{"a":1}', '{"b":2}', '{"c":"ä"}'])
  t.strictSame(lines().slice(0, 3), ['hello', '{"a":1}', '{"b":2}'])
  t.equal(sessions[0]?.principal, principal)
  t.equal(sessions[0]?.link.remote, path)
})

await t.test('lines are the same however the bytes come', async (t) => {
  const { path, sessions } = await serving(t, { limits: { frameInBytes: 64 } })
  const { socket } = await client(t, path)
  const texts = ['€'.repeat(20), 'a', 'x'.repeat(64), '{}']
  const bytes = Buffer.from(`${texts.join('\n')}\n`)
  for (const size of [1, 3, 64, 1000])
    for (let at = 0; at < bytes.length; at += size) {
      socket.write(bytes.subarray(at, at + size))
      await new Promise((resolve) => setImmediate(resolve))
    }
  await until(() => sessions[0]?.received.length === 16)
  t.strictSame(sessions[0]?.received, [...texts, ...texts, ...texts, ...texts])
})

const cut = [
  { it: 'a line of one byte too many', bytes: `${'x'.repeat(65)}\n` },
  { it: 'a line without end', bytes: 'x'.repeat(65) },
  { it: 'bytes that are not UTF-8', bytes: Buffer.from('c3280a', 'hex') },
  { it: 'a surrogate', bytes: Buffer.from('eda0800a', 'hex') },
]
for (const { it, bytes } of cut)
  await t.test(`${it} ends the connection; what came before was delivered, nothing after`, async (t) => {
    const { path, sessions } = await serving(t, { limits: { frameInBytes: 64 } })
    const { socket, ended, lines } = await client(t, path)
    socket.write(Buffer.concat([Buffer.from('before\n'), Buffer.from(bytes), Buffer.from('\nafter\n')]))
    await ended
    await until(() => sessions[0]?.closed === 1)
    t.strictSame(sessions[0]?.received, ['before'])
    t.notOk(lines().includes('after'))
  })

for (const mode of [0o600, 0o660])
  await t.test(`the socket has mode 0${mode.toString(8)}, whatever the umask, and never more`, async (t) => {
    const before = process.umask(0)
    t.teardown(() => process.umask(before))
    const { path, transport } = await unstarted(t, { mode })
    const seen = new Set<number>()
    const watch = async () => {
      while (!seen.has(mode)) {
        const { mode: bits } = await stat(path).catch(() => ({ mode: 0 }))
        seen.add(bits & 0o777)
      }
    }
    await Promise.all([watch(), transport.start()])
    t.equal((await stat(path)).mode & 0o777, mode)
    t.strictSame(
      [...seen].filter((bits) => (bits & ~mode) !== 0),
      [],
    )
    t.equal(process.umask(), 0, 'the umask is as it was')
  })

await t.test(
  'the socket belongs to the group',
  { skip: process.getuid?.() !== 0 && 'needs root' },
  async (t) => {
    const { path } = await serving(t, { mode: 0o660, gid: 65534 })
    const { uid, gid, mode } = await stat(path)
    t.strictSame([uid, gid, mode & 0o777], [0, 65534, 0o660])
  },
)

await t.test(
  'an agent that may not give the socket to the group keeps it, and says so',
  { skip: process.getuid?.() !== 0 && 'needs root' },
  async (t) => {
    const path = join(await folder(t), 'a.sock')
    await chown(dirname(path), 65534, 65534)
    const lines: string[] = []
    const warned = createLogger('warn', { write: (line) => void lines.push(line) })
    const { transport } = await unstarted(t, { path, mode: 0o660, gid: 12345, logger: warned })
    process.seteuid?.(65534)
    try {
      await transport.start()
    } finally {
      process.seteuid?.(0)
    }
    const { uid, gid, mode } = await stat(path)
    t.strictSame([uid, gid, mode & 0o777], [65534, process.getgid?.(), 0o660])
    t.match(lines, [/stays with the own group/])
    const { lines: sent } = await client(t, path)
    await until(() => sent()[0] === 'hello')
  },
)

await t.test('a socket that a dead agent left behind is replaced', async (t) => {
  const path = join(await folder(t), 'a.sock')
  const dead = createServer().listen(path)
  await once(dead, 'listening')
  await rename(path, `${path}.kept`) // closing removes the path, not the socket under its new name
  dead.close()
  await once(dead, 'close')
  await rename(`${path}.kept`, path)
  t.ok((await stat(path)).isSocket())
  await serving(t, { path })
  const { lines } = await client(t, path)
  await until(() => lines()[0] === 'hello')
})

await t.test('a socket on which an agent answers is left alone', async (t) => {
  const { path } = await serving(t)
  const { transport } = await unstarted(t, { path })
  await t.rejects(transport.start(), /another agent runs/)
  const { lines } = await client(t, path)
  await until(() => lines()[0] === 'hello')
})

await t.test('what is not a socket is left alone', async (t) => {
  const path = join(await folder(t), 'a.sock')
  await writeFile(path, 'precious')
  const { transport } = await unstarted(t, { path })
  await t.rejects(transport.start(), /not a socket/)
  await unlink(path)
  await symlink('/nowhere', path)
  await t.rejects((await unstarted(t, { path })).transport.start(), /not a socket/)
})

await t.test('bytes that nobody reads are counted, and their going is told', async (t) => {
  const { path, sessions } = await serving(t)
  const { socket, text } = await client(t, path)
  await until(() => sessions[0])
  socket.pause()
  const [session] = sessions
  for (let i = 0; i < 8; i++) session?.link.send(Buffer.alloc(1 << 20, 'a'))
  t.ok((session?.link.bufferedBytes() ?? 0) > 4 << 20)
  t.equal(session?.drained, 0)
  socket.resume()
  await until(() => session?.drained === 1)
  t.equal(session?.link.bufferedBytes(), 0)
  await until(() => text().length === 'hello\n'.length + 8 * ((1 << 20) + 1), 'all of it')
})

await t.test(
  'what a slow reader takes of one large write is seen before the write is complete',
  async (t) => {
    const { path, sessions } = await serving(t)
    const { socket } = await client(t, path)
    await until(() => sessions[0])
    socket.pause()
    const [session] = sessions
    for (let i = 0; i < 32; i++) session?.link.send(Buffer.alloc(1 << 18, 'a'))
    const taken = () => session?.link.takenBytes() ?? 0
    const before = taken()
    t.ok(before < 4 << 20, `${before} bytes are with the kernel`)
    socket.on('data', () => taken() > before && socket.pause()).resume()
    await until(() => taken() > before, 'more to be taken')
    t.ok(taken() < 8 << 20)
    t.ok((session?.link.bufferedBytes() ?? 0) > 0)
    t.equal(session?.drained, 0)
  },
)

await t.test(
  'close delivers what was sent, then ends; terminate ends a peer that does not read',
  async (t) => {
    const { path, sessions } = await serving(t)
    const polite = await client(t, path)
    await until(() => sessions.length === 1)
    sessions[0]?.link.send(Buffer.alloc(1 << 20, 'a'))
    sessions[0]?.link.close(1012, 'restarting')
    sessions[0]?.link.send(Buffer.from('late'))
    await polite.ended
    t.strictSame(
      polite.lines().map(({ length }) => length),
      [5, 1 << 20],
    )

    const deaf = await client(t, path)
    deaf.socket.pause()
    await until(() => sessions.length === 2)
    for (let i = 0; i < 8; i++) sessions[1]?.link.send(Buffer.alloc(1 << 20, 'a'))
    sessions[1]?.link.terminate()
    await until(() => sessions.every(({ closed }) => closed === 1))
  },
)

await t.test('a peer that says no more', async (t) => {
  await t.test('is told to the session, behind all that it said', async (t) => {
    const { path, sessions, transport } = await serving(t)
    const { socket, ended, lines } = await client(t, path, { allowHalfOpen: true })
    socket.end('{"a":1}\n{"b":2}\n')
    await ended
    t.strictSame(lines(), ['hello', '{"a":1}', '{"b":2}'])
    t.match(sessions, [{ received: ['{"a":1}', '{"b":2}'], inputEnded: 1, closed: 1 }])
    t.equal(transport.sessions, 0)
  })

  const made = await parts(t)
  const create = (name: string) =>
    `{"jsonrpc":"2.0","id":"${name}","method":"token.create","params":{"name":"${name}","role":"viewer"}}\n`
  const { path } = await serving(t, {
    principal: LOCAL_ADMIN,
    open: (link, who) => made.sessions.open(link, who),
  })
  /** Runs a task while no token can be made. */
  const whileHeld = <T>(task: () => Promise<T>) => withFileLock(`${made.tokensFile}.lock`, task)

  await t.test('gets the answers under way, then the end', async (t) => {
    const { socket, ended, lines, text } = await client(t, path, { allowHalfOpen: true })
    await whileHeld(async () => {
      socket.end(create('first') + create('second'))
      await until(() => text().endsWith(' ') || socket.readableEnded, 'the agent to see it')
    })
    await ended
    t.strictSame(
      lines().map((line) => (JSON.parse(line) as { id?: string }).id),
      [undefined, 'first', 'second'],
    )
    t.equal(made.sessions.count, 0)
  })

  await t.test('because it has gone ends with its session, whatever is under way', async (t) => {
    const { socket, lines } = await client(t, path)
    await until(() => lines().length === 1)
    await whileHeld(async () => {
      socket.write(create('third'))
      socket.destroySoon()
      await until(() => made.sessions.count === 0, 'the end of its session')
    })
    await until(() => made.store.list().length === 3, 'what was begun to go on')
  })

  await t.test('is no client of ours that closes: it does not wait for answers', async (t) => {
    const opened = await connectClient({ url: `unix://${path}`, reconnect: false })
    await whileHeld(async () => {
      const call = opened.call('token.create', { name: 'fourth', role: 'viewer' }, { mutates: true })
      call.catch(() => undefined)
      await opened.call('agent.info', {})
      await opened.close()
      await until(() => made.sessions.count === 0, 'the end of its session')
      await t.rejects(call)
    })
    await until(() => made.store.list().length === 4, 'what was begun to go on')
  })
})

await t.test('a session that throws ends alone', async (t) => {
  const { path, sessions, transport } = await serving(t)
  const [first, second] = [await client(t, path), await client(t, path)]
  await until(() => sessions.length === 2)
  first.socket.write('throw\nafter\n')
  await first.ended
  second.socket.write('fine\n')
  await until(() => second.lines().includes('fine'))
  t.strictSame(sessions[0]?.received, ['throw'])
  t.equal(transport.sessions, 1)
})

await t.test('connections over the limit are not served', async (t) => {
  const { path, sessions } = await serving(t, { limits: { connections: 2 } })
  const clients = [await client(t, path), await client(t, path), await client(t, path)]
  await clients[2]?.ended
  t.equal(sessions.length, 2)
})

await t.test(
  'stop ends every session, also of a peer that does not read, and removes the socket',
  async (t) => {
    const { path, sessions, transport } = await serving(t)
    const polite = await client(t, path)
    const deaf = await client(t, path)
    deaf.socket.pause()
    await until(() => sessions.length === 2)
    for (let i = 0; i < 8; i++) sessions[1]?.link.send(Buffer.alloc(1 << 20, 'a'))
    const started = performance.now()
    await transport.stop()
    t.ok(performance.now() - started < 1800)
    await polite.ended
    t.ok(sessions.every(({ closed }) => closed === 1))
    await t.rejects(stat(path), { code: 'ENOENT' })
  },
)

await t.test('a missing folder is told', async (t) => {
  const { transport } = await unstarted(t, { path: join(await folder(t), 'missing', 'a.sock') })
  await t.rejects(transport.start(), { code: /EACCES|ENOENT/ })
})
