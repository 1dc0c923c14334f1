import { mkdir, readFile, unlink } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { writeFileAtomic } from '../../lib/atomic-file.ts'
import { KeyedMutex } from '../../lib/keyed-mutex.ts'
import { AgentError } from '../../protocol/errors.ts'
import type { Discovery } from './discovery.ts'
import { requireSound } from './dry-parse.ts'
import { type ForeignChanges, ListenerGroup, type Rpc } from './listener-group.ts'
import {
  findListener,
  freePriority,
  isOurs,
  LISTENER_GROUP,
  renderListenerSection,
} from './listener-section.ts'

const FALLBACK_PYTHON = '/usr/bin/python3'

export interface ListenerInstallDeps {
  rpc: Rpc
  discover(): Promise<Discovery>
  /** The packaged assets/event-listener.py. */
  shimSource: string
  /** Where it is copied to: a path that outlives the package and that supervisord's user can read. */
  shimPath: string
  socketPath: string
  /** Default: supervisord's own interpreter. */
  python?: string
  bufferSize?: number
}

export interface InstallOutcome {
  file: string
  changed: boolean
  priority: number
  /** supervisord's word for the listener after the start. */
  groupState: string | null
  foreign: ForeignChanges
}

export interface RemoveOutcome {
  file: string | null
  changed: boolean
  foreign: ForeignChanges
  /** Why supervisord did not read its files again; null when it did. */
  problem: string | null
}

export interface InstallStatus {
  installed: boolean
  file: string | null
  groupState: string | null
  bufferSize: number | null
  priority: number | null
  /** The section and the shim are what `install` would write now. */
  upToDate: boolean
}

/** Puts our event listener into supervisord's configuration and takes it out; touches no other group and no other file. */
export class ListenerInstall {
  readonly #deps: ListenerInstallDeps
  readonly #group: ListenerGroup
  readonly #mutex = new KeyedMutex()

  constructor(deps: ListenerInstallDeps) {
    this.#deps = deps
    this.#group = new ListenerGroup(deps.rpc)
  }

  /**
   * Writes the section and starts the listener; changes nothing when all of it is there.
   * @throws {AgentError} SUPERVISOR_FAULT when there is no place for the file, or supervisord refuses its
   * configuration: then every file is as it was. What `rpc` throws.
   */
  install(): Promise<InstallOutcome> {
    return this.#mutex.run('install', () => this.#install())
  }

  /** Stops the listener and deletes its file; parts that are missing are passed over. */
  remove(): Promise<RemoveOutcome> {
    return this.#mutex.run('install', () => this.#remove())
  }

  async status(): Promise<InstallStatus> {
    const discovery = await this.#deps.discover()
    const section = findListener(discovery.sections)
    const file = section?.file ?? null
    const text = file === null ? null : await textOf(file)
    const isShimSame = (await textOf(this.#deps.shimPath)) === (await textOf(this.#deps.shimSource))
    return {
      installed: section !== undefined,
      file,
      groupState: await this.#group.state(),
      bufferSize: numberOf(section?.keys.get('buffer_size')),
      priority: numberOf(section?.keys.get('priority')),
      upToDate: text !== null && text === this.#render(discovery).text && isShimSame,
    }
  }

  async #install(): Promise<InstallOutcome> {
    const discovery = await this.#deps.discover()
    const file = fileIn(discovery)
    const before = await textOf(file)
    await refuseForeign(discovery, file, before)
    const { text, priority } = this.#render(discovery)
    await requireSound(discovery, 'nothing was written')
    const isShimNew = await this.#copyShim()
    const isFileNew = before !== text
    const foreign = await this.#put(file, { before, text, isFileNew, discovery, isShimNew })
    return {
      file,
      changed: isFileNew || isShimNew,
      priority,
      groupState: await this.#group.settledState(),
      foreign,
    }
  }

  async #put(
    file: string,
    change: {
      before: string | null
      text: string
      isFileNew: boolean
      isShimNew: boolean
      discovery: Discovery
    },
  ): Promise<ForeignChanges> {
    const { before, text, isFileNew, isShimNew, discovery } = change
    try {
      if (isFileNew) {
        await writeFileAtomic(file, text, 0o644)
        await requireSound(discovery, `${file} was put back as it was`)
      }
      const { foreign, isChanged } = await this.#group.reread()
      const isAdded = await this.#group.add()
      if (!isAdded && (isFileNew || isChanged)) await this.#group.replace()
      else if (!isAdded && isShimNew) await this.#group.restart()
      return foreign
    } catch (error) {
      if (isFileNew) await this.#putBack(file, before)
      throw error
    }
  }

  /** As before the call, on disk and in supervisord's memory. */
  async #putBack(file: string, before: string | null): Promise<void> {
    if (before === null) await unlink(file).catch(() => undefined)
    else await writeFileAtomic(file, before, 0o644)
    try {
      await this.#group.reread()
      if (before !== null) await this.#group.add()
    } catch {
      // the failure that led here is the one to tell
    }
  }

  async #remove(): Promise<RemoveOutcome> {
    const discovery = await this.#deps.discover()
    const file = findListener(discovery.sections)?.file ?? null
    const isDropped = await this.#group.drop().catch(passUnreachable)
    const isDeleted = file !== null && isOurs((await textOf(file)) ?? '')
    if (isDeleted) await unlink(file)
    return { file: isDeleted ? file : null, changed: isDropped || isDeleted, ...(await this.#afterRemoval()) }
  }

  /** Our part is done by now: a foreign file that supervisord refuses is told, not thrown. */
  async #afterRemoval(): Promise<Pick<RemoveOutcome, 'foreign' | 'problem'>> {
    try {
      return { foreign: (await this.#group.reread()).foreign, problem: null }
    } catch (error) {
      if (!(error instanceof AgentError)) throw error
      return { foreign: { added: [], changed: [], removed: [] }, problem: error.message }
    }
  }

  #render(discovery: Discovery): { text: string; priority: number } {
    const { python, shimPath, socketPath, bufferSize } = this.#deps
    const own = discovery.supervisord?.exe
    const priority = freePriority(discovery.sections)
    const text = renderListenerSection({
      python: python ?? (own && /\/(?:python|pypy)[^/]*$/.test(own) ? own : FALLBACK_PYTHON),
      shimPath,
      socketPath,
      bufferSize: bufferSize ?? 2000,
      priority,
    })
    return { text, priority }
  }

  async #copyShim(): Promise<boolean> {
    const { shimSource, shimPath } = this.#deps
    const source = await readFile(shimSource, 'utf8')
    if ((await textOf(shimPath)) === source) return false
    await mkdir(dirname(shimPath), { recursive: true, mode: 0o755 })
    await writeFileAtomic(shimPath, source, 0o755)
    return true
  }
}

function fileIn({ programDir, programExt, problems }: Discovery): string {
  if (programDir === null)
    throw new AgentError(
      'SUPERVISOR_FAULT',
      `there is no folder for the listener's file: ${problems.join('; ') || 'none was found'}`,
      {
        facts: { fault: 'NO_PROGRAM_DIR', problems },
      },
    )
  return join(programDir, `agent-listener.${programExt}`)
}

async function refuseForeign({ sections }: Discovery, file: string, text: string | null): Promise<void> {
  const other = findListener(sections)?.file ?? file
  if ((text === null || isOurs(text)) && other === file) return
  throw new AgentError(
    'SUPERVISOR_FAULT',
    `[eventlistener:${LISTENER_GROUP}] or its file is already there: look at ${other}, then delete it`,
    {
      facts: { fault: 'FOREIGN_FILE', file: other },
    },
  )
}

function numberOf(text: string | undefined): number | null {
  return text === undefined || !/^-?\d+$/.test(text) ? null : Number(text)
}

async function textOf(file: string): Promise<string | null> {
  return readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return null
    throw error
  })
}

function passUnreachable(error: unknown): false {
  if (error instanceof AgentError && error.code === 'SUPERVISOR_UNREACHABLE') return false
  throw error
}
