import { constants } from 'node:fs'
import { open, realpath, stat } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { type Expansions, expand } from './config-expand.ts'
import { type ConfigError, ConfigReader, type ConfigSection } from './config-file.ts'
import { words } from './config-text.ts'
import { globFiles, hasMagic, joinPath, matchesName } from './glob-files.ts'

const MAX_FILE_BYTES = 1024 * 1024
/** What a file may have grown since its size was asked. */
const SPARE_BYTES = 16 * 1024
const MAX_FILES = 2000
const AT_ONCE = 64
const UTF8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** Files as they would be: bytes by absolute path; null for one that would be gone. */
export type Overlay = ReadonlyMap<string, Uint8Array | null>

/** A main file and what it includes. */
export interface ConfigTree {
  /** The globs of `[include]`, absolute. */
  includes: string[]
  /** The main file and what it includes, in supervisord's order. */
  files: string[]
  sections: ConfigSection[]
  /** Every header of every file, in order; those of one section come several times. */
  headers: { header: string; file: string; line: number }[]
  /** What supervisord refuses of the lines themselves. */
  errors: ConfigError[]
  /** The text of each of `files`. */
  texts: Map<string, string>
  /** What could not be read or told, each in words. */
  problems: string[]
}

/** How the files are to be seen. */
interface View {
  overlay?: Overlay
  /** Texts that were read a moment ago, and are taken as they were. */
  texts?: ReadonlyMap<string, string>
}

/**
 * Reads the files that supervisord would read, as they are or, with an overlay, as they would be. Never throws: what
 * is wrong is in `errors` and `problems`.
 */
export async function readConfigTree(
  mainFile: string,
  expansions: Expansions,
  { overlay = new Map(), texts = new Map() }: View = {},
): Promise<ConfigTree> {
  const seen = await Seen.of(overlay, texts)
  const tree: ConfigTree = {
    includes: [],
    files: [],
    sections: [],
    headers: [],
    errors: [],
    texts: new Map(),
    problems: [],
  }
  const main = await seen.read(mainFile, tree)
  const first = new ConfigReader()
  if (main !== null) first.read(main, mainFile)
  const include = first.sections().find(({ header }) => header === 'include')
  const reader = include ? new ConfigReader() : first
  // `%(here)s` is put into all values file by file, but only where there is an [include]
  if (include && main !== null) reader.read(main, mainFile, dirname(mainFile))
  if (main !== null) {
    tree.files.push(mainFile)
    tree.texts.set(mainFile, main)
  }
  if (include) await readIncludes(reader, { include, mainFile, expansions, seen, tree })
  const { errors, headers } = reader
  return { ...tree, sections: reader.sections(), headers, errors: [...errors, ...tree.errors] }
}

interface Including {
  include: ConfigSection
  mainFile: string
  expansions: Expansions
  seen: Seen
  tree: ConfigTree
}

async function readIncludes(reader: ConfigReader, including: Including): Promise<void> {
  const { include, mainFile, expansions, seen, tree } = including
  const { value, unknown } = expand(include.keys.get('files') ?? '', expansions)
  if (unknown.length > 0)
    tree.problems.push(
      `${mainFile}: [include] files holds ${unknown.join(', ')}, which cannot be expanded here`,
    )
  tree.includes = words(value).map((pattern) => joinPath(dirname(mainFile), pattern))
  for (const pattern of tree.includes) {
    const found = await seen.glob(pattern)
    const room = MAX_FILES - tree.files.length
    if (found.length > room)
      tree.problems.push(`more than ${MAX_FILES} files are included: the rest was not read`)
    for (let at = 0; at < Math.min(found.length, room); at += AT_ONCE) {
      const files = found.slice(at, Math.min(at + AT_ONCE, room))
      const texts = await Promise.all(files.map((file) => seen.read(file, tree)))
      for (const [index, file] of files.entries()) {
        const text = texts[index] ?? null
        if (text === null) continue
        reader.read(text, file, dirname(file))
        tree.files.push(file)
        tree.texts.set(file, text)
      }
    }
  }
}

/** The disk as it would look with an overlay on it. A file is known by the real path of its folder. */
class Seen {
  readonly #files: Overlay
  readonly #texts: ReadonlyMap<string, string>
  readonly #folders = new Map<string, Promise<string>>()

  private constructor(files: Overlay, texts: ReadonlyMap<string, string>) {
    this.#files = files
    this.#texts = texts
  }

  static async of(overlay: Overlay, texts: ReadonlyMap<string, string>): Promise<Seen> {
    const known = await Promise.all(
      [...overlay].map(
        async ([path, bytes]): Promise<[string, Uint8Array | null]> => [await placeOf(path), bytes],
      ),
    )
    return new Seen(new Map(known), texts)
  }

  async glob(pattern: string): Promise<string[]> {
    const found = await globFiles(pattern)
    if (this.#files.size === 0) return found
    const folder = dirname(pattern)
    const folders = hasMagic(folder) ? await globFiles(folder) : [folder]
    const added = await Promise.all(folders.map((path) => this.#matching(path, basename(pattern))))
    return [...new Set([...found, ...added.flat()])].toSorted((a, b) =>
      Buffer.compare(Buffer.from(a), Buffer.from(b)),
    )
  }

  async #matching(folder: string, pattern: string): Promise<string[]> {
    const real = await realpath(folder).catch(() => folder)
    return [...this.#files.keys()]
      .filter((path) => dirname(path) === real)
      .map((path) => basename(path))
      .filter((name) => (pattern.startsWith('.') || !name.startsWith('.')) && matchesName(pattern, name))
      .map((name) => joinPath(folder, name))
  }

  /** As {@link placeOf}, asking for each folder once. */
  async #placeOf(path: string): Promise<string> {
    const folder = dirname(path)
    const real = this.#folders.get(folder) ?? realpath(folder).catch(() => folder)
    this.#folders.set(folder, real)
    return join(await real, basename(path))
  }

  /** supervisord passes over what it cannot open; a directory or a dangling link is nothing to report. */
  async read(file: string, tree: ConfigTree): Promise<string | null> {
    try {
      const overlaid = this.#files.size === 0 ? undefined : this.#files.get(await this.#placeOf(file))
      const known = overlaid === undefined ? this.#texts.get(file) : undefined
      if (known !== undefined) return known
      const bytes = overlaid === undefined ? await readBytes(file) : overlaid
      if (bytes === null) return null
      if (bytes.length > MAX_FILE_BYTES)
        tree.problems.push(`${file} is longer than 1 MiB: the rest was not read`)
      return UTF8.decode(bytes.subarray(0, MAX_FILE_BYTES))
    } catch (error) {
      // what is no text is refused by supervisord; what cannot be opened it passes over
      if (error instanceof TypeError) tree.errors.push({ file, line: 1, message: 'it is not UTF-8' })
      else
        tree.problems.push(
          `${file} cannot be read: ${error instanceof Error ? error.message : String(error)}`,
        )
      return null
    }
  }
}

async function placeOf(path: string): Promise<string> {
  const folder = dirname(path)
  return join(await realpath(folder).catch(() => folder), basename(path))
}

async function readBytes(file: string): Promise<Uint8Array | null> {
  const found = await stat(file).catch(() => null)
  if (!found?.isFile()) return null
  const handle = await open(file, constants.O_RDONLY | constants.O_NONBLOCK)
  try {
    const buffer = Buffer.alloc(Math.min(found.size + SPARE_BYTES, MAX_FILE_BYTES) + 1)
    const { bytesRead } = await handle.read(buffer, 0, buffer.length, 0)
    return buffer.subarray(0, bytesRead)
  } finally {
    await handle.close()
  }
}
