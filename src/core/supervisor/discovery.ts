import { constants } from 'node:fs'
import { access, stat } from 'node:fs/promises'
import { hostname } from 'node:os'
import { dirname, isAbsolute } from 'node:path'
import { type Expansions, environmentExpansions, expand } from './config-expand.ts'
import type { ConfigError, ConfigSection } from './config-file.ts'
import { type ConfigTree, readConfigTree } from './config-tree.ts'
import { findProgramDir } from './discovery-folder.ts'
import {
  parseSupervisordArgv,
  readSupervisordProcess,
  type SupervisordOptions,
  type SupervisordProcess,
  searchPaths,
} from './discovery-process.ts'
import { joinPath } from './glob-files.ts'
import type { RecentFiles } from './recent-files.ts'

/** How a running supervisord is configured, as far as can be seen. */
export interface Discovery {
  mainFile: string | null
  /** The globs of `[include]`, absolute. */
  includes: string[]
  /** The main file and what it includes, in supervisord's order. */
  files: string[]
  /** Where a program file must go for supervisord to read it. */
  programDir: string | null
  /** The extension that it must have, without the dot. */
  programExt: string
  sections: ConfigSection[]
  /** Every header of every file, in order; those of one section come several times. */
  headers: ConfigTree['headers']
  /** What supervisord refuses of the lines themselves. */
  errors: ConfigError[]
  /** What each of `files` says by itself. Holds secrets. */
  parsed: ConfigTree['parsed']
  /** supervisord's own log; null when it has none that can be read as a file. */
  mainLog: string | null
  /** What stands in the way, each with the way out. */
  problems: string[]
  /** The names that values may use: `here`, `host_node_name`, `ENV_X`. Holds secrets. */
  expansions: Expansions
  /** The running supervisord itself, when /proc shows it. Holds secrets. */
  supervisord: SupervisordProcess | null
}

export interface DiscoverOptions {
  /** Null when supervisord does not run: then only a configured file can be read. */
  pid: number | null
  configFile: 'auto' | (string & {})
  programDir: 'auto' | (string & {})
  programExt: 'auto' | (string & {})
  /** Files that were read lately need not be read again. */
  recent?: RecentFiles
}

/** Finds and reads the configuration of a running supervisord. Never throws: what is missing is a problem. */
export async function discover(options: DiscoverOptions): Promise<Discovery> {
  const supervisord = options.pid === null ? null : await readSupervisordProcess(options.pid)
  const given = parseSupervisordArgv(supervisord?.argv ?? [])
  const problems: string[] = []
  const mainFile = await findMainFile(options, { supervisord, given, problems })
  const here = mainFile === null ? '' : dirname(mainFile)
  const environment = environmentExpansions(supervisord?.environment ?? {})
  const expansions = { ...environment, here, host_node_name: hostname() }
  const read = await readFiles(mainFile, { expansions, problems, recent: options.recent })
  const folder = await findProgramDir(options, { mainFile, includes: read.includes, problems })
  return {
    mainFile,
    ...read,
    ...folder,
    mainLog: await mainLogOf(read.sections, { given, expansions, supervisord, problems }),
    problems,
    expansions,
    supervisord,
  }
}

interface Found {
  supervisord: SupervisordProcess | null
  given: SupervisordOptions
  problems: string[]
}

async function findMainFile(
  options: DiscoverOptions,
  { supervisord, given, problems }: Found,
): Promise<string | null> {
  const fix = 'set supervisor.configFile in the agent config to its main file'
  if (options.configFile !== 'auto') return readable(options.configFile, problems, 'supervisor.configFile')
  if (!supervisord) {
    problems.push(
      `the process of supervisord is not visible in /proc (pid ${options.pid ?? 'unknown'}): ${fix}`,
    )
    return null
  }
  // A reread resolves a relative name in its folder of now; only a supervisord that changed folder needs PWD.
  const folders = foldersOf(supervisord)
  const candidates = given.configFile === null ? searchPaths(given.script) : [given.configFile]
  for (const [index, folder] of (folders.length > 0 ? folders : ['']).entries())
    for (const candidate of candidates) {
      if (!isAbsolute(candidate) && folder === '') continue
      const path = joinPath(folder, candidate)
      if (!(await isFile(path))) continue
      if (index > 0 && !isAbsolute(candidate))
        problems.push(
          `supervisord has changed its folder to ${supervisord.cwd} and cannot read ${candidate} again: start it with -c ${path}`,
        )
      return readable(path, problems, 'the main file of supervisord')
    }
  const tried = given.configFile === null ? 'its usual places' : `-c ${given.configFile}`
  problems.push(
    `no main file of supervisord found (${tried}; its folder is ${folders[0] ?? 'not readable'}): ${fix}`,
  )
  return null
}

function foldersOf(supervisord: SupervisordProcess | null): string[] {
  return [supervisord?.cwd, supervisord?.environment?.['PWD']].filter((folder) => typeof folder === 'string')
}

async function readable(path: string, problems: string[], what: string): Promise<string | null> {
  const failure = await access(path, constants.R_OK).then(
    () => null,
    (error: NodeJS.ErrnoException) => error.code ?? error.message,
  )
  if (failure === null) return path
  problems.push(`${what}: ${path} cannot be read (${failure})`)
  return null
}

async function isFile(path: string): Promise<boolean> {
  return stat(path).then(
    (found) => found.isFile(),
    () => false,
  )
}

type ReadFiles = Omit<ConfigTree, 'problems'>

async function readFiles(
  mainFile: string | null,
  {
    expansions,
    problems,
    recent,
  }: { expansions: Expansions; problems: string[]; recent: RecentFiles | undefined },
): Promise<ReadFiles> {
  if (mainFile === null)
    return { includes: [], files: [], sections: [], headers: [], errors: [], parsed: new Map() }
  const { problems: unread, ...read } = await readConfigTree(mainFile, expansions, recent ? { recent } : {})
  problems.push(...unread, ...read.errors.map(({ file, line, message }) => `${file}:${line}: ${message}`))
  return read
}

interface LogPlace {
  given: SupervisordOptions
  expansions: Expansions
  supervisord: SupervisordProcess | null
  problems: string[]
}

async function mainLogOf(sections: ConfigSection[], place: LogPlace): Promise<string | null> {
  const { given, expansions, supervisord, problems } = place
  const written =
    sections.find(({ header }) => header === 'supervisord')?.keys.get('logfile') ?? 'supervisord.log'
  const { value, unknown } =
    given.logfile === null ? expand(written, expansions) : { value: given.logfile, unknown: [] }
  const path = value.replace(/^~(?=\/|$)/, supervisord?.environment?.['HOME'] ?? '~')
  if (path === 'syslog' || path.startsWith('/dev/')) return null
  if (unknown.length > 0)
    problems.push(`[supervisord] logfile holds ${unknown.join(', ')}, which cannot be expanded here`)
  if (unknown.length > 0) return null
  // It was opened before supervisord, as a daemon, changed to its `directory`.
  const folders = isAbsolute(path) ? ['/'] : foldersOf(supervisord)
  const candidates = folders.map((folder) => joinPath(folder, path))
  for (const candidate of candidates) if (await isFile(candidate)) return candidate
  return candidates[0] ?? null
}
