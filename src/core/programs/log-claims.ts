// Whoever names a log file can read and empty it afterwards: a program gets a file that is new or was its own, never
// one that another program, supervisord or anything else on the host writes.
import { type Dirent, type Stats } from 'node:fs'
import { lstat, readdir, readlink, realpath, stat } from 'node:fs/promises'
import { basename, dirname, join, resolve } from 'node:path'
import type { Violation } from '../../protocol/policy.ts'
import { mayUseProgram, type Principal } from '../access/principal.ts'
import type { Verdict } from '../policy/subject.ts'
import type { ConfigSection } from '../supervisor/config-file.ts'
import { strip } from '../supervisor/config-text.ts'
import type { Discovery } from '../supervisor/discovery.ts'
import { baseProgram } from '../supervisor/program-index.ts'
import { logsOf, type WrittenLog } from './log-files.ts'

const RULE = 'policy.logDirectories'
const BACKUP = /\.\d+$/

/** Somebody else's log. */
interface Foreign {
  path: string
  /** The program that writes it; null for supervisord itself. */
  program: string | null
}

interface LogClaim {
  name: string
  /** The program as it will be. */
  section: ConfigSection
  discovery: Discovery
  principal: Principal
}

/**
 * A verdict with what speaks against the log files of the program, if it may be at all.
 * @param ownLogs log files that it had before, as {@link logPaths} gives them
 */
export async function withLogs<R>(
  verdict: Verdict<R>,
  claim: LogClaim,
  ownLogs: () => Promise<string[]>,
): Promise<Verdict<R>> {
  if (!verdict.allowed) return verdict
  const found = await logViolations(claim, new Set(await ownLogs()))
  const allowed = found.length === 0 || claim.principal.isAbovePolicy
  return { ...verdict, allowed, violations: [...verdict.violations, ...found] }
}

/** Nothing foreign is named to one who may not see it. */
async function logViolations(
  { name, section, discovery, principal }: LogClaim,
  owned: ReadonlySet<string>,
): Promise<Violation[]> {
  const logs = filesOf(section, discovery)
  if (logs.length === 0) return []
  const disk = new LogFolders()
  const others = await foreignLogs(name, discovery, disk)
  const isVisible = mayUseProgram(principal)
  const violations = new Map<string, Violation>()
  for (const log of logs) {
    if (violations.has(log.key)) continue
    const path = await disk.place(log.path)
    const other = others.find((one) => isSameLog(one.path, path)) ?? (await disk.linked(path, others)) ?? null
    if (other === null && (owned.has(path) || !(await disk.holds(path)))) continue
    const writer = other?.program
    const why =
      writer && isVisible(writer)
        ? `is a log of ${writer}`
        : `is there already, or kept for something else, and was no log of ${name} before`
    violations.set(log.key, {
      code: 'POLICY_DENIED',
      rule: RULE,
      text: `${log.path} ${why}: name a file that is not there yet`,
      path: log.key === 'stdout_logfile' ? 'stdoutLogfile' : 'stderrLogfile',
    })
  }
  return [...violations.values()]
}

/** The log files of a program's section, by their real folder. */
export async function logPaths(section: ConfigSection, discovery: Discovery): Promise<string[]> {
  const disk = new LogFolders()
  const paths: string[] = []
  for (const { path } of filesOf(section, discovery)) paths.push(await disk.place(path))
  return [...new Set(paths)]
}

/** Those that are files; anything else is for the policy to judge. */
function filesOf(section: ConfigSection, { sections, expansions }: Discovery): WrittenLog[] {
  return logsOf(section, sections, expansions).filter(({ path }) => path.startsWith('/'))
}

async function foreignLogs(name: string, discovery: Discovery, disk: LogFolders): Promise<Foreign[]> {
  const { sections, expansions, mainLog, supervisord } = discovery
  const groups = sections.filter(({ type }) => type === 'group')
  const found: Foreign[] = mainLog === null ? [] : [{ path: mainLog, program: null }]
  for (const section of sections) {
    const program = baseProgram(strip(section.name))
    if (section.type === 'program' && program === name) continue
    for (const { path } of logsOf(section, groups, expansions))
      found.push({
        path: resolve(supervisord?.cwd ?? '/', path),
        program: section.header === 'supervisord' ? null : program,
      })
  }
  const places: Foreign[] = []
  for (const { path, program } of found) places.push({ path: await disk.place(path), program })
  return places
}

/** One file, or one that a rotation makes of the other: `NAME.1`, `NAME.2` and so on. */
export function isSameLog(a: string, b: string): boolean {
  return a === b || isBackupOf(a, b) || isBackupOf(b, a)
}

function isBackupOf(path: string, log: string): boolean {
  return path.startsWith(`${log}.`) && BACKUP.test(path) && path.replace(BACKUP, '') === log
}

/** What lies in the folders of logs; each folder is read once. */
class LogFolders {
  readonly #real = new Map<string, Promise<string>>()
  readonly #entries = new Map<string, Promise<Map<string, Dirent>>>()

  /** Where a log really is: by the real path of its folder, and of what a link in it leads to. */
  async place(path: string): Promise<string> {
    const folder = await this.#realOf(dirname(path))
    const entry = (await this.#entriesOf(folder)).get(basename(path))
    const place = join(folder, basename(path))
    if (!entry?.isSymbolicLink()) return place
    // one that leads to nothing yet is written through all the same
    const led = async () => resolve(folder, await readlink(place))
    return await realpath(place)
      .catch(led)
      .catch(() => place)
  }

  /** Is there anything of a log, the log itself or a backup? */
  async holds(path: string): Promise<boolean> {
    return (await this.#filesOf(path)).length > 0
  }

  /** Whose log is the very same file under another name? */
  async linked(path: string, others: readonly Foreign[]): Promise<Foreign | undefined> {
    const wanted = new Set<string>()
    for (const file of await this.#filesOf(path)) {
      const stats = await lstat(file).catch(() => null)
      if (stats !== null && stats.nlink > 1) wanted.add(identityOf(stats))
    }
    if (wanted.size === 0) return undefined
    for (const other of others)
      for (const file of await this.#filesOf(other.path)) {
        const stats = await stat(file).catch(() => null)
        if (stats !== null && wanted.has(identityOf(stats))) return other
      }
    return undefined
  }

  async #filesOf(path: string): Promise<string[]> {
    const names = [...(await this.#entriesOf(dirname(path))).keys()]
    return names
      .map((name) => join(dirname(path), name))
      .filter((file) => file === path || isBackupOf(file, path))
  }

  #realOf(folder: string): Promise<string> {
    const known = this.#real.get(folder) ?? realpath(folder).catch(() => folder)
    this.#real.set(folder, known)
    return known
  }

  #entriesOf(folder: string): Promise<Map<string, Dirent>> {
    const known =
      this.#entries.get(folder) ??
      readdir(folder, { withFileTypes: true }).then(
        (entries) => new Map(entries.map((entry) => [entry.name, entry])),
        () => new Map(),
      )
    this.#entries.set(folder, known)
    return known
  }
}

function identityOf({ dev, ino }: Stats): string {
  return `${dev}:${ino}`
}
