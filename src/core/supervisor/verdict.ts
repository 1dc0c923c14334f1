// What supervisord 4.2 says to its files, said without it: all that it would refuse, each with its file and line, where
// it tells the first alone.
import { readEnvironment } from './config-environment.ts'
import { type Expansions, environmentExpansions } from './config-expand.ts'
import type { ConfigSection } from './config-file.ts'
import type { ConfigTree } from './config-tree.ts'
import { readBoolean, readBytes, readInteger, readOctal } from './config-values.ts'
import { type Fault, type HostFacts, Keys } from './verdict-keys.ts'
import { type Judging, judgeGroups } from './verdict-programs.ts'

const FACTORY = 'supervisor.rpcinterface_factory'
const MAIN_FACTORY = 'supervisor.rpcinterface:make_main_rpcinterface'
const ENTRY_POINT = /^[\p{L}\p{N}_.]+\s*(?::\s*[\p{L}\p{N}_.]+)?\s*(?:\[.*\])?$/u
const LEVELS = ['critical', 'error', 'warn', 'info', 'debug', 'trace', 'blather']
const SERVERS = ['inet_http_server', 'unix_http_server']

/** Judges a configuration as supervisord does. Plugins, which it would import, are taken for good. */
export async function judgeTree(
  tree: ConfigTree,
  { expansions, facts }: { expansions: Expansions; facts: HostFacts },
): Promise<Fault[]> {
  const { host_node_name: hostName = '', ...names } = expansions
  const faults: Fault[] = tree.errors.map((error) => ({ ...error, header: '', key: null }))
  const { sections } = tree
  const judging: Judging = { sections, faults, facts, names, hostName: String(hostName), hasPlugins: false }
  const include = sections.find(({ header }) => header === 'include')
  if (include) judgeInclude(new Keys(include, { ...judging, names: expansions }))
  const main = sections.find(({ header }) => header === 'supervisord')
  if (!main) {
    const [file = ''] = tree.files
    faults.push({ file, line: 1, message: 'there is no [supervisord] section', header: '', key: null })
    return faults
  }
  judging.names = { ...names, ...(await judgeMain(main, judging, expansions)) }
  judging.hasPlugins = judgePlugins(judging)
  await judgeGroups(judging)
  for (const section of sections) await judgeServer(section, judging)
  return faults
}

function judgeInclude(keys: Keys): void {
  if (keys.raw('files') === undefined) keys.fault(null, 'there are no files')
  keys.text('files')
}

/** @returns the variables that it sets, as names for values */
async function judgeMain(section: ConfigSection, judging: Judging, all: Expansions): Promise<Expansions> {
  const keys = new Keys(section, judging)
  for (const key of ['minfds', 'minprocs', 'logfile_backups']) keys.integer(key)
  for (const key of ['nodaemon', 'silent', 'nocleanup', 'strip_ansi'])
    keys.read(key, readBoolean, 'neither true nor false')
  keys.read('umask', readOctal, 'no octal number')
  keys.read('logfile_maxbytes', readBytes, 'no size')
  keys.read('loglevel', (text) => (LEVELS.includes(text.toLowerCase()) ? text : null), 'no level')
  keys.text('identifier')
  await keys.user('user')
  for (const key of ['logfile', 'pidfile']) await keys.file(key, keys.text(key))
  for (const key of ['directory', 'childlogdir']) await keys.folder(key, keys.text(key))
  const once = keys.text('environment') ?? ''
  keys.know(all)
  const environment = keys.expanded('environment', once)
  const variables = environment === undefined ? new Map<string, string>() : readEnvironment(environment)
  if (variables === null) keys.fault('environment', 'not KEY="value",KEY="value"')
  return environmentExpansions(Object.fromEntries(variables ?? []))
}

/** @returns whether there are others than supervisord's own */
function judgePlugins(judging: Judging): boolean {
  let hasOthers = false
  for (const section of judging.sections) {
    if (!section.header.startsWith('rpcinterface:')) continue
    const { here: _, ...names } = judging.names
    const keys = new Keys(section, { ...judging, names })
    const factory = keys.text(FACTORY)
    if (keys.raw(FACTORY) === undefined) keys.fault(null, `there is no ${FACTORY}`)
    if (factory !== undefined && !ENTRY_POINT.test(factory)) keys.fault(FACTORY, 'not module:name')
    if (factory !== MAIN_FACTORY) hasOthers = true
    for (const key of section.keys.keys()) keys.text(key)
  }
  return hasOthers
}

async function judgeServer(section: ConfigSection, judging: Judging): Promise<void> {
  const { header } = section
  const kind = SERVERS.find((type) => header.startsWith(type))
  if (kind === undefined) return
  const { here, ...names } = judging.names
  const keys = new Keys(section, { ...judging, names })
  const login = ['username', 'password'].filter((key) => keys.raw(key) !== undefined)
  for (const key of login) keys.text(key)
  if (login.length === 1) keys.fault(login[0] ?? null, 'username and password go together')
  if (kind === 'inet_http_server') {
    if (keys.raw('port') === undefined) keys.fault(null, 'there is no port')
    keys.read('port', readPort, 'no port')
    return
  }
  await keys.owner('chown')
  keys.read('chmod', readOctal, 'no octal number')
  if (keys.raw('file') === undefined) keys.fault(null, 'there is no file')
  if (here !== undefined) keys.know({ here })
  keys.text('file')
}

function readPort(text: string): number | null {
  const port = readInteger(text.slice(text.lastIndexOf(':') + 1))
  return port === null || port < 1 || port > 65_535 ? null : port
}
