// What supervisord takes without a word, to the harm of a program or of the whole host.
import type { DefinitionIssue } from '../../protocol/program.ts'
import { isWholeEnvironment } from '../supervisor/config-environment.ts'
import { type Expansions, expand } from '../supervisor/config-expand.ts'
import type { ConfigSection } from '../supervisor/config-file.ts'
import { processNames } from '../supervisor/config-names.ts'
import { strip } from '../supervisor/config-text.ts'
import type { ConfigTree } from '../supervisor/config-tree.ts'
import { readBytes, readInteger, readList, readSignal } from '../supervisor/config-values.ts'
import { baseProgram } from '../supervisor/program-index.ts'
import { logsOf, type WrittenLog } from './log-files.ts'

const MAKES_GROUPS = ['program', 'fcgi-program', 'group', 'eventlistener']
/** Over this supervisord cannot answer calls about any of its programs. */
const MAX_INT = 2_147_483_647

/** A harm; `key` is the key of the file that it comes from, null for the name. */
export interface Harm extends Omit<DefinitionIssue, 'path'> {
  key: string | null
}

/** What is wrong with the sections of some files, by themselves and beside all the others. */
export function harmsOf(tree: ConfigTree, files: readonly string[], expansions: Expansions): Harm[] {
  const headers = new Set(tree.headers.filter(({ file }) => files.includes(file)).map(({ header }) => header))
  const own = tree.sections.filter(({ type, header }) => type === 'program' && headers.has(header))
  return [
    ...own.flatMap((section) => [
      ...takenNames(section, tree, files),
      ...groupsWith(section, tree),
      ...oddValues(section),
      ...oddNames(section, tree, expansions),
    ]),
    ...sharedLogs(tree, { own, expansions }),
  ]
}

/** Two sections of one header are merged into one; two groups of one name cannot both be added. */
function takenNames(section: ConfigSection, { headers }: ConfigTree, files: readonly string[]): Harm[] {
  const name = strip(section.name)
  const all = headers.filter(({ header }) => {
    const at = header.indexOf(':')
    return MAKES_GROUPS.includes(header.slice(0, at)) && strip(header.slice(at + 1)) === name
  })
  const own = all.find(({ header, file }) => header === section.header && files.includes(file))
  return all
    .filter((other) => other !== own)
    .map(({ header, file, line }) => ({
      key: null,
      message: `the name is taken by [${header}] in ${file}:${line}`,
    }))
}

function groupsWith(section: ConfigSection, { sections }: ConfigTree): Harm[] {
  return sections
    .filter(
      ({ type, keys }) => type === 'group' && readList(keys.get('programs') ?? '').includes(section.name),
    )
    .map(({ header, file, line }) => ({
      key: null,
      message: `[${header}] in ${file}:${line} takes it out of its own group`,
    }))
}

function oddValues({ keys }: ConfigSection): Harm[] {
  const harms: Harm[] = []
  const harm = (key: string, message: string) => harms.push({ key, message })
  for (const [key, text] of keys) {
    // each name stands for a text, so that only what has none is left over
    const { unknown, isRefused } = expand(text.replaceAll(/%\([^()]*\)/g, '%(x)'), { x: 1 })
    if (!isRefused && unknown.some((piece) => !piece.includes('(')))
      harm(key, `supervisord puts all its variables in place of ${unknown[0]}: a percent sign is written %%`)
  }
  const environment = keys.get('environment') ?? ''
  if (!environment.includes('%') && !isWholeEnvironment(environment) && environment !== '')
    harm('environment', 'supervisord loses a part of it: put each value in quotes')
  if ((readInteger(keys.get('numprocs') ?? '1') ?? 1) < 1)
    harm('numprocs', 'a group without processes is never seen')
  if (readSignal(keys.get('stopsignal') ?? 'TERM')?.startsWith('_'))
    harm('stopsignal', 'a signal that stops nothing')
  for (const key of [
    'priority',
    'startsecs',
    'startretries',
    'stopwaitsecs',
    'stdout_logfile_backups',
    'stderr_logfile_backups',
  ])
    if (Math.abs(readInteger(keys.get(key) ?? '0') ?? 0) > MAX_INT) harm(key, TOO_LARGE)
  for (const channel of ['stdout', 'stderr'])
    for (const key of [`${channel}_logfile_maxbytes`, `${channel}_capture_maxbytes`])
      if ((readBytes(keys.get(key) ?? '0') ?? 0) > MAX_INT) harm(key, TOO_LARGE)
  return harms
}

const TOO_LARGE = `over ${MAX_INT}: supervisord could not answer calls about any of its programs`

function oddNames(section: ConfigSection, { sections }: ConfigTree, expansions: Expansions): Harm[] {
  const count = readInteger(section.keys.get('numprocs') ?? '1') ?? 1
  const { processes, unknown } = processNames(section, sections, expansions)
  const groups = new Set(processes.map(({ group }) => group)).size
  if (count < 2 || unknown.length > 0 || processes.length >= count * groups) return []
  return [
    {
      key: 'process_name',
      message: `several of its ${count} processes have one name, and only one of them runs`,
    },
  ]
}

/** A log that two write is spoiled by the first rotation that one of them makes. */
function sharedLogs(
  tree: ConfigTree,
  { own, expansions }: { own: readonly ConfigSection[]; expansions: Expansions },
): Harm[] {
  const groups = tree.sections.filter(({ type }) => type === 'group')
  const mine = own.flatMap((section) => logsOf(section, groups, expansions))
  if (mine.length === 0) return []
  // the base group of a scaled program says again what its surge groups run
  const bases = new Set(own.map(({ name }) => baseProgram(strip(name))))
  const others = tree.sections.filter(
    ({ type, name }) => type !== 'program' || !bases.has(baseProgram(strip(name))),
  )
  const taken = new Map<string, WrittenLog>()
  for (const log of others.flatMap((section) => logsOf(section, groups, expansions)))
    if (!log.isKept || !taken.has(log.path)) taken.set(log.path, log)
  const seen = new Map<string, { isKept: boolean }>()
  const harms = new Map<string, Harm>()
  for (const { path, key, header, isKept } of mine) {
    const other = taken.get(path)
    const again = seen.get(`${header} ${path}`)
    seen.set(`${header} ${path}`, { isKept: isKept && again?.isKept !== false })
    if (other && !(isKept && other.isKept))
      harms.set(key, { key, message: `${path} is written by [${other.header}] of ${other.file}, too` })
    else if (again && !(isKept && again.isKept))
      harms.set(key, { key, message: `${path} is written by several of its processes or channels` })
  }
  return [...harms.values()]
}
