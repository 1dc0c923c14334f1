// A file for which supervisord refuses all of its files can be put aside, on the word of whoever is at the host, and
// taken back. Nothing else is touched: supervisord only reads its files again with the next change.
import { lstat, open, readFile, rename } from 'node:fs/promises'
import { dirname } from 'node:path'
import { AgentError } from '../../protocol/errors.ts'
import type { Principal } from '../access/principal.ts'
import type { Accounts } from '../policy/accounts.ts'
import type { ConfigError } from '../supervisor/config-file.ts'
import { type ConfigTree, type Overlay, readConfigTree } from '../supervisor/config-tree.ts'
import type { Discovery } from '../supervisor/discovery.ts'
import { dryParse } from '../supervisor/dry-parse.ts'
import { hostFacts } from '../supervisor/host-facts.ts'
import { LISTENER_GROUP } from '../supervisor/listener-section.ts'
import type { ProcessTable } from '../supervisor/process-table.ts'
import { judgeTree } from '../supervisor/verdict.ts'
import { brokenBy, configBroken, placeIn } from './broken.ts'
import { writing } from './writing.ts'

/** No `*.conf` or `*.ini` takes it, and it stays where a person will look. */
const SUFFIX = '.quarantined'
const MAX_BYTES = 1024 * 1024
const MAKES_PROCESSES = /^(?:program|fcgi-program|eventlistener|group):/

export interface QuarantineWish {
  /** As CONFIG_BROKEN names it, also when it is taken back. */
  file: string
  undo: boolean
}

/** A move that nothing speaks against. */
export interface Move {
  from: string
  to: string
  /** What supervisord refuses still. */
  faults: ConfigError[]
}

export interface QuarantineDeps {
  accounts: Accounts
  table: ProcessTable
  discover: () => Promise<Discovery>
  /** The files were changed. */
  onFiles: () => Promise<void>
}

export class Quarantine {
  readonly #deps: QuarantineDeps

  constructor(deps: QuarantineDeps) {
    this.#deps = deps
  }

  /** Judges a move, with no effect. @throws {AgentError} FORBIDDEN, PROGRAM_INVALID; CONFIG_BROKEN for one back */
  async prepare({ file, undo }: QuarantineWish, principal: Principal): Promise<Move> {
    if (!principal.isAbovePolicy)
      throw new AgentError(
        'FORBIDDEN',
        'files are put aside on admin.sock alone, by whoever is at the host',
        {
          facts: { rule: 'admin.sock', file },
        },
      )
    const discovery = await this.#deps.discover()
    const { mainFile } = discovery
    if (mainFile === null) throw refused(file, discovery.problems.join('; '))
    return undo ? await this.#back(file, discovery, mainFile) : await this.#aside(file, discovery, mainFile)
  }

  /** @throws {AgentError} SUPERVISOR_FAULT when the folder cannot be written */
  async commit({ from, to }: Move): Promise<void> {
    await writing(to, async () => {
      await rename(from, to)
      const folder = await open(dirname(to), 'r')
      try {
        await folder.sync()
      } finally {
        await folder.close()
      }
    })
    await this.#deps.onFiles()
  }

  async #aside(file: string, discovery: Discovery, mainFile: string): Promise<Move> {
    const { files, errors, headers } = discovery
    if (file === mainFile) throw refused(file, 'it is the main file of supervisord: mend it')
    if (!files.includes(file) && !errors.some((error) => error.file === file))
      throw refused(file, 'supervisord reads no such file')
    const before = await this.#faults(discovery, discovery)
    if (!before.some((fault) => fault.file === file) && !(await isRefused(file, discovery)))
      throw refused(file, 'supervisord takes it: there is nothing to put aside')
    const own = headers.filter((one) => one.file === file).map(({ header }) => header)
    this.#assertNotNeeded(file, own)
    const to = file + SUFFIX
    if (await exists(to)) throw refused(file, `${to} is there already`)
    const tree = await readConfigTree(mainFile, discovery.expansions, {
      overlay: new Map([
        [file, null],
        [to, new Uint8Array()],
      ]),
    })
    if (tree.files.includes(to)) throw refused(file, `supervisord would read ${to}, too`)
    const faults = await this.#faults(tree, discovery)
    const [fresh] = newOf(faults, before)
    if (fresh) throw refused(file, `without it ${fresh.file}:${fresh.line}: ${fresh.message}`)
    return { from: file, to, faults }
  }

  async #back(file: string, discovery: Discovery, mainFile: string): Promise<Move> {
    const from = file + SUFFIX
    const found = await lstat(from).catch(() => null)
    if (found === null) throw refused(file, `there is no ${from}`)
    if (found.size > MAX_BYTES) throw refused(file, `${from} is longer than ${MAX_BYTES} bytes`)
    if (await exists(file)) throw refused(file, `${file} is there again`)
    const overlay: Overlay = new Map([
      [file, await readFile(from)],
      [from, null],
    ])
    const tree = await readConfigTree(mainFile, discovery.expansions, { overlay })
    if (!tree.files.includes(file) && !tree.errors.some((error) => error.file === file))
      throw refused(file, 'no glob of [include] takes it')
    const before = await this.#faults(discovery, discovery)
    const faults = await this.#faults(tree, discovery)
    const fresh = newOf(faults, before)
    if (fresh.length > 0) throw configBroken(fresh)
    if (before.length === 0) {
      const verdict = await dryParse(discovery, overlay)
      if (verdict.judged && verdict.fault !== null) throw brokenBy(verdict.fault, tree)
    }
    return { from, to: file, faults }
  }

  /** What supervisord runs by, or runs, is mended where it is. */
  #assertNotNeeded(file: string, headers: readonly string[]): void {
    const own = headers.find(
      (header) => !MAKES_PROCESSES.test(header) || header.endsWith(`:${LISTENER_GROUP}`),
    )
    if (own !== undefined)
      throw refused(file, `it holds [${own}], which the running supervisord needs: mend it`)
    const names = new Set(headers.map((header) => header.slice(header.indexOf(':') + 1).trim()))
    const running = this.#deps.table
      .all()
      .find(({ pid, group, program }) => pid !== null && (names.has(group) || names.has(program)))
    if (running !== undefined)
      throw refused(
        file,
        `${running.name} of it is running, and an update would stop it: mend it, or stop that first`,
      )
  }

  async #faults(tree: ConfigTree, discovery: Discovery): Promise<ConfigError[]> {
    const facts = hostFacts(discovery, this.#deps.accounts)
    const faults = await judgeTree(tree, { expansions: discovery.expansions, facts })
    return faults.map(({ file, line, message }) => ({ file, line, message }))
  }
}

function newOf(faults: readonly ConfigError[], before: readonly ConfigError[]): ConfigError[] {
  return faults.filter(
    (fault) => !before.some(({ file, message }) => fault.file === file && fault.message === message),
  )
}

/** Does supervisord itself name the file, where we see nothing wrong? */
async function isRefused(file: string, discovery: Discovery): Promise<boolean> {
  const verdict = await dryParse(discovery)
  return verdict.judged && verdict.fault !== null && placeIn(verdict.fault, discovery)?.file === file
}

async function exists(path: string): Promise<boolean> {
  return lstat(path).then(
    () => true,
    () => false,
  )
}

function refused(file: string, why: string): AgentError {
  const message = `${file}: ${why}`
  return new AgentError('PROGRAM_INVALID', message, { facts: { issues: [{ path: 'file', message: why }] } })
}
