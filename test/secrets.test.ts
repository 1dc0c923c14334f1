// Secrets with a mark on them are put wherever there is a place for one; then all that the agent produced is searched
// for the marks: its log at its most talkative, answers, events, metrics, files, command lines, the command's output.
import { randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { connect } from '../src/client/index.ts'
import { makeCertificate } from '../src/core/host/certificate.ts'
import { METHODS } from '../src/methods/index.ts'
import { formatToken } from '../src/protocol/token.ts'
import { AgentProcess, launch } from './fixtures/agent-process.ts'
import { startPanel } from './fixtures/panel.ts'
import { supervisord } from './fixtures/supervisord.ts'
import { until } from './fixtures/wait.ts'
import { mark, Search } from './hostile/search.ts'
import { programWithSecrets, refusedWithSecrets } from './hostile/secret-calls.ts'
import { Wire } from './hostile/wire.ts'
import { answered, bearer, frame, raw, upgradeRequest } from './transports/support.ts'

const PROTOCOL = 'Sec-WebSocket-Protocol'
const ROLES = {
  admin: ['read', 'logs', 'control', 'program', 'cron', 'admin'],
  viewer: ['read', 'logs'],
  reader: ['read'],
} as const

/** The records of calls and of their keys, and who may read them. */
const AUDIT = /audit|^state: |^the session of admin$/
/** The panel shows a join token to whoever runs it. */
const PANEL = /^what the panel said$/
const NAME = 'test-host'
/** A token of the right form that nobody gave out. */
const forged = () => formatToken('0123456789', randomBytes(22).toString('hex').slice(0, 43))

await t.test('no secret is in anything that the agent produces', async (t) => {
  const search = new Search()
  const logged = mark()
  const password = search.plant('supervisor.password')
  const variable = search.plant('the environment of a program')
  const host = await supervisord(t, {
    auth: { username: 'agent', password },
    programs: {
      web: { command: 'sleep 3000', environment: `DB_PASSWORD="${variable}"` },
      console: { command: 'cat', stdout_logfile: 'NONE' },
      crash: {
        command: `/bin/sh -c "echo ${logged}; sleep 1; exit 7"`,
        autostart: false,
        autorestart: false,
        startsecs: 0,
      },
    },
  })
  const panel = await startPanel(t, null)
  const [credential, joinFile] = [join(host.folder, 'panel.json'), join(host.folder, 'join')]
  writeFileSync(joinFile, `agj_${search.plant('a join token that nobody gave out')}`, { mode: 0o600 })
  const agent = new AgentProcess(
    host,
    `log: { level: trace }
panel: { url: '${panel.url}', tokenFile: '${credential}', joinTokenFile: '${joinFile}', role: admin }
policy: { allowStdin: true, logDirectories: ['${host.logDir}'] }
`,
  )
  const config = readFileSync(agent.configFile, 'utf8')
  const withLogin = `supervisor: { url: '${host.url}', username: agent, password: ${password} }`
  writeFileSync(agent.configFile, config.replace(/^supervisor: .*$/m, withLogin), { mode: 0o600 })
  t.teardown(async () => {
    if (agent.isRunning) await agent.stop('SIGKILL')
  })
  const command = async (what: string, ...args: string[]) => {
    const running = launch(['--config', agent.configFile, ...args])
    search.collectProcess(`the process of ${what}`, running.child.pid ?? 0)
    const { code, stdout, stderr } = await running.outcome
    search.collect(`the errors of ${what}`, stderr)
    return { code, stdout, stderr }
  }
  const shown = async (...args: string[]) =>
    search.collect(`agent ${args.join(' ')}`, (await command(`agent ${args.join(' ')}`, ...args)).stdout)

  await shown('listener', 'install')
  await agent.start()
  const admin = await connect({ url: `unix://${agent.runDir}/admin.sock`, reconnect: false })
  t.teardown(() => admin.close())
  const { listen } = await admin.call('agent.info', {})
  const port = listen?.port ?? 0
  const make = async (name: keyof typeof ROLES) => {
    const wish = { name, scopes: [...ROLES[name]], programs: ['*'], idempotencyKey: `make-${name}-1` }
    const { token } = await admin.call('token.create', wish)
    const again = await admin.call('token.create', wish)
    t.match(again, { token: null, replayed: true }, 'a replay has no token')
    return search.plantToken(`token ${name}`, token ?? '')
  }
  const tokens = { admin: await make('admin'), viewer: await make('viewer'), reader: await make('reader') }

  await t.test('an agent that dials out', async (t) => {
    await panel.said('refused')
    const joinToken = search.plantFor(PANEL, 'the join token', await panel.joinToken())
    writeFileSync(joinFile, joinToken, { mode: 0o600 })
    await panel.said('up', NAME)
    await until(() => !existsSync(joinFile), 'the join token to be removed')
    const { token } = JSON.parse(readFileSync(credential, 'utf8')) as { token: string }
    search.plantToken('the credential of the agent', token)
    await panel.call(NAME, 'process.list', {})
    const text = `${search.plant('text of the panel for a process')}\n`
    await panel.call(NAME, 'process.stdin', { process: 'console', text })
    const refused = { process: 'console', text: [search.plant('text of the panel, of a wrong form')] }
    await t.rejects(panel.call(NAME, 'process.stdin', refused))
    await panel.stop()
    await panel.start()
    await panel.said('up', NAME)
    await panel.call(NAME, 'process.restart', { select: ['web'] })
  })

  await t.test('what is refused before there is a session', async () => {
    const none = {}
    const requests: [line: string, headers: Record<string, string | null>][] = [
      [`GET /ws?token=${tokens.admin} HTTP/1.1`, none],
      [`GET /ws?token=${search.plant('a query')} HTTP/1.1`, bearer(tokens.viewer)],
      [`GET /metrics?token=${tokens.viewer} HTTP/1.1`, { Upgrade: null, Connection: null }],
      [
        `GET /healthz?token=${search.plant('a query of healthz')} HTTP/1.1`,
        { Upgrade: null, Connection: null },
      ],
      [`GET /${search.plant('a path')} HTTP/1.1`, none],
      ['POST /ws HTTP/1.1', bearer(tokens.admin)],
      ['GET /ws HTTP/1.1', { ...bearer(tokens.admin), Origin: 'https://evil.example' }],
      ['GET /ws HTTP/1.1', { ...bearer(tokens.admin), 'Sec-WebSocket-Version': '12' }],
      [
        'GET /ws HTTP/1.1',
        { ...bearer(tokens.admin), [PROTOCOL]: `supervisor-agent.v1, bearer.${tokens.admin}` },
      ],
      ['GET /ws HTTP/1.1', { Authorization: `Basic ${btoa(`agent:${search.plant('Basic')}`)}` }],
      ['GET /ws HTTP/1.1', { Authorization: `Bearer ${search.plant('a malformed token')}` }],
      ['GET /ws HTTP/1.1', bearer(search.plantToken('a token that does not verify', forged()))],
      [
        'GET /ws HTTP/1.1',
        {
          [PROTOCOL]: `supervisor-agent.v1, bearer.${search.plantToken('a bad subprotocol token', forged())}`,
        },
      ],
      ['GET /ws HTTP/1.1', { Cookie: search.plant('a cookie'), 'X-Api-Key': search.plant('an own header') }],
      ['GET /ws HTTP/1.1', { ...bearer(tokens.admin), 'X-Long': search.plant('a long header').repeat(400) }],
      [`GARBAGE ${search.plant('garbage')}`, bearer(tokens.admin)],
    ]
    for (const [line, headers] of requests) {
      const client = raw(t, port, upgradeRequest(headers, line))
      await client.ended
      search.collect('answers to refused requests', client.bytes.toString('latin1'))
    }
  })

  const session = async (headers: Record<string, string>) => {
    const wire = new Wire(await answered(raw(t, port, upgradeRequest(headers))))
    t.equal(wire.client.status, 101)
    return wire
  }
  const sessions = {
    admin: await session(bearer(tokens.admin)),
    viewer: await session({ [PROTOCOL]: `supervisor-agent.v1, bearer.${tokens.viewer}` }),
    reader: await session(bearer(tokens.reader)),
  }

  await t.test('calls that carry what they should not', async () => {
    const { admin: wire } = sessions
    const key = () => ({ idempotencyKey: `secrets-${randomBytes(6).toString('hex')}` })
    const calls: [string, object][] = [
      ['process.list', { password: search.plant('an unknown parameter') }],
      [
        'process.list',
        { select: [{ environment: { API_KEY: search.plant('something like an environment') } }] },
      ],
      ['process.restart', { select: ['web'], mode: search.plant('a wrong choice'), ...key() }],
      ['process.restart', { select: [`a ${search.plant('a name of wrong form')}`], ...key() }],
      ['process.start', { select: ['web'], idempotencyKey: search.plantFor(AUDIT, 'a key') }],
      ['process.start', { select: ['web'], idempotencyKey: `! ${search.plant('a wrong key')}` }],
      ['process.stdin', { process: 'console', text: `${search.plant('text for a process')}\n`, ...key() }],
      ['process.stdin', { process: 'console', text: [search.plant('text of a wrong form')], ...key() }],
      [
        'policy.explain',
        { method: 'process.stdin', params: { process: 'console', text: search.plant('what if') } },
      ],
      [
        'policy.explain',
        { method: 'process.stdin', params: { process: 'console', text: [search.plant('a wrong what if')] } },
      ],
      ['policy.explain', { method: 'no.such', params: { text: search.plant('a what if of nothing') } }],
      [
        'policy.explain',
        { method: 'token.list', params: { [search.plantToken('a token in a what if', forged())]: 1 } },
      ],
      ['process.signal', { select: ['web'], signal: search.plant('a wrong signal'), ...key() }],
      ['log.tail', { process: 'web', cursor: search.plantFor(AUDIT, 'a cursor') }],
      ['token.revoke', { token: search.plantToken('a token in place of its name', forged()), ...key() }],
      ['token.rotate', { token: search.plantToken('a token to rotate', forged()), ...key() }],
      ['process.stop', { select: [search.plantToken('a token in place of a process', forged())], ...key() }],
      [search.plantToken('a token in place of a method', forged()), {}],
      ['process.list', { [search.plantToken('a token in place of a parameter', forged())]: 1 }],
      ['token.create', { name: 'x', role: search.plant('a wrong role'), ...key() }],
      ['event.subscribe', { since: { epoch: search.plant('an epoch'), seq: 1 } }],
    ]
    for (const [method, params] of calls) await wire.ask(method, params)
    wire.send(`{"jsonrpc":"2.0","id":1,"method":"x","authorization":"${search.plant('an unknown field')}"}`)
    wire.send(`{"token": ${search.plant('broken JSON')}`)
    wire.send(`["${search.plant('a batch')}"]`)
    wire.send(JSON.stringify({ jsonrpc: '2.0', id: { a: search.plant('an id of wrong form') }, method: 'x' }))
    await wire.answers()
    for (const bytes of [
      frame(2, search.plant('a binary frame')),
      frame(1, Buffer.from(`${search.plant('bad UTF-8')}\xff`, 'latin1')),
      frame(8, Buffer.concat([Buffer.from([0x0f, 0xa0]), Buffer.from(search.plant('a close reason'))])),
    ]) {
      const ending = await session(bearer(tokens.viewer))
      ending.write(bytes)
      await ending.close()
      // a close is answered by a close with the same reason, as RFC 6455 has it
      const told = ending.client.frames().filter(({ opcode }) => opcode !== 8)
      search.collect('ended sessions', told.map(({ payload }) => payload.toString('latin1')).join('\n'))
    }
  })

  await t.test('programs and crontab entries with secrets', async (t) => {
    const key = () => ({ idempotencyKey: `secrets-${randomBytes(6).toString('hex')}` })
    const definition = programWithSecrets(search)
    const put = { definition, verifyMs: 0, ...key() }
    t.match(await admin.call('program.put', put), {
      program: { definition: { options: definition.options } },
    })
    t.match(await admin.call('program.put', put), { replayed: true })
    for (const wire of Object.values(sessions))
      for (const method of ['program.get', 'program.history'])
        t.ok((await wire.ask(method, { name: definition.name })).result, method)
    const { token } = await admin.call('token.create', { name: 'owner', role: 'admin' }, { mutates: true })
    const owner = await session(bearer(search.plantToken('token owner', token ?? '')))
    for (const { method, params, expect, needsUsers } of refusedWithSecrets(search)) {
      const { error } = await (needsUsers ? owner : sessions.admin).ask(method, { ...params, ...key() })
      t.equal(error?.data.name, expect, method)
    }
    search.collect('the session of owner', owner.client.bytes.toString('latin1'))
  })

  await t.test('the key of TLS', async (t) => {
    const folder = join(host.folder, 'tls')
    mkdirSync(folder)
    const { cert, key } = makeCertificate(['localhost'])
    const [head = '', secret = ''] = key.split('\n')
    search.plant('the key of TLS', secret)
    const file = (name: string, text: string) => {
      const path = join(folder, name)
      writeFileSync(path, text, { mode: 0o600 })
      return path
    }
    const paths = {
      cert: file('cert', cert),
      key: file('key', key),
      torn: file('torn', `${head}\n${secret}\n`),
    }
    const configFile = (name: string, tls: { cert: string; key: string }) => {
      const text = readFileSync(agent.configFile, 'utf8').replaceAll(`${host.folder}/`, `${folder}/`)
      const own = `supervisor: { url: 'unix://${folder}/none.sock' }
listen: { runDir: ${folder}/run, port: 0, tls: { cert: ${tls.cert}, key: ${tls.key} } }`
      return file(name, `${text.replace(/^(?:panel|supervisor|listen): .*$/gm, '')}${own}\n`)
    }
    const [torn, swapped] = [
      { ...paths, key: paths.torn },
      { cert: paths.key, key: paths.cert },
    ]
    for (const tls of [torn, swapped]) await shown('--config', configFile('bad.yaml', tls), 'config', 'check')
    const own = launch(['--config', configFile('good.yaml', paths), 'daemon'])
    t.teardown(() => own.child.kill('SIGKILL'))
    await until(() => own.stderr().includes('"agent started"'), 'it to start')
    search.collectProcess('the daemon with TLS', own.child.pid ?? 0)
    own.child.kill('SIGTERM')
    const { code, stdout, stderr } = await own.outcome
    t.equal(code, 0)
    search.collect('the log of the daemon with TLS', stderr + stdout)
  })

  await t.test('what a log says is for those alone who may read logs', async (t) => {
    for (const wire of [sessions.viewer, sessions.reader]) await wire.call('event.subscribe', {})
    await admin.call('process.start', { select: ['crash'] }, { mutates: true })
    const isTold = (wire: Wire) => wire.client.bytes.includes('"to":"EXITED"')
    await until(() => isTold(sessions.viewer) && isTold(sessions.reader), 'the end of a process')
    t.ok(sessions.viewer.client.bytes.includes(logged), 'who may read logs sees its end')
    t.notOk(sessions.reader.client.bytes.includes(logged), 'who may not does not')
    t.notOk(agent.daemon.stderr().includes(logged), 'it is not in the log of the agent')
  })

  await t.test('the command', async (t) => {
    const file = (name: string, text: string) => {
      const path = join(host.folder, name)
      writeFileSync(path, `${text}\n`, { mode: 0o600 })
      return path
    }
    for (const { cli, mutating, params } of Object.values(METHODS))
      if (cli && !mutating && params.safeParse({}).success) await shown('--json', ...cli.command.split(' '))
    for (const words of ['config check', 'listener status', 'version'])
      await shown('--json', ...words.split(' '))
    const url = ['--url', `ws://127.0.0.1:${port}/ws`]
    await shown('--json', ...url, '--token-file', file('good.token', tokens.viewer), 'status')
    const bad = search.plantToken('a token file that does not verify', forged())
    await shown('--json', ...url, '--token-file', file('bad.token', bad), 'status')
    await shown(
      '--json',
      ...url,
      '--token-file',
      file('odd.token', search.plant('an odd token file')),
      'status',
    )
    const wrong = file('wrong.yaml', `supervisor: { password: [${search.plant('a wrong password')}] }`)
    await shown('--config', wrong, 'config', 'check')
    const torn = file('torn.yaml', `supervisor: { password: "${search.plant('a torn config')}`)
    await shown('--config', torn, 'config', 'check')
    const made = await command('agent token create', '--json', 'token', 'create', 'made', '--role', 'viewer')
    const { token } = JSON.parse(made.stdout) as { token: string }
    t.equal(search.plantToken('a token that the command made', token).length, 64)
  })

  for (const [method, { mutating, params }] of Object.entries(METHODS))
    if (!mutating && params.safeParse({}).success)
      search.collect(`the answer of ${method}`, JSON.stringify(await sessions.admin.ask(method, {})))
  const metrics = await fetch(`http://127.0.0.1:${port}/metrics`, { headers: bearer(tokens.viewer) })
  search.collect('metrics', await metrics.text())
  for (const [name, wire] of Object.entries(sessions))
    search.collect(`the session of ${name}`, wire.client.bytes.toString('latin1'))
  search.collectProcess('the daemon', agent.daemon.child.pid ?? 0)
  for (const pid of host.children()) {
    const isOurs = readFileSync(`/proc/${pid}/cmdline`, 'latin1').includes('event-listener')
    if (isOurs) search.collectProcess('the event listener', pid)
  }
  search.collect('what the panel said', panel.output)
  search.collect('what the panel keeps', panel.state)
  const { stdout } = await agent.stop()
  search.collect('the log of the daemon', agent.daemon.stderr() + stdout)
  for (const folder of ['state', 'run']) search.collectFiles(folder, join(host.folder, folder))
  search.collect('tokens.json', agent.read('tokens.json'))

  for (const what of [
    'metrics',
    'tokens.json',
    'the log of the daemon',
    'the daemon: cmdline',
    'the answer of rpc.discover',
    'the session of admin',
    'what the panel said',
    'the session of owner',
    'the log of the daemon with TLS',
  ])
    t.ok(search.size(what) > 50, `${what} was searched`)
  // whoever has the scope `program` is shown the environment of a program
  const isShown =
    /^the environment of a program, in (?:agent --json program ls|the answer of program\.list|the session of admin)$/
  t.same(
    search.found().filter((one) => !isShown.test(one)),
    [],
  )
})
