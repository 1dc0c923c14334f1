import { readFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { isAbsolute } from 'node:path'
import { type Document, LineCounter, parseDocument, visit } from 'yaml'
import * as z from 'zod'
import { isNetwork, urlProblem } from './config-address.ts'
import { ConfigError } from './config-error.ts'
import { readConfigText } from './config-owner.ts'
import { panelFilesProblem, panelProblem, panelUrlProblem } from './config-panel.ts'
import { DEFAULT_CONFIG } from './config-path.ts'
import { Schedules } from './config-schedules.ts'
import { tlsProblem } from './config-tls.ts'
import { explain, lineOf, yamlWords } from './config-words.ts'
import { Pins } from './core/panel/pins.ts'
import { Glob } from './protocol/names.ts'
import { Role, Scope } from './protocol/scopes.ts'
import { isLoopback } from './transports/loopback.ts'

const Path = z.string().refine(isAbsolute, 'expected an absolute path')
/** Of the 107 bytes that the path of a socket may have, the longest name in it takes the rest. */
const SOCKET_FOLDER_BYTES = 107 - '/listener.sock'.length
const SocketFolder = Path.refine(
  (path) => Buffer.byteLength(path) <= SOCKET_FOLDER_BYTES,
  `expected at most ${SOCKET_FOLDER_BYTES} bytes: sockets lie in it`,
)
const PathOrNothing = z
  .string()
  .refine((path) => path === '' || isAbsolute(path), "expected an absolute path or ''")
const PathOrAuto = z
  .string()
  .refine((path) => path === 'auto' || isAbsolute(path), 'expected an absolute path or auto')
const SupervisorUrl = z.string().superRefine((url, context) => {
  const message = urlProblem(url)
  if (message !== null) context.addIssue({ code: 'custom', message })
})
const PanelUrl = z.string().superRefine((url, context) => {
  const message = panelUrlProblem(url)
  if (message !== null) context.addIssue({ code: 'custom', message })
})
const PanelPin = z
  .string()
  .refine(
    (pin) => pin === '' || Pins.parse(pin) !== null,
    'expected sha256: and the 64 hexadecimal digits of a fingerprint',
  )
const SystemUser = z
  .string()
  .regex(/^[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}\$?$/, 'expected the name of a system user; there is no * for all')
const Cidr = z.string().refine(isNetwork, 'expected an address or a network such as 10.0.0.0/8')

/** A section whose own keys all have defaults, so that it may be left out. */
function section<S extends z.ZodRawShape>(shape: S) {
  const object = z.strictObject(shape)
  return object.prefault({} as z.input<typeof object>)
}

/** The config file. Every key has a default; the names are part of the protocol. */
export const Config = z.strictObject({
  name: z
    .string()
    .min(1)
    .max(64)
    .refine((text) => !/\p{Cc}/u.test(text), 'expected text without control characters')
    .default(hostname)
    .describe('name of this host for the panel'),
  stateDir: Path.default('/var/lib/supervisor-agent').describe('what must survive a restart (0700)'),
  spoolDir: Path.default('/var/spool/supervisor-agent').describe('results of cron jobs, by user (0711)'),
  tokensFile: Path.default('/etc/supervisor-agent/tokens.json').describe(
    'hashes of tokens (0600), reloaded live',
  ),
  presetsDir: PathOrNothing.default('').describe('presets of your own'),
  supervisor: section({
    url: SupervisorUrl.default('unix:///var/run/supervisor.sock').describe(
      'unix:///path or http://host:port',
    ),
    username: z.string().max(256).default('').describe('of [unix_http_server] or [inet_http_server]'),
    password: z.string().max(256).default(''),
    passwordFile: PathOrNothing.default('').describe('instead of password'),
    configFile: PathOrAuto.default('auto').describe('auto: what the running supervisord was started with'),
    programDir: PathOrAuto.default('auto').describe('auto: the folder of its first [include] pattern'),
    programExt: z
      .string()
      .regex(/^[A-Za-z0-9]{1,16}$/, 'expected letters and digits, no dot')
      .default('auto'),
  }),
  listen: section({
    runDir: SocketFolder.default('/run/supervisor-agent').describe(
      'admin.sock, agent.sock and listener.sock',
    ),
    localScopes: z
      .array(Scope.exclude(['admin']))
      .default(['read', 'logs'])
      .describe('what agent.sock may do; never admin'),
    localPrograms: z.array(Glob).default(['*']),
    localUsers: z.array(z.string().min(1)).default([]),
    host: z.string().min(1).default('127.0.0.1').describe('any other than loopback needs tls'),
    port: z
      .union([z.int().min(0).max(65_535), z.literal('off')], 'expected a port from 0 to 65535, or off')
      .default(9877)
      .describe('0 = any free port, off = no TCP'),
    tls: section({
      cert: PathOrNothing.default(''),
      key: PathOrNothing.default(''),
      clientCa: PathOrNothing.default(''),
    }),
    allowedOrigins: z.array(z.string().min(1)).default([]).describe('origins of web pages that may connect'),
    trustedProxies: z.array(Cidr).default([]).describe('whose X-Forwarded-For is believed'),
    metricsOpenOnLoopback: z.boolean().default(false),
  }),
  panel: section({
    url: PanelUrl.default('').describe('wss:// address of the panel to dial; empty = none'),
    tokenFile: PathOrNothing.default('').describe('where the agent keeps its credential (0600)'),
    joinTokenFile: PathOrNothing.default('').describe('holds a join token the first time; removed after use'),
    pin: PanelPin.default('').describe("SHA-256 fingerprint of the panel's certificate"),
    role: Role.default('viewer'),
    scopes: z.array(Scope).default([]).describe('instead of the role'),
    programs: z.array(Glob).default(['*']),
    users: z.array(z.string().min(1)).default([]),
  }),
  policy: section({
    users: z.array(SystemUser).default([]).describe('system users that programs and cron entries may run as'),
    allowRoot: z.boolean().default(false),
    directories: z.array(Path).default([]).describe('roots of directory= and of scripts; empty = any'),
    executables: z.array(Path).default(['/usr/bin', '/usr/local/bin', '/bin']),
    commands: z.array(z.string().min(1)).default([]).describe('globs on the whole command; empty = any'),
    logDirectories: z.array(Path).default(['/var/log/supervisor']).describe('the only roots of log files'),
    allowUserLogDirectories: z.boolean().default(false),
    maxProcesses: z.int().min(1).max(10_000).default(32).describe('per program'),
    maxPrograms: z.int().min(0).max(10_000).default(200),
    maxCronEntries: z.int().min(0).max(10_000).default(200),
    allowReboot: z.boolean().default(false).describe('@reboot entries'),
    cronDrift: z.enum(['report', 'enforce']).default('report'),
    allowRemoteProgram: z.boolean().default(true).describe('remote = all but admin.sock'),
    allowRemoteCron: z.boolean().default(true),
    allowRemoteTokens: z.boolean().default(false),
    allowStdin: z.boolean().default(false),
    allowSupervisorShutdown: z.boolean().default(false),
    readOnly: z.boolean().default(false),
  }),
  schedules: Schedules.default([]).describe('starts, stops and restarts of programs by the clock'),
  log: section({
    level: z.enum(['fatal', 'error', 'warn', 'info', 'debug', 'trace']).default('info'),
  }),
})
export type Config = z.output<typeof Config>

/**
 * Reads a config file as the daemon needs it: with the files of `listen.tls` and `panel`, which only it must be able to
 * read, and where it runs as root from a file that root alone can write.
 * @throws {ConfigError}
 */
export function loadDaemonConfig(path = DEFAULT_CONFIG): Config {
  const { config, refuse } = load(path, { asDaemon: true })
  const problem = config.listen.port === 'off' ? null : tlsProblem(config.listen.tls)
  if (problem) refuse(['listen', 'tls', problem.key], problem.text)
  const missing = panelFilesProblem(config.panel)
  if (missing) refuse(['panel', missing.key], missing.text)
  return config
}

/**
 * Reads a config file. A missing file is an error unless it is the default one, which then means all defaults.
 * @throws {ConfigError}
 */
export function loadConfig(path = DEFAULT_CONFIG): Config {
  return load(path).config
}

function load(path: string, options: { asDaemon?: boolean } = {}): { config: Config; refuse: Refuse } {
  let text: string
  try {
    text = readConfigText(path, options)
  } catch (error) {
    if (error instanceof ConfigError) throw error
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ENOENT' && path === DEFAULT_CONFIG) text = ''
    else if (code === 'ENOENT') throw new ConfigError(`${path}: there is no such file`)
    else if (code === 'EACCES')
      throw new ConfigError(`${path}: no permission to read it (it belongs to root, mode 0600)`)
    else throw new ConfigError(`${path}: ${(error as Error).message}`)
  }
  const { config, refuse } = parse(text, path)
  const supervisor = { ...config.supervisor, password: passwordOf(config, refuse) }
  return { config: { ...config, supervisor }, refuse }
}

/** @throws {ConfigError} */
export function parseConfig(text: string, path: string): Config {
  return parse(text, path).config
}

/** The config, and the way to refuse one of its keys all the same. */
function parse(text: string, path: string): { config: Config; refuse: Refuse } {
  const lines = new LineCounter()
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, stringKeys: true })
  const [broken] = [...document.errors, ...document.warnings]
  if (broken)
    throw new ConfigError(`${path}:${lines.linePos(broken.pos[0]).line}: ${yamlWords(broken, text)}`)
  const result = Config.safeParse(plainOf(document, path, lines))
  if (!result.success)
    throw new ConfigError(
      result.error.issues
        .flatMap((issue) => explain(issue, document, lines))
        .map(({ line, text: what }) => `${path}:${line}: ${what}`)
        .join('\n'),
    )
  const { host, port, tls } = result.data.listen
  const refuse: Refuse = (key, what) => {
    throw new ConfigError(`${path}:${lineOf(key, document, lines)}: ${key.join('.')}: ${what}`)
  }
  if (tls.cert !== '' && tls.key === '') refuse(['listen', 'tls', 'cert'], 'needs listen.tls.key beside it')
  if (tls.key !== '' && tls.cert === '') refuse(['listen', 'tls', 'key'], 'needs listen.tls.cert beside it')
  if (port !== 'off' && tls.cert === '' && !isLoopback(host))
    refuse(
      ['listen', 'host'],
      'an address that others can reach needs listen.tls, or tokens could be read on the way',
    )
  const problem = panelProblem(result.data.panel)
  if (problem) refuse(['panel', problem.key], problem.text)
  return { config: result.data, refuse }
}

type Refuse = (key: string[], what: string) => never

/** The document as plain values. A section that is there with nothing in it is the same as one left out. */
function plainOf(document: Document, path: string, lines: LineCounter): unknown {
  let value: unknown
  try {
    value = document.toJS({ maxAliasCount: 10 }) ?? {}
  } catch {
    let line = 1
    visit(document, {
      Alias: (_key, { range }) => {
        line = range ? lines.linePos(range[0]).line : line
        return visit.BREAK
      },
    })
    throw new ConfigError(`${path}:${line}: an alias (*) that points nowhere, or aliases of aliases`)
  }
  if (typeof value !== 'object' || Array.isArray(value)) return value
  return Object.fromEntries(
    Object.entries(value as object).filter(([key, inside]) => inside !== null || !SECTIONS.has(key)),
  )
}

const SECTIONS = new Set(['supervisor', 'listen', 'panel', 'policy', 'log'])

function passwordOf(config: Config, refuse: Refuse): string {
  const { password, passwordFile } = config.supervisor
  if (passwordFile === '') return password
  try {
    return readFileSync(passwordFile, 'utf8').replace(/\r?\n$/, '')
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    return refuse(['supervisor', 'passwordFile'], `cannot read ${passwordFile}: ${code}`)
  }
}
