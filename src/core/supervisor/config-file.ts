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

/** What one file says by itself. */
export interface ParsedFile {
  text: string
  /** The folder that was put in place of `%(here)s`; null when it stays. */
  here: string | null
  /** In the order of the file; those of one header come several times. */
  blocks: ConfigSection[]
  errors: ConfigError[]
}

const DEFAULT = 'DEFAULT'
const HERE = '%(here)s'

/** Reads the text of one file. Never throws: what supervisord would refuse is in `errors`, the rest is read on. */
export function parseConfigText(text: string, file: string): ParsedConfig {
  const reader = new ConfigReader()
  reader.add(parseFile(text, file))
  return { sections: reader.sections(), errors: reader.errors }
}

/** The blocks of one file, not merged. With `here`, `%(here)s` stands for that folder in all that it says. */
export function parseFile(text: string, file: string, here: string | null = null): ParsedFile {
  const parsed: ParsedFile = { text, here, blocks: [], errors: [] }
  const reader = new LineReader()
  let block: { keys: Map<string, string>; places: Map<string, Place> } | null = null
  let value: { key: string; lines: string[] } | null = null
  const end = (): void => {
    if (value === null) return
    const whole = stripEnd(value.lines.join('\n'))
    block?.keys.set(value.key, here === null ? whole : whole.replaceAll(HERE, () => here))
    value = null
  }
  for (const [index, line] of splitLines(text).entries()) {
    const place = { file, line: index + 1 }
    const meaning = reader.take(line)
    if (meaning.kind === 'blank') value?.lines.push('')
    else if (meaning.kind === 'more') value?.lines.push(meaning.value)
    else if (meaning.kind === 'stray') parsed.errors.push({ ...place, message: meaning.message })
    else if (meaning.kind === 'header') {
      end()
      block = { keys: new Map(), places: new Map() }
      parsed.blocks.push({ ...splitHeader(meaning.header), ...block, ...place })
    } else if (meaning.kind === 'key') {
      end()
      value = { key: meaning.key, lines: [meaning.value] }
      block?.places.set(meaning.key, place)
    }
  }
  end()
  return parsed
}

/**
 * Merges files the way supervisord 4.2 does (Python's `RawConfigParser`, not strict, with inline comments after
 * white space): sections of one header merge within and across files, later keys win, older ones stay, and
 * `[DEFAULT]` fills in what a section lacks.
 */
export class ConfigReader {
  readonly errors: ConfigError[] = []
  /** Every header as it was met. */
  readonly headers: (Place & { header: string })[] = []
  readonly #blocks = new Map<string, ConfigSection[]>()

  add({ blocks, errors }: ParsedFile): void {
    this.errors.push(...errors)
    for (const block of blocks) {
      const { header, file, line } = block
      this.headers.push({ header, file, line })
      const known = this.#blocks.get(header)
      if (known) known.push(block)
      else this.#blocks.set(header, [block])
    }
  }

  sections(): ConfigSection[] {
    const defaults = this.#blocks.get(DEFAULT) ?? []
    return [...this.#blocks].flatMap(([header, blocks]) =>
      header === DEFAULT ? [] : merged(blocks, defaults),
    )
  }
}

/** A block that stands alone is the section itself. */
function merged(blocks: readonly ConfigSection[], defaults: readonly ConfigSection[]): ConfigSection[] {
  const [first] = blocks
  if (first === undefined) return []
  if (blocks.length === 1 && defaults.length === 0) return [first]
  const all = [...defaults, ...blocks]
  return [
    {
      ...first,
      keys: new Map(all.flatMap(({ keys }) => [...keys])),
      places: new Map(all.flatMap(({ places }) => [...places])),
    },
  ]
}

function splitHeader(header: string): Pick<ConfigSection, 'header' | 'type' | 'name'> {
  const colon = header.indexOf(':')
  return colon < 0
    ? { header, type: header, name: '' }
    : { header, type: header.slice(0, colon), name: header.slice(colon + 1) }
}
