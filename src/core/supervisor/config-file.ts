import { LineReader } from './config-lines.ts'
import { splitLines, stripEnd } from './config-text.ts'

/** One section as supervisord sees it after merging. */
export interface ConfigSection {
  /** What stands between the brackets, for example `program:web`. */
  header: string
  /** What stands before the first colon. */
  type: string
  /** What stands after it; empty when there is no colon. */
  name: string
  /** Lower-case key to value, inline comments cut, continuation lines joined by newlines; not expanded. */
  keys: ReadonlyMap<string, string>
  /** Where each key was last written. */
  places: ReadonlyMap<string, Place>
  /** Where its header was first seen. */
  file: string
  line: number
}

interface Place {
  file: string
  line: number
}

export interface ConfigError extends Place {
  message: string
}

export interface ParsedConfig {
  sections: ConfigSection[]
  /** For any of these supervisord refuses the whole configuration. */
  errors: ConfigError[]
}

const DEFAULT = 'DEFAULT'
const HERE = '%(here)s'

interface Draft extends Place {
  header: string
  keys: Map<string, Value>
}

interface Value extends Place {
  lines: string[]
}

/** Reads the text of one file. Never throws: what supervisord would refuse is in `errors`, the rest is read on. */
export function parseConfigText(text: string, file: string): ParsedConfig {
  const reader = new ConfigReader()
  reader.read(text, file)
  return { sections: reader.sections(), errors: reader.errors }
}

/**
 * Reads files the way supervisord 4.2 does (Python's `RawConfigParser`, not strict, with inline comments after
 * white space): sections of one header merge within and across files, later keys win, older ones stay, and
 * `[DEFAULT]` fills in what a section lacks.
 */
export class ConfigReader {
  readonly errors: ConfigError[] = []
  /** Every header as it was met. */
  readonly headers: (Place & { header: string })[] = []
  readonly #drafts = new Map<string, Draft>()
  /** Values with a place for the folder of a file that has not been told yet. */
  readonly #unplaced = new Set<Value>()

  /** Adds a file. With `here`, `%(here)s` stands for that folder in all that it says. */
  read(text: string, file: string, here?: string): void {
    const reader = new LineReader()
    let section: Draft | null = null
    let value: Value | null = null
    const values: Value[] = []
    for (const [index, line] of splitLines(text).entries()) {
      const place = { file, line: index + 1 }
      const meaning = reader.take(line)
      if (meaning.kind === 'blank') value?.lines.push('')
      else if (meaning.kind === 'more') value?.lines.push(meaning.value)
      else if (meaning.kind === 'stray') this.errors.push({ ...place, message: meaning.message })
      else if (meaning.kind === 'header') {
        section = this.#open(meaning.header, place)
        value = null
      } else if (meaning.kind === 'key') {
        value = { ...place, lines: [meaning.value] }
        values.push(value)
        section?.keys.set(meaning.key, value)
      }
    }
    for (const found of values) {
      found.lines = [stripEnd(found.lines.join('\n'))]
      if (found.lines[0]?.includes(HERE)) this.#unplaced.add(found)
    }
    if (here === undefined) return
    for (const found of this.#unplaced)
      found.lines = found.lines.map((joined) => joined.replaceAll(HERE, () => here))
    this.#unplaced.clear()
  }

  sections(): ConfigSection[] {
    const defaults = this.#drafts.get(DEFAULT)?.keys ?? []
    return [...this.#drafts.values()]
      .filter(({ header }) => header !== DEFAULT)
      .map((draft) => {
        const values = [...new Map([...defaults, ...draft.keys])]
        return {
          ...splitHeader(draft.header),
          keys: new Map(values.map(([key, { lines }]) => [key, lines.join('\n')])),
          places: new Map(values.map(([key, { file, line }]) => [key, { file, line }])),
          file: draft.file,
          line: draft.line,
        }
      })
  }

  #open(header: string, place: Place): Draft {
    this.headers.push({ header, ...place })
    const draft = this.#drafts.get(header) ?? { header, keys: new Map<string, Value>(), ...place }
    this.#drafts.set(header, draft)
    return draft
  }
}

function splitHeader(header: string): Pick<ConfigSection, 'header' | 'type' | 'name'> {
  const colon = header.indexOf(':')
  return colon < 0
    ? { header, type: header, name: '' }
    : { header, type: header.slice(0, colon), name: header.slice(colon + 1) }
}
