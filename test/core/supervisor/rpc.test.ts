import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type Server, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import xmlrpc from 'xmlrpc'
import { AnswerScanner } from '../../../src/core/supervisor/answer-scanner.ts'
import { decodeAnswer, encodeCall } from '../../../src/core/supervisor/codec.ts'
import { SupervisorRpc } from '../../../src/core/supervisor/rpc.ts'
import { AgentError } from '../../../src/protocol/errors.ts'
import { supervisord } from '../../fixtures/supervisord.ts'
import { until } from '../../fixtures/wait.ts'

const NO_LOGIN = { username: '', password: '' }
/** Closes its own element after the one `]]>` that the serializer escapes, and opens another call. */
const ATTACK =
  '<]]>]]></string></value></param></params><methodName>supervisor.getProcessInfo</methodName>' +
  '<params><param><value><string><![CDATA[off'

await t.test('another supervisord at the same socket is the one that is asked', async (t) => {
  const first = await supervisord(t)
  const second = await supervisord(t)
  const rpc = new SupervisorRpc({ url: first.url, ...NO_LOGIN })
  t.teardown(() => rpc.close())
  t.equal(await rpc.call('supervisor.getPID'), first.pid)
  renameSync(first.socket, `${first.socket}.old`)
  t.equal(await rpc.call('supervisor.getPID'), first.pid, 'without a socket a kept connection still serves')
  renameSync(second.socket, first.socket)
  t.equal(await rpc.call('supervisor.getPID'), second.pid)
})

await t.test('calls to a real supervisord', async (t) => {
  const host = await supervisord(t, {
    programs: { cat: { command: 'cat' }, off: { command: 'sleep 60', autostart: false } },
  })
  const rpc = new SupervisorRpc({ url: host.url, ...NO_LOGIN })
  t.teardown(() => rpc.close())

  await t.test('answers come back with their types', async (t) => {
    t.equal(await rpc.call('supervisor.getIdentification'), 'supervisor')
    t.equal(await rpc.call('supervisor.getPID'), host.pid)
    t.same(await rpc.call('supervisor.getState'), { statecode: 1, statename: 'RUNNING' })
  })

  await t.test(
    'trap 1: text that closes its element and names another method works against the plain library',
    async (t) => {
      const client = xmlrpc.createClient({ socketPath: host.socket, path: '/RPC2' } as object)
      const answer = await new Promise((resolve) =>
        client.methodCall('supervisor.sendProcessStdin', ['cat', ATTACK], (error: unknown, value: unknown) =>
          resolve(error ?? value),
        ),
      )
      t.match(
        answer,
        { name: 'off', statename: 'STOPPED' },
        'supervisord ran getProcessInfo in place of sendProcessStdin',
      )
    },
  )

  const hostile = [
    ATTACK,
    '<',
    '&',
    'a]]>b',
    'a b',
    'a\nb',
    'a\tb',
    '\u0003',
    '\u001b[2J',
    '\ud800',
    'x'.repeat(256),
  ]
  for (const text of hostile)
    await t.test(`traps 1 and 19: refuses ${JSON.stringify(text.slice(0, 24))} as a name`, async (t) => {
      await t.rejects(rpc.call('supervisor.startProcess', [text, false]), { code: 'INVALID_PARAMS' })
      t.throws(() => encodeCall('supervisor.startProcess', [text]), { code: 'INVALID_PARAMS' })
      await t.rejects(rpc.batch([{ method: 'supervisor.getProcessInfo', params: [text] }]), {
        code: 'INVALID_PARAMS',
      })
    })

  await t.test('trap 1: the same text to stdin travels as base64 and arrives as it is', async (t) => {
    await until(
      async () => ((await rpc.call('supervisor.getProcessInfo', ['cat'])) as { state: number }).state === 20,
    )
    const text = `${ATTACK}\u001b[31m & <tag> \u{1f600}\n`
    t.equal(await rpc.call('supervisor.sendProcessStdin', ['cat', Buffer.from(text)]), true)
    const path = `${host.logDir}/cat.out`
    const { readFileSync } = await import('node:fs')
    t.equal(await until(() => readFileSync(path, 'utf8'), 'what cat wrote'), text)
  })

  const faults = [
    { method: 'supervisor.startProcess', params: ['nobody', false], fault: 'BAD_NAME' },
    { method: 'supervisor.startProcess', params: ['cat', false], fault: 'ALREADY_STARTED' },
    { method: 'supervisor.stopProcess', params: ['off', false], fault: 'NOT_RUNNING' },
    { method: 'supervisor.signalProcess', params: ['cat', 'NOSUCH'], fault: 'BAD_SIGNAL' },
    { method: 'supervisor.addProcessGroup', params: ['cat'], fault: 'ALREADY_ADDED' },
    { method: 'supervisor.removeProcessGroup', params: ['cat'], fault: 'STILL_RUNNING' },
    { method: 'supervisor.noSuchThing', params: [], fault: 'UNKNOWN_METHOD' },
    { method: 'supervisor.getPID', params: ['too', 'many'], fault: 'INCORRECT_PARAMETERS' },
  ] as const
  for (const { method, params, fault } of faults)
    await t.test(`${method}(${params.join(', ')}) is the fault ${fault}`, async (t) => {
      await t.rejects(rpc.call(method, params), { code: 'SUPERVISOR_FAULT', facts: { fault } })
    })

  await t.test('the own scanner and the package read the same from a real answer', async (t) => {
    const whole = await rpc.call('supervisor.getAllProcessInfo')
    const [scanned] = await rpc.batch([{ method: 'supervisor.getAllProcessInfo', params: [] }])
    const strip = (list: unknown) => (list as { now: number }[]).map(({ now: _now, ...rest }) => rest)
    t.same(strip(scanned), strip(whole))
    const calls = ['supervisor.getAllProcessInfo', 'supervisor.gone'].map((method) => ({
      method,
      params: [],
    }))
    const some = await rpc.batch(calls, { members: ['name', 'pid', 'statename'] })
    const rows = whole as { name: string; pid: number; statename: string }[]
    t.same(
      some[0],
      rows.map(({ name, pid, statename }) => ({ name, pid, statename })),
      'those wanted alone',
    )
    t.match(some[1], { faultCode: 1, faultString: /UNKNOWN_METHOD/ }, 'a fault tells all it has')
  })

  await t.test('an item of a batch that fails says so without failing the others', async (t) => {
    const answers = await rpc.batch([
      { method: 'supervisor.getProcessInfo', params: ['nobody'] },
      { method: 'supervisor.getPID', params: [] },
    ])
    t.match(answers, [{ faultCode: 10 }, host.pid])
  })

  await t.test('a signal that aborts ends the call with its reason', async (t) => {
    const abort = AbortSignal.abort(new Error('enough'))
    await t.rejects(rpc.call('supervisor.getPID', [], { signal: abort }), { message: 'enough' })
  })

  await t.test(
    'trap 17: a stopped supervisord ends the call at its deadline, and answers again when it goes on',
    async (t) => {
      await host.kill('SIGSTOP')
      t.teardown(() => host.kill('SIGCONT'))
      await t.rejects(rpc.call('supervisor.getPID', [], { deadlineMs: 200 }), {
        code: 'SUPERVISOR_UNREACHABLE',
        facts: { reason: 'hung' },
      })
      await host.kill('SIGCONT')
      t.equal(await rpc.call('supervisor.getPID'), host.pid)
    },
  )

  await t.test(
    'a kept connection that died with the old supervisord is replaced, once and for reads alone',
    async (t) => {
      await rpc.call('supervisor.getPID')
      await host.kill('SIGKILL')
      await host.start()
      t.equal(await rpc.call('supervisor.getPID'), host.pid)
    },
  )

  await t.test('killed in the middle of a call', async (t) => {
    await host.kill('SIGSTOP')
    const call = rpc.call('supervisor.getState', [], { deadlineMs: 10_000 })
    const failed = t.rejects(call, { code: 'SUPERVISOR_UNREACHABLE' })
    await host.kill('SIGKILL')
    await failed
    await t.rejects(rpc.call('supervisor.getPID'), {
      code: 'SUPERVISOR_UNREACHABLE',
      facts: { reason: 'refused' },
      message: /ended without removing its socket/,
    })
  })
})

await t.test('logins', async (t) => {
  const login = { username: 'user', password: 'p:%ss:w' }
  const port = 20_000 + (process.pid % 10_000)
  const host = await supervisord(t, { auth: login, port })
  for (const url of [host.url, `http://127.0.0.1:${port}`]) {
    await t.test(`${url.slice(0, 7)}: the right one`, async (t) => {
      const rpc = new SupervisorRpc({ url, ...login })
      t.teardown(() => rpc.close())
      t.equal(await rpc.call('supervisor.getPID'), host.pid)
    })
    await t.test(`${url.slice(0, 7)}: trap 18: none is a matter of login, not of XML`, async (t) => {
      const rpc = new SupervisorRpc({ url, ...NO_LOGIN })
      t.teardown(() => rpc.close())
      await t.rejects(rpc.call('supervisor.getPID'), {
        code: 'SUPERVISOR_UNREACHABLE',
        facts: { reason: 'login' },
        message: /supervisor.username/,
      })
    })
  }
})

await t.test('places where no supervisord answers', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'sa-'))
  t.teardown(() => rmSync(folder, { recursive: true }))
  writeFileSync(join(folder, 'file'), '')
  const cases = [
    { path: join(folder, 'none.sock'), reason: 'missing' },
    { path: join(folder, 'file'), reason: 'refused' },
    { path: join(folder, 'file', 'below.sock'), reason: 'missing' },
    { path: join(folder, 'x'.repeat(120)), reason: 'missing' },
  ]
  for (const { path, reason } of cases)
    await t.test(`${path.slice(-20)} is ${reason}`, async (t) => {
      const rpc = new SupervisorRpc({ url: `unix://${path}`, ...NO_LOGIN })
      t.teardown(() => rpc.close())
      await t.rejects(rpc.call('supervisor.getPID'), { code: 'SUPERVISOR_UNREACHABLE', facts: { reason } })
    })
})

const OK = 'HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\n'
const answer = (body: string, length = body.length) => `${OK}Content-Length: ${length}\r\n\r\n${body}`

/** What a real supervisord does not do on request. */
const BROKEN: { it: string; reply: (socket: Socket) => void; reason: string }[] = [
  { it: 'not HTTP', reply: (socket) => socket.write('garbage\r\n\r\n'), reason: 'garbage' },
  {
    it: 'an HTML page',
    reply: (socket) => socket.write(answer('<html><title>hi</title></html>')),
    reason: 'garbage',
  },
  { it: 'an empty body', reply: (socket) => socket.write(answer('')), reason: 'garbage' },
  {
    it: 'an empty fault, which throws inside the package',
    reply: (socket) => socket.write(answer('<?xml version="1.0"?><methodResponse><fault/></methodResponse>')),
    reason: 'garbage',
  },
  {
    it: 'half an answer and an end',
    reply: (socket) => socket.end(answer('<?xml version="1.0"?><methodResponse><params>', 500)),
    reason: 'broken-off',
  },
  {
    it: 'half an answer and silence',
    reply: (socket) => socket.write(answer('<?xml version="1.0"?><methodResponse><params>', 500)),
    reason: 'hung',
  },
  { it: 'silence', reply: () => undefined, reason: 'hung' },
  { it: 'an end without a word', reply: (socket) => socket.end(), reason: 'broken-off' },
  {
    it: '50 MB',
    reply: (socket) => {
      socket.write(`${OK}\r\n<methodResponse>`)
      const block = Buffer.alloc(1024 * 1024, 'x')
      for (let i = 0; i < 50; i++) socket.write(block)
      socket.end()
    },
    reason: 'garbage',
  },
  {
    it: '404',
    reply: (socket) => socket.write('HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n'),
    reason: 'garbage',
  },
]

await t.test('answers that are not supervisord’s', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'sa-'))
  t.teardown(() => rmSync(folder, { recursive: true }))
  for (const [index, { it, reply, reason }] of BROKEN.entries())
    await t.test(`${it}: ${reason}`, async (t) => {
      const path = join(folder, `${index}.sock`)
      const server = await listen(path, reply)
      const rpc = new SupervisorRpc({ url: `unix://${path}`, ...NO_LOGIN })
      t.teardown(() => {
        rpc.close()
        server.close()
      })
      const before = process.memoryUsage().rss
      const deadlineMs = reason === 'hung' ? 700 : 20_000
      for (const call of [
        () => rpc.call('supervisor.getPID', [], { deadlineMs }),
        () => rpc.batch([{ method: 'supervisor.getPID', params: [] }], { deadlineMs }),
      ])
        await t.rejects(call(), { code: 'SUPERVISOR_UNREACHABLE', facts: { reason } })
      t.ok(process.memoryUsage().rss - before < 200 * 1024 * 1024)
    })

  await t.test('500 is a fault of that one call, not the end of the connection', async (t) => {
    const path = join(folder, '500.sock')
    const server = await listen(path, (socket) =>
      socket.write('HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n'),
    )
    const rpc = new SupervisorRpc({ url: `unix://${path}`, ...NO_LOGIN })
    t.teardown(() => {
      rpc.close()
      server.close()
    })
    await t.rejects(rpc.call('supervisor.getPID'), { code: 'SUPERVISOR_FAULT', facts: { fault: 'FAILED' } })
  })
})

await t.test('decoding', (t) => {
  const wrap = (value: string) =>
    `<?xml version='1.0'?><methodResponse><params><param>${value}</param></params></methodResponse>`
  const cases = [
    { xml: '<value><int>-5</int></value>', is: -5 },
    { xml: '<value><boolean>1</boolean></value>', is: true },
    { xml: '<value><string>a &lt;b&gt; &amp;amp; \u001b[0m</string></value>', is: 'a <b> &amp; \u001b[0m' },
    { xml: '<value>bare</value>', is: 'bare' },
    { xml: '<value><string></string></value>', is: '' },
    { xml: '<value><array><data></data></array></value>', is: [] },
    {
      xml: '<value><struct><member><name>a</name><value><array><data><value><int>1</int></value></data></array></value></member></struct></value>',
      is: { a: [1] },
    },
    { xml: '<value><int>9007199254740993</int></value>', is: Number('9007199254740993') },
    { xml: '<value><double>-1.5</double></value>', is: -1.5 },
  ]
  for (const { xml, is } of cases) {
    const whole = Buffer.from(wrap(xml))
    t.same(scan(whole), is, xml)
    const pieces = [...whole].map((_, at) => [whole.subarray(0, at), whole.subarray(at)])
    const wrong = [...pieces, [...whole].map((byte) => Buffer.of(byte))].filter(
      (cut) => JSON.stringify(scan(...cut)) !== JSON.stringify(is),
    )
    t.same(wrong, [], `${xml}, cut anywhere`)
    t.same(decodeAnswer(Buffer.from(wrap(xml))), is, `package: ${xml}`)
  }
  const part = (name: string, value: string) => `<member><name>${name}</name><value>${value}</value></member>`
  const within = `<array><data><value><struct>${part('a', '<int>2</int>')}${part('c', 'x')}</struct></value></data></array>`
  const members = `${part('a', '<int>1</int>')}${part('b', within)}${part('c', 'no')}${part('d', '<string>yes</string>')}`
  const whole = [...Buffer.from(wrap(`<value><struct>${members}</struct></value>`))]
  const wrong = whole.filter(
    (_, at) =>
      JSON.stringify(scanWith(['a', 'd'], Buffer.from(whole.slice(0, at)), Buffer.from(whole.slice(at)))) !==
      '{"a":1,"d":"yes"}',
  )
  t.same(wrong, [], 'members that are not wanted are left out, with all within them')
  for (const xml of ['', '<methodResponse>', wrap('<value><array><data>'), wrap('')])
    t.throws(() => scan(Buffer.from(xml)), AgentError, `not an answer: ${xml}`)
  const proto = scan(
    Buffer.from(
      wrap(
        '<value><struct><member><name>__proto__</name><value><int>1</int></value></member></struct></value>',
      ),
    ),
  ) as object
  t.equal(({} as { polluted?: unknown }).polluted, undefined)
  t.ok(Object.hasOwn(proto, '__proto__'), 'a member called __proto__ is a member like others')
  t.end()
})

function scan(...pieces: Buffer[]): unknown {
  return scanWith(undefined, ...pieces)
}

function scanWith(members: readonly string[] | undefined, ...pieces: Buffer[]): unknown {
  const scanner = new AnswerScanner(members)
  for (const piece of pieces) scanner.take(piece)
  return scanner.value()
}

function listen(path: string, reply: (socket: Socket) => void): Promise<Server> {
  return new Promise((resolve) => {
    const server = createServer((socket) => {
      socket.on('error', () => undefined)
      socket.on('data', () => reply(socket)) // a request comes in one piece here
    })
    server.listen(path, () => resolve(server))
  })
}
