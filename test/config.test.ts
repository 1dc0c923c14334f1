import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { hostname, networkInterfaces, tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'
import t from 'tap'
import { parse } from 'yaml'
import * as z from 'zod'
import { Config, loadConfig, parseConfig } from '../src/config.ts'
import { ConfigError } from '../src/config-error.ts'
import { SupervisorRpc } from '../src/core/supervisor/rpc.ts'

const ROOT = resolve(import.meta.dirname, '..')
const EXAMPLE = resolve(ROOT, 'config.example.yaml')
const BUNDLE = resolve(ROOT, 'dist/agent.cjs')

interface Schema {
  properties?: Record<string, Schema>
}

/** Every key of a schema, `listen.tls.cert` for one in a section; sections come before what is in them. */
function keysOf({ properties = {} }: Schema, path: readonly string[] = []): string[] {
  return Object.entries(properties).flatMap(([key, inside]) => [
    [...path, key].join('.'),
    ...keysOf(inside, [...path, key]),
  ])
}

/** What a parser says of a text, without the path in front. */
function refusal(text: string): string {
  try {
    parseConfig(text, '/c.yaml')
    return 'it was taken'
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    return error.message.replaceAll(/^\/c\.yaml:/gm, '')
  }
}

await t.test('the example names every key, with a comment, and says the defaults', async (t) => {
  const text = readFileSync(EXAMPLE, 'utf8')
  const keys = keysOf(z.toJSONSchema(Config, { io: 'input', unrepresentable: 'any' }) as Schema)
  t.ok(keys.length > 55, `${keys.length} keys`)
  const explained = explainedKeys(text)
  t.same(
    keys.filter((key) => !explained.includes(key)),
    [],
    'every key stands below a comment',
  )
  t.same(
    explained.filter((key) => !keys.includes(key)),
    [],
    'and nothing else does',
  )
  t.same(parseConfig(text, EXAMPLE), parseConfig('', EXAMPLE))
  const missing = keys.filter((key) => key !== 'name' && valueAt(parse(text), key) === undefined)
  t.same(missing, [], 'the defaults are written down')
  t.equal(parseConfig('', EXAMPLE).name, hostname())
  t.match(text, /^# name: web-1$/m, "the host's own name stays unless it is set")
  t.equal(parseConfig(text.replace('# name:', 'name:'), EXAMPLE).name, 'web-1')
})

/** Keys that stand below a comment, alone or in a block of keys without an empty line between. */
function explainedKeys(text: string): string[] {
  const keys: string[] = []
  const path: { indent: number; key: string }[] = []
  let isExplained = false
  for (const line of text.split('\n')) {
    const [, indent = '', comment, key] = /^( *)(# (?!name:))?(?:# (?=name:))?([A-Za-z]+:)?/.exec(line) ?? []
    if (comment !== undefined) isExplained = true
    else if (key === undefined) isExplained = false
    else {
      while ((path.at(-1)?.indent ?? -1) >= indent.length) path.pop()
      path.push({ indent: indent.length, key: key.slice(0, -1) })
      if (isExplained) keys.push(path.map((part) => part.key).join('.'))
    }
  }
  return keys
}

function valueAt(value: unknown, key: string): unknown {
  return key.split('.').reduce<unknown>((at, part) => (at as Record<string, unknown> | null)?.[part], value)
}

const good: Record<string, string> = {
  'an empty file': '',
  'comments alone': '# nothing\n',
  'a section with nothing in it': 'listen:\npolicy:\nlog:\n',
  'Windows line ends and a byte order mark': '\ufeffname: x\r\nlog:\r\n  level: warn\r\n',
  'any free port': 'listen: { port: 0 }',
  'no TCP, and then any address': 'listen: { port: off, host: 0.0.0.0 }',
  'TLS on every address': 'listen: { host: "::", tls: { cert: /c.pem, key: /k.pem } }',
  'supervisord over HTTP': 'supervisor: { url: "http://127.0.0.1:9001", username: u, password: p }',
  'supervisord over HTTP on IPv6': 'supervisor: { url: "http://[::1]:9001" }',
  'a socket with an @ in its name': 'supervisor: { url: "unix:///run/a@b.sock" }',
  proxies: 'listen: { trustedProxies: [10.0.0.0/8, 192.0.2.7, "2001:db8::/32"] }',
  'an alias': 'policy: { directories: &d [/srv], logDirectories: *d }',
}
for (const [it, text] of Object.entries(good))
  await t.test(`takes ${it}`, async (t) => {
    t.doesNotThrow(() => parseConfig(text, '/c.yaml'))
  })

const hasIpv6 = Object.values(networkInterfaces()).some((of) => of?.some(({ address }) => address === '::1'))
await t.test('supervisord on IPv6 is reached as the config names it', { skip: !hasIpv6 }, async (t) => {
  const server = createServer((_request, answer) =>
    answer.end(
      '<methodResponse><params><param><value><int>7</int></value></param></params></methodResponse>',
    ),
  )
  t.teardown(() => server.close())
  await once(server.listen(0, '::1'), 'listening')
  const { port } = server.address() as AddressInfo
  const { supervisor } = parseConfig(`supervisor: { url: "http://[::1]:${port}" }`, '/c.yaml')
  const rpc = new SupervisorRpc(supervisor)
  t.teardown(() => rpc.close())
  t.equal(await rpc.call('supervisor.getPID'), 7)
})

const ALIAS_BOMB =
  'a: &a [x,x]\nb: &b [*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b]\nname: [*c,*c,*c,*c,*c,*c,*c,*c]\n'

const bad: Record<string, [string, string]> = {
  'an unknown key': ['nme: x', '1: nme: there is no such key'],
  'an unknown key in a section': ['log:\n  level: info\n  file: /x', '3: log.file: there is no such key'],
  'several at once': [
    'policy:\n  usres: [a]\n\n  allowRot: true',
    '2: policy.usres: there is no such key\n4: policy.allowRot: there is no such key',
  ],
  'a key of another section': ['port: 9877', '1: port: there is no such key'],
  'a prototype': ['__proto__: { name: x }', '1: __proto__: there is no such key'],
  'a number for text': ['name: 5', '1: name: expected text'],
  'no name': ["name: ''", '1: name: expected text, found nothing'],
  'a name with control characters': ['name: "a\\0b"', '1: name: expected text without control characters'],
  'a list for text': ['stateDir: [/a]', '1: stateDir: expected text'],
  'text for a list': ['listen:\n  localScopes: read', '2: listen.localScopes: expected a list'],
  'text for a switch': ['policy:\n  readOnly: "true"', '2: policy.readOnly: expected true or false'],
  'yes for a switch': [
    'listen:\n  metricsOpenOnLoopback: yes',
    '2: listen.metricsOpenOnLoopback: expected true or false',
  ],
  'a value for a section': ['# c\n\nlisten: 5', '3: listen: expected keys with values'],
  'a list for the whole file': ['- a\n- b', '1: the file: expected keys with values'],
  'text for the whole file': ['hello', '1: the file: expected keys with values'],
  'the same key twice': ['name: a\nstateDir: /x\nname: b', '3: name: this key is there twice'],
  'the same section twice': ['log:\n  level: info\nlog:\n  level: warn', '3: log: this key is there twice'],
  'a tab': ['log:\n\tlevel: info', '2: not YAML: expected spaces, found a tab'],
  'a bracket left open': ['name: x\nlisten: {port: 1', '2: not YAML: '],
  'a quote left open': ["name: 'x", '1: not YAML: '],
  'keys that do not line up': ['listen:\n port: 1\n  host: x', '2: not YAML: '],
  'a tag': ['name: !!js/function x', '1: not YAML: '],
  'two documents': ['name: a\n---\nname: b', '2: expected one document: no line of --- alone'],
  'a port out of range': ['listen:\n  port: 70000', '2: listen.port: expected at most 65535'],
  'a port as text': ['listen:\n  port: "9877"', '2: listen.port: expected a port from 0 to 65535, or off'],
  'a port that is none': ['listen:\n  port: on', '2: listen.port: expected a port from 0 to 65535, or off'],
  'half a port': ['listen: { port: 80.5 }', '1: listen.port: expected a port from 0 to 65535, or off'],
  'a certificate without a key': [
    'listen:\n  tls:\n    cert: /c.pem',
    '3: listen.tls.cert: needs listen.tls.key beside it',
  ],
  'a key without a certificate': [
    'listen:\n  tls: { key: /k.pem }',
    '2: listen.tls.key: needs listen.tls.cert beside it',
  ],
  'an open address without TLS': [
    'listen:\n  port: 1\n  host: 0.0.0.0',
    '3: listen.host: an address that others can reach needs listen.tls, or tokens could be read on the way',
  ],
  'a relative path': ['stateDir: var/lib', '1: stateDir: expected an absolute path'],
  'a folder of sockets whose paths no socket can have': [
    `listen:\n  runDir: /${'d'.repeat(93)}`,
    '2: listen.runDir: expected at most 93 bytes: sockets lie in it',
  ],
  'a path from the home folder': ['tokensFile: ~/t.json', '1: tokensFile: expected an absolute path'],
  'a relative path in a list': [
    'policy:\n  directories:\n    - /srv\n    - www',
    '4: policy.directories.1: expected an absolute path',
  ],
  'a path that is not auto': [
    'supervisor: { configFile: here }',
    '1: supervisor.configFile: expected an absolute path or auto',
  ],
  'a socket without unix://': [
    'supervisor:\n  url: /run/s.sock',
    '2: supervisor.url: expected unix:///path/of.sock or http://host:port',
  ],
  'a password in the address of supervisord': [
    'supervisor:\n  url: http://user:secret@127.0.0.1:9001',
    '2: supervisor.url: expected no @: use supervisor.username and supervisor.password',
  ],
  'a port of supervisord out of range': [
    'supervisor: { url: "http://127.0.0.1:70000" }',
    '1: supervisor.url: expected a port from 1 to 65535',
  ],
  'an address of supervisord with a path': [
    'supervisor: { url: "http://127.0.0.1?x:9001" }',
    '1: supervisor.url: expected unix:///path/of.sock or http://host:port',
  ],
  'an address of supervisord that is none': [
    'supervisor: { url: "http://[::1::2]:9001" }',
    '1: supervisor.url: expected unix:///path/of.sock or http://host:port',
  ],
  'an ending with its dot': [
    'supervisor: { programExt: .conf }',
    '1: supervisor.programExt: expected letters and digits, no dot',
  ],
  'admin on the socket of the group': [
    'listen:\n  localScopes: [read, admin]',
    '2: listen.localScopes.1: expected one of read, logs, control, program, cron',
  ],
  'a proxy by name': [
    'listen: { trustedProxies: [proxy.local] }',
    '1: listen.trustedProxies.0: expected an address or a network such as 10.0.0.0/8',
  ],
  'a proxy whose address is none': [
    'listen:\n  trustedProxies:\n    - 10.0.0.0/8\n    - 999.1.1.1/99',
    '4: listen.trustedProxies.1: expected an address or a network such as 10.0.0.0/8',
  ],
  'a network with too many bits': [
    'listen: { trustedProxies: [10.0.0.0/33] }',
    '1: listen.trustedProxies.0: expected an address or a network such as 10.0.0.0/8',
  ],
  'a glob with white space': [
    'listen: { localPrograms: ["a b"] }',
    '1: listen.localPrograms.0: expected a name or glob without white space and without < > &',
  ],
  'a limit of nothing': ['policy:\n  maxProcesses: 0', '2: policy.maxProcesses: expected 1 or more'],
  'a word that is none of the choices': [
    'log: { level: verbose }',
    '1: log.level: expected one of fatal, error, warn, info, debug, trace',
  ],
  'a schedule that says too little': [
    "schedules:\n  - at: '0 4 * * *'\n    action: stop",
    '2: schedules.0.select: expected a list',
  ],
  'a schedule at no time': [
    "schedules:\n  - action: stop\n    select: [web]\n    at: '0 25 * * *'",
    '4: schedules.0.at: ',
  ],
  'a schedule that programs read in two ways': [
    "schedules: [{ action: stop, select: [web], at: '0 0 13 * 5' }]",
    '1: schedules.0.at: expected a schedule: days of the month and of the week together mean different things to different programs',
  ],
  'a schedule at the start of the host': [
    "schedules: [{ action: stop, select: [web], at: '@reboot' }]",
    '1: schedules.0.at: expected a schedule: the agent does nothing at the start of the host',
  ],
  'a schedule in no zone': [
    "schedules: [{ action: stop, select: [web], at: '0 4 * * *', timezone: Mars/Olympus }]",
    '1: schedules.0.timezone: expected UTC, or a zone that this host has in /usr/share/zoneinfo, such as Europe/Berlin',
  ],
  'a schedule with a mode that it has not': [
    "schedules: [{ action: stop, select: [web], at: '0 4 * * *', mode: rolling }]",
    '1: schedules.0.mode: expected only with action: restart',
  ],
  'an alias that points nowhere': [
    'name: *other',
    '1: an alias (*) that points nowhere, or aliases of aliases',
  ],
  'an alias bomb': [ALIAS_BOMB, '2: an alias (*) that points nowhere, or aliases of aliases'],
}
for (const [it, [text, expected]] of Object.entries(bad))
  await t.test(`refuses ${it}, and says where and why`, async (t) => {
    const said = refusal(text)
    if (expected.endsWith(': ')) t.ok(said.startsWith(expected) && said.length > expected.length, said)
    else t.equal(said, expected)
  })

await t.test('config check', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'sa-config-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  const write = (name: string, text: string, mode = 0o644) => {
    const path = join(folder, name)
    writeFileSync(path, text)
    chmodSync(path, mode)
    return path
  }

  await t.test('exits 0 for a right file and 2 for a wrong one', async (t) => {
    const right = write('right.yaml', readFileSync(EXAMPLE, 'utf8'))
    const wrong = write('wrong.yaml', 'log:\n  level: loud\n')
    t.same(await agent('--config', right, 'config', 'check'), {
      code: 0,
      stdout: `${right} is right (${hostname()})\n`,
      stderr: '',
    })
    t.same(await agent('--config', right, '--json', 'config', 'check'), {
      code: 0,
      stdout: `{"ok":true,"file":"${right}"}\n`,
      stderr: '',
    })
    t.same(await agent('--config', wrong, 'config', 'check'), {
      code: 2,
      stdout: '',
      stderr: `agent: ${wrong}:2: log.level: expected one of fatal, error, warn, info, debug, trace\n`,
    })
  })

  await t.test('the daemon ends with 2 before it opens anything', async (t) => {
    const { code, stderr } = await agent('--config', write('d.yaml', 'port: 1\n'), 'daemon')
    t.equal(code, 2)
    t.match(stderr, 'd.yaml:1: port: there is no such key')
  })

  const files: Record<string, [make: () => string, expected: string, line?: string]> = {
    'a file that is not there': [() => join(folder, 'none.yaml'), 'there is no such file'],
    'a folder': [() => folder, 'expected a file'],
    'a huge file': [
      () => write('huge.yaml', `# ${'x'.repeat(1024 * 1024)}\n`),
      'larger than 1 MiB, which no config is',
    ],
    'a password file that is not there': [
      () => write('p.yaml', 'supervisor:\n  passwordFile: /nowhere/pw\n'),
      'supervisor.passwordFile: cannot read /nowhere/pw: ENOENT',
      '2:',
    ],
  }
  for (const [it, [make, expected, line = '']] of Object.entries(files))
    await t.test(`exits 2 for ${it}`, async (t) => {
      const path = make()
      const { code, stderr } = await agent('--config', path, 'config', 'check')
      t.equal(code, 2)
      t.equal(stderr.slice(0, stderr.indexOf(expected)), `agent: ${path}:${line} `)
    })

  await t.test('the files of listen.tls must be what they are called, here and at the start', async (t) => {
    const openssl = (name: string) =>
      promisify(execFile)('openssl', [
        ...'req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=x'.split(' '),
        '-keyout',
        join(folder, `${name}.key`),
        '-out',
        join(folder, `${name}.crt`),
      ])
    await Promise.all([openssl('one'), openssl('two')])
    write('half.crt', '-----BEGIN CERTIFICATE-----\nTUlJ\n-----END CERTIFICATE-----\n')
    const cases = [
      { tls: 'cert: one.crt, key: one.key, clientCa: two.crt', said: null },
      { tls: 'cert: none.crt, key: one.key', said: 'cert: cannot read F/none.crt: ENOENT' },
      { tls: 'cert: one.key, key: one.key', said: 'cert: F/one.key: expected certificates in PEM' },
      { tls: 'cert: half.crt, key: one.key', said: 'cert: F/half.crt: expected certificates in PEM' },
      { tls: 'cert: one.crt, key: gone.key', said: 'key: cannot read F/gone.key: ENOENT' },
      {
        tls: 'cert: one.crt, key: one.crt',
        said: 'key: F/one.crt: expected a private key without a passphrase in PEM',
      },
      { tls: 'cert: one.crt, key: two.key', said: 'key: F/two.key: expected the key of F/one.crt' },
      {
        tls: 'cert: one.crt, key: one.key, clientCa: one.key',
        said: 'clientCa: F/one.key: expected certificates in PEM',
      },
    ]
    for (const { tls, said } of cases) {
      const lines = tls.replaceAll(': ', `: ${folder}/`).replaceAll(', ', '\n    ')
      const path = write('tls.yaml', `listen:\n  tls:\n    ${lines}\n`)
      const line = 3 + ['cert', 'key', 'clientCa'].indexOf(said?.split(':')[0] ?? '')
      const stderr = said && `agent: ${path}:${line}: listen.tls.${said.replaceAll('F/', `${folder}/`)}\n`
      const expected = said === null ? { code: 0 } : { code: 2, stdout: '', stderr }
      t.match(await agent('--config', path, 'config', 'check'), expected, tls)
      if (said !== null) t.match(await agent('--config', path, 'daemon'), expected, `daemon: ${tls}`)
      t.ok(loadConfig(path), 'a command that opens no server needs none of them')
    }
  })

  await t.test('a file that may not be read says whose it is', async (t) => {
    const path = write('secret.yaml', 'name: x', 0o000)
    const isRoot = process.geteuid?.() === 0
    chmodSync(folder, 0o755)
    if (isRoot) process.seteuid?.(65_534)
    try {
      t.throws(() => loadConfig(path), {
        message: `${path}: no permission to read it (it belongs to root, mode 0600)`,
      })
    } finally {
      if (isRoot) process.seteuid?.(0)
    }
  })

  await t.test('a password file gives the password without its line end', async (t) => {
    const secret = write('pw', 'geheim # no comment\n', 0o600)
    const { supervisor } = loadConfig(write('pw.yaml', `supervisor: { passwordFile: ${secret} }`))
    t.equal(supervisor.password, 'geheim # no comment')
  })
})

function agent(...args: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  return new Promise((done) => {
    execFile(process.execPath, [BUNDLE, ...args], (error, stdout, stderr) =>
      done({ code: error ? Number(error.code) : 0, stdout, stderr }),
    )
  })
}
