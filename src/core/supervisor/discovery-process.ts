import { readFile, readlink, realpath } from 'node:fs/promises'
import { basename, dirname } from 'node:path'

/** What /proc tells of a running supervisord. What may not be read is null. */
export interface SupervisordProcess {
  pid: number
  argv: string[]
  /** The interpreter, as a path that a command line can use. */
  exe: string | null
  cwd: string | null
  /** Its environment at the start. Holds secrets: never logged, never sent. */
  environment: Record<string, string> | null
  uid: number
  gid: number
}

/** Options on supervisord's command line that decide where things are. */
export interface SupervisordOptions {
  configFile: string | null
  logfile: string | null
  directory: string | null
  /** The script, for supervisord's own search order; null when it cannot be told. */
  script: string | null
}

/** Null when there is no such process. */
export async function readSupervisordProcess(pid: number): Promise<SupervisordProcess | null> {
  const root = `/proc/${pid}`
  const argv = await strings(`${root}/cmdline`)
  const status = await readFile(`${root}/status`, 'utf8').catch(() => '')
  if (!argv || argv.length === 0) return null
  const environ = await strings(`${root}/environ`)
  return {
    pid,
    argv,
    exe: await interpreter(`${root}/exe`, argv[0] ?? ''),
    cwd: await readlink(`${root}/cwd`).catch(() => null),
    environment: environ && Object.fromEntries(environ.filter((entry) => entry.indexOf('=') > 0).map(pair)),
    uid: effective(status, 'Uid'),
    gid: effective(status, 'Gid'),
  }
}

async function strings(path: string): Promise<string[] | null> {
  const text = await readFile(path, 'utf8').catch(() => null)
  return text === null
    ? null
    : text
        .replace(/\0$/, '')
        .split('\0')
        .filter((part, index) => part !== '' || index > 0)
}

function pair(assignment: string): [string, string] {
  const at = assignment.indexOf('=')
  return [assignment.slice(0, at), assignment.slice(at + 1)]
}

function effective(status: string, name: 'Uid' | 'Gid'): number {
  return Number(new RegExp(`^${name}:\\s+\\d+\\s+(\\d+)`, 'm').exec(status)?.[1] ?? 0)
}

/** The name it was started by when that is the same file: it stays right over an upgrade of the package. */
async function interpreter(link: string, argv0: string): Promise<string | null> {
  const exe = await realpath(link).catch(() => null)
  if (argv0.startsWith('/') && (await realpath(argv0).catch(() => null)) === exe) return exe && argv0
  if (!exe) return null
  const usual = '/usr/bin/python3'
  return (await realpath(usual).catch(() => null)) === exe ? usual : exe
}

/** getopt's table of supervisord 4.2 and 4.3; `=` or `:` takes a value. */
const SHORT = 'h?c:vnu:m:d:l:y:z:e:j:i:q:a:kts'
const LONG = (
  'help configuration= version nodaemon user= umask= directory= logfile= logfile_maxbytes= logfile_backups= ' +
  'loglevel= pidfile= identifier= childlogdir= minfds= minprocs= nocleanup strip_ansi profile_options= silent'
).split(' ')
const SHORT_OF: Record<string, string> = { c: 'configuration=', l: 'logfile=', d: 'directory=' }

/** Reads the command line as Python and then getopt do: bundled and attached values, unique prefixes. */
export function parseSupervisordArgv(argv: readonly string[]): SupervisordOptions {
  const { script, rest } = cutInterpreter(argv)
  const options: SupervisordOptions = { configFile: null, logfile: null, directory: null, script }
  const set = (name: string | undefined, value: string | undefined): void => {
    if (value === undefined) return
    if (name === 'configuration=') options.configFile = value
    else if (name === 'logfile=') options.logfile = value
    else if (name === 'directory=') options.directory = value
  }
  const queue = [...rest]
  for (
    let word = queue.shift();
    word !== undefined && /^-./s.test(word) && word !== '--';
    word = queue.shift()
  )
    if (word.startsWith('--')) {
      const [prefix = '', ...value] = word.slice(2).split('=')
      const name = longOption(prefix)
      if (name?.endsWith('=')) set(name, value.length > 0 ? value.join('=') : queue.shift())
    } else
      for (let letters = word.slice(1); letters !== ''; letters = letters.slice(1)) {
        const letter = letters.slice(0, 1)
        if (SHORT[SHORT.indexOf(letter) + 1] !== ':') continue
        set(SHORT_OF[letter], letters.length > 1 ? letters.slice(1) : queue.shift())
        break
      }
  return options
}

function longOption(prefix: string): string | undefined {
  const candidates = LONG.filter((name) => name.startsWith(prefix))
  return (
    candidates.find((name) => name === prefix || name === `${prefix}=`) ??
    (candidates.length === 1 ? candidates[0] : undefined)
  )
}

function cutInterpreter(argv: readonly string[]): { script: string | null; rest: string[] } {
  const [first = '', ...rest] = argv
  if (!/^(python|pypy)/.test(basename(first))) return { script: first, rest }
  while (rest.length > 0) {
    const word = rest.shift() ?? ''
    if (word === '-m') return { script: null, rest: rest.slice(1) }
    if (/^-[WX]$/.test(word) || word === '--check-hash-based-pycs') rest.shift()
    else if (!word.startsWith('-')) return { script: word, rest }
  }
  return { script: null, rest }
}

/** Where supervisord looks when it was given no `-c`, first wins; relative ones are relative to its folder. */
export function searchPaths(script: string | null): string[] {
  const here = script === null ? null : dirname(dirname(script))
  return [
    ...(here === null ? [] : [`${here}/etc/supervisord.conf`, `${here}/supervisord.conf`]),
    'supervisord.conf',
    'etc/supervisord.conf',
    '/etc/supervisord.conf',
    '/etc/supervisor/supervisord.conf',
  ]
}
