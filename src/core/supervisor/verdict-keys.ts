import { isAbsolute } from 'node:path'
import { type Expansions, expand } from './config-expand.ts'
import type { ConfigError, ConfigSection } from './config-file.ts'
import { readInteger } from './config-values.ts'
import { joinPath } from './glob-files.ts'

/** One thing for which supervisord refuses the whole configuration. */
export interface Fault extends ConfigError {
  /** The section; empty when it is a line of its own. */
  header: string
  key: string | null
}

/** What supervisord asks its host while it reads its files. */
export interface HostFacts {
  isFolder(path: string): Promise<boolean>
  findUser(user: string | number): Promise<{ uid: number } | null>
  hasGroup(group: string | number): Promise<boolean>
  /** Where relative paths begin, and what `~` stands for; null when it cannot be seen. */
  cwd: string | null
  home: string | null
  /** False when its variables cannot be seen: then a place for one is taken for good. */
  seesVariables: boolean
}

/** The values of one section, as supervisord takes them. What it refuses becomes a fault, and is then left out. */
export class Keys {
  readonly section: ConfigSection
  readonly #faults: Fault[]
  readonly #facts: HostFacts
  readonly #names: Expansions
  /** Names that came later, before which the others stand back. */
  readonly #later: Record<string, string | number> = {}

  constructor(
    section: ConfigSection,
    { faults, facts, names }: { faults: Fault[]; facts: HostFacts; names: Expansions },
  ) {
    this.section = section
    this.#faults = faults
    this.#facts = facts
    this.#names = names
  }

  /** Adds names that values may use from here on. */
  know(names: Expansions): void {
    Object.assign(this.#later, names)
  }

  fault(key: string | null, message: string): void {
    const { header, file, line, places } = this.section
    const place = (key === null ? undefined : places.get(key)) ?? { file, line }
    const known = this.#faults.some(
      (fault) => fault.header === header && fault.key === key && fault.message === message,
    )
    if (!known) this.#faults.push({ file: place.file, line: place.line, message, header, key })
  }

  raw(key: string): string | undefined {
    return this.section.keys.get(key)
  }

  text(key: string): string | undefined {
    const raw = this.raw(key)
    return raw === undefined ? undefined : this.expanded(key, raw)
  }

  expanded(key: string, text: string): string | undefined {
    if (!text.includes('%')) return text
    const variables = this.#facts.seesVariables ? {} : Object.fromEntries(variablesIn(text))
    const { value, unknown, isRefused } = expand(text, variables, this.#names, this.#later)
    if (!isRefused) return value
    this.fault(key, `supervisord cannot expand ${unknown.at(-1) ?? '%'}: a percent sign is written %%`)
    return undefined
  }

  read<T>(key: string, reader: (text: string) => T | null, what: string): T | undefined {
    const text = this.text(key)
    if (text === undefined) return undefined
    const value = reader(text)
    if (value === null) this.fault(key, `${text.slice(0, 60)} is ${what}`)
    return value ?? undefined
  }

  integer(key: string): number | undefined {
    return this.read(key, readInteger, 'no integer')
  }

  /** A user by name or number. */
  async user(key: string): Promise<void> {
    const user = this.text(key)
    if (user !== undefined && !(await this.#isUser(user)))
      this.fault(key, `there is no user ${user.slice(0, 60)}`)
  }

  /** `user`, or `user:group`. */
  async owner(key: string): Promise<void> {
    const text = this.text(key)
    if (text === undefined) return
    const [user = '', ...rest] = text.split(':')
    const group = rest.join(':')
    const isGroup = rest.length === 0 || (await this.#facts.hasGroup(readInteger(group) ?? group))
    if (!(await this.#isUser(user)) || !isGroup)
      this.fault(key, `there is no such owner: ${text.slice(0, 60)}`)
  }

  /** A path whose folder must be there. */
  async file(key: string, path: string | undefined): Promise<void> {
    if (path?.includes('/')) await this.folder(key, path.slice(0, path.lastIndexOf('/')) || '/')
  }

  /** A folder that must be there. Of another user's home nothing is asked. */
  async folder(key: string, path: string | undefined): Promise<void> {
    if (path === undefined) return
    const { cwd, home } = this.#facts
    const expanded = home === null ? path : path.replace(/^~(?=\/|$)/, home)
    if (expanded.startsWith('~') || (!isAbsolute(expanded) && cwd === null)) return
    if (!(await this.#facts.isFolder(joinPath(cwd ?? '/', expanded))))
      this.fault(key, `there is no folder ${path}`)
  }

  async #isUser(user: string): Promise<boolean> {
    return (await this.#facts.findUser(readInteger(user) ?? user)) !== null
  }
}

function variablesIn(text: string): [string, string][] {
  return [...text.matchAll(/%\((ENV_[^()]*)\)/g)].map(([, name = '']) => [name, ''])
}
