import { access, constants, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { Definition } from '../../protocol/definition.ts'
import type { DefinitionIssue } from '../../protocol/program.ts'
import { commandWords } from '../policy/command-words.ts'
import type { ConfigError } from '../supervisor/config-file.ts'
import { type ConfigTree, type Overlay, readConfigTree } from '../supervisor/config-tree.ts'
import { readInteger } from '../supervisor/config-values.ts'
import type { Discovery } from '../supervisor/discovery.ts'
import { judgeTree } from '../supervisor/verdict.ts'
import type { HostFacts } from '../supervisor/verdict-keys.ts'
import { limitTools } from './command-text.ts'
import { issuesOf, warningsOf } from './definition.ts'
import { FIELDS } from './fields.ts'
import { harmsOf } from './harms.ts'

const DEFAULT_SEARCH_PATH = ['/bin', '/usr/bin', '/usr/local/bin']
/** Of supervisord itself: its socket, its log, its clients. */
const OWN_DESCRIPTORS = 50

export interface Change {
  /** The configuration of now. */
  discovery: Discovery
  facts: HostFacts
  /** The files that the change writes or takes away. */
  overlay: Overlay
  /** All files of the program after the change. */
  files: readonly string[]
  /** Null when the program goes away, or is not looked at by itself. */
  definition: Definition | null
}

export interface Validation {
  /** What is wrong with the program; empty when it can be written. */
  issues: DefinitionIssue[]
  /** What supervisord refuses already, in files of others: as long as it does, nothing can be changed. */
  foreign: ConfigError[]
  warnings: string[]
}

/**
 * Judges the whole configuration as it would be after a change: what supervisord would refuse, and what it takes
 * without a word to the harm of the program. Nothing is written.
 */
export async function validate(change: Change): Promise<Validation> {
  const { discovery, facts, overlay, files, definition } = change
  const { mainFile, expansions } = discovery
  if (mainFile === null) return { issues: [], foreign: [], warnings: [] }
  const tree = await readConfigTree(mainFile, expansions, { overlay, parsed: discovery.parsed })
  const faults = await judgeTree(tree, { expansions, facts })
  const issues =
    definition === null ? [] : [...issuesOf(definition), ...(await hostIssues(definition, change))]
  const old = faults.some(({ file }) => !files.includes(file)) ? await faultsBefore(change) : []
  const isOld = ({ file, message }: ConfigError) =>
    old.some((fault) => fault.file === file && fault.message === message)
  const foreign = faults.filter((fault) => !files.includes(fault.file))
  for (const { file, key, message } of faults)
    if (files.includes(file)) issues.push({ path: pathOf(key), message })
  for (const fault of foreign)
    if (!isOld(fault))
      issues.push({
        path: 'name',
        message: `[${fault.header}] in ${fault.file}:${fault.line}: ${fault.message}`,
      })
  for (const { key, message } of harmsOf(tree, files, expansions))
    issues.push({ path: key === null ? 'name' : pathOf(key), message })
  return {
    issues: distinct(issues),
    foreign: foreign.filter(isOld).map(({ file, line, message }) => ({ file, line, message })),
    warnings: [...(definition === null ? [] : warningsOf(definition)), ...descriptorWarnings(tree)],
  }
}

/** What supervisord refuses already, without the change. */
async function faultsBefore({ discovery, facts }: Change): Promise<ConfigError[]> {
  return await judgeTree(discovery, { expansions: discovery.expansions, facts })
}

/** The field that a key of the file stands for. */
function pathOf(key: string | null): string {
  if (key === null) return 'definition'
  if (key === 'process_name') return 'name'
  return FIELDS.find((field) => field.key.ini === key)?.name ?? key
}

/** One issue for each thing and field. */
function distinct(issues: readonly DefinitionIssue[]): DefinitionIssue[] {
  return [...new Map(issues.map((issue) => [JSON.stringify(issue), issue])).values()]
}

/** supervisord reads its files in the encoding of its locale, which for C and no locale at all is UTF-8. */
function encodingIssues(definition: Definition, { supervisord }: Discovery): DefinitionIssue[] {
  const { LC_ALL, LC_CTYPE, LANG } = supervisord?.environment ?? {}
  const locale = LC_ALL || LC_CTYPE || LANG || 'C'
  if (/^(?:C|POSIX)$|utf-?8/i.test(locale)) return []
  return Object.entries(definition)
    .filter(([, value]) => /[^\0-\x7f]/.test(JSON.stringify(value)))
    .map(([path]) => ({
      path,
      message: `supervisord runs in the locale ${locale}: only ASCII is safe there`,
    }))
}

/** What the host lacks of what the definition names. */
async function hostIssues(definition: Definition, { facts, discovery }: Change): Promise<DefinitionIssue[]> {
  const issues = encodingIssues(definition, discovery)
  const { directory, command, limits, environment } = definition
  if (directory !== undefined && !(await facts.isFolder(directory)))
    issues.push({ path: 'directory', message: `there is no folder ${directory}` })
  for (const { field, path } of limitTools(limits))
    if (!(await isExecutable(path))) issues.push({ path: `limits.${field}`, message: `it needs ${path}` })
  const [program] = commandWords(command ?? '') ?? []
  const path = environment?.['PATH'] ?? discovery.supervisord?.environment?.['PATH']
  const folders = path?.split(':') ?? DEFAULT_SEARCH_PATH
  const message = program ? await whyNotRunnable(program.text, folders) : null
  if (message !== null) issues.push({ path: 'command', message })
  return issues
}

async function whyNotRunnable(program: string, folders: readonly string[]): Promise<string | null> {
  if (program.startsWith('/'))
    return (await isExecutable(program)) ? null : `${program} is not an executable file`
  if (program.includes('/')) return `${program} is sought from the folder of supervisord: write the full path`
  for (const folder of folders) if (await isExecutable(join('/', folder, program))) return null
  return `there is no ${program} in ${folders.join(':')}`
}

async function isExecutable(path: string): Promise<boolean> {
  const found = await stat(path).catch(() => null)
  if (!found?.isFile()) return false
  return access(path, constants.X_OK).then(
    () => true,
    () => false,
  )
}

/** supervisord holds five descriptors for a process, three when its channels are joined. */
function descriptorWarnings({ sections }: ConfigTree): string[] {
  const wanted = sections
    .filter(({ type }) => ['program', 'fcgi-program', 'eventlistener'].includes(type))
    .map(
      ({ keys }) =>
        (readInteger(keys.get('numprocs') ?? '1') ?? 1) * (keys.get('redirect_stderr') === 'true' ? 3 : 5),
    )
    .reduce((sum, count) => sum + Math.max(0, count), OWN_DESCRIPTORS)
  const main = sections.find(({ header }) => header === 'supervisord')
  const allowed = readInteger(main?.keys.get('minfds') ?? '1024') ?? 1024
  if (wanted <= allowed) return []
  return [
    `all programs together need about ${wanted} file descriptors, and [supervisord] minfds asks for ${allowed}: raise it`,
  ]
}
