import { realpath } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { type Expansions, expand } from './config-expand.ts'
import {
  type ConfigError,
  ConfigReader,
  type ConfigSection,
  type ParsedFile,
  parseFile,
} from './config-file.ts'
import { words } from './config-text.ts'
import { globFiles, hasMagic, joinPath, matchesName } from './glob-files.ts'
import { MAX_FILE_BYTES, type RecentFiles, readBytes } from './recent-files.ts'

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
  /** What each of `files` says by itself. Holds secrets. */
  parsed: Map<string, ParsedFile>
  /** What could not be read or told, each in words. */
  problems: string[]
}

/** How the files are to be seen. */
interface View {
  overlay?: Overlay
  /** Files that were read a moment ago, and are taken as they were. */
  parsed?: ReadonlyMap<string, ParsedFile>
  /** Remembers what it reads for a while. */
  recent?: RecentFiles
}

/**
 * Reads the files that supervisord would read, as they are or, with an overlay, as they would be. Never throws: what
 * is wrong is in `errors` and `problems`.
 */
export async function readConfigTree(
  mainFile: string,
  expansions: Expansions,
  view: View = {},
): Promise<ConfigTree> {
  const seen = await Seen.of(view)
  const tree: ConfigTree = {
    includes: [],
    files: [],
    sections: [],
    headers: [],
    errors: [],
    parsed: new Map(),
    problems: [],
  }
  const main = await seen.read(mainFile, null, tree)
  const first = new ConfigReader()
  if (main !== null) first.add(main)
  const include = first.sections().find(({ header }) => header === 'include')
  const reader = include ? new ConfigReader() : first
  // `%(here)s` is put into all values file by file, but only where there is an [include]
  if (include && main !== null) reader.add(parseFile(main.text, mainFile, dirname(mainFile)))
  if (main !== null) {
    tree.files.push(mainFile)
    tree.parsed.set(mainFile, main)
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
      const parsed = await Promise.all(files.map((file) => seen.read(file, dirname(file), tree)))
      for (const [index, file] of files.entries()) {
        const own = parsed[index] ?? null
        if (own === null) continue
        reader.add(own)
        tree.files.push(file)
        tree.parsed.set(file, own)
      }
    }
  }
}

/** The disk as it would look with an overlay on it. A file is known by the real path of its folder. */
class Seen {
  readonly #files: Overlay
  /** The names of those, without their folders. */
  readonly #names: ReadonlySet<string>
  readonly #parsed: ReadonlyMap<string, ParsedFile>
  readonly #recent: RecentFiles | null

  private constructor(files: Overlay, { parsed = new Map(), recent }: View) {
    this.#files = files
    this.#names = new Set([...files.keys()].map((path) => basename(path)))
    this.#parsed = parsed
    this.#recent = recent ?? null
  }

  static async of(view: View): Promise<Seen> {
    const known = await Promise.all(
      [...(view.overlay ?? [])].map(
        async ([path, bytes]): Promise<[string, Uint8Array | null]> => [await placeOf(path), bytes],
      ),
    )
    return new Seen(new Map(known), view)
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

  /** supervisord passes over what it cannot open; a directory or a dangling link is nothing to report. */
  async read(file: string, here: string | null, tree: ConfigTree): Promise<ParsedFile | null> {
    try {
      const overlaid = this.#names.has(basename(file)) ? this.#files.get(await placeOf(file)) : undefined
      if (overlaid === null) return null
      if (overlaid !== undefined) return parsedOf(overlaid, { file, here, tree })
      const known = this.#parsed.get(file)
      if (known) return known.here === here ? known : parseFile(known.text, file, here)
      const parse = (bytes: Uint8Array) => parsedOf(bytes, { file, here, tree })
      if (this.#recent) return await this.#recent.read(file, here, parse)
      const bytes = await readBytes(file)
      return bytes && parse(bytes)
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

function parsedOf(
  bytes: Uint8Array,
  { file, here, tree }: { file: string; here: string | null; tree: ConfigTree },
): ParsedFile {
  if (bytes.length > MAX_FILE_BYTES) tree.problems.push(`${file} is longer than 1 MiB: the rest was not read`)
  return parseFile(UTF8.decode(bytes.subarray(0, MAX_FILE_BYTES)), file, here)
}

async function placeOf(path: string): Promise<string> {
  const folder = dirname(path)
  return join(await realpath(folder).catch(() => folder), basename(path))
}
