import { isSpace, splitLines, strip, stripEnd } from './config-text.ts'

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
  /** Where its header was first seen. */
  file: string
  line: number
}

export interface ConfigError {
  file: string
  line: number
  message: string
}

export interface ParsedConfig {
  sections: ConfigSection[]
  /** For any of these supervisord refuses the whole configuration. */
  errors: ConfigError[]
}

const COMMENTS = ['#', ';'] as const
const DEFAULT = 'DEFAULT'

interface Draft {
  header: string
  keys: Map<string, string[]>
  file: string
  line: number
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
  readonly #drafts = new Map<string, Draft>()
  #file = ''
  #section: Draft | null = null
  #key: string | null = null
  #indent = 0

  /** Adds a file. With `here`, `%(here)s` stands for that folder in all that it says. */
  read(text: string, file: string, here?: string): void {
    this.#file = file
    this.#section = null
    this.#key = null
    this.#indent = 0
    splitLines(text).forEach((line, index) => this.#take(line, index + 1))
    for (const { keys } of this.#drafts.values())
      for (const [key, lines] of keys) {
        const value = stripEnd(lines.join('\n'))
        keys.set(key, [here === undefined ? value : value.replaceAll('%(here)s', () => here)])
      }
  }

  sections(): ConfigSection[] {
    const defaults = valuesOf(this.#drafts.get(DEFAULT))
    return [...this.#drafts.values()]
      .filter(({ header }) => header !== DEFAULT)
      .map((draft) => ({
        ...splitHeader(draft.header),
        keys: new Map([...defaults, ...valuesOf(draft)]),
        file: draft.file,
        line: draft.line,
      }))
  }

  #take(line: string, number: number): void {
    const comment = commentStart(line)
    const value = strip(comment < 0 ? line : line.slice(0, comment))
    const current = this.#key === null ? undefined : this.#section?.keys.get(this.#key)
    if (value === '') {
      if (comment < 0) current?.push('')
      return
    }
    const indent = Array.from(line).findIndex((char) => !isSpace(char))
    if (current && indent > this.#indent) {
      current.push(value)
      return
    }
    this.#indent = indent
    const header = /^\[(.+)\]/s.exec(value)?.[1]
    if (header !== undefined) this.#open(header, number)
    else if (this.#section) this.#assign(this.#section, value, number)
    else this.#fail(number, `a line before the first [section]: ${value}`)
  }

  #open(header: string, line: number): void {
    const known = this.#drafts.get(header)
    this.#section = known ?? { header, keys: new Map(), file: this.#file, line }
    if (!known) this.#drafts.set(header, this.#section)
    this.#key = null
  }

  #assign(section: Draft, text: string, line: number): void {
    const at = text.search(/[=:]/)
    if (at < 0) return this.#fail(line, `no "=" in: ${text}`)
    const key = stripEnd(text.slice(0, at)).toLowerCase()
    if (key === '') return this.#fail(line, `no key in: ${text}`)
    this.#key = key
    section.keys.set(key, [strip(text.slice(at + 1))])
  }

  #fail(line: number, message: string): void {
    this.errors.push({ file: this.#file, line, message })
  }
}

function valuesOf(draft: Draft | undefined): [string, string][] {
  return [...(draft?.keys ?? [])].map(([key, lines]) => [key, lines.join('\n')])
}

function splitHeader(header: string): Pick<ConfigSection, 'header' | 'type' | 'name'> {
  const colon = header.indexOf(':')
  return colon < 0
    ? { header, type: header, name: '' }
    : { header, type: header.slice(0, colon), name: header.slice(colon + 1) }
}

/**
 * Where the comment of a line begins, -1 without one. A sign counts at the line's start or after white space.
 * Both signs are searched in step, as Python does: the first round that finds a comment ends the search, so that
 * `a;b # c ; d` is cut at the earliest of that round only.
 */
function commentStart(line: string): number {
  const head = strip(line)
  if (COMMENTS.some((sign) => head.startsWith(sign))) return 0
  let searching: { sign: string; from: number }[] = COMMENTS.map((sign) => ({ sign, from: 0 }))
  let start = -1
  while (start < 0 && searching.length > 0) {
    const next: typeof searching = []
    for (const { sign, from } of searching) {
      const at = line.indexOf(sign, from)
      if (at < 0) continue
      next.push({ sign, from: at + 1 })
      if ((at === 0 || isSpace(line[at - 1] ?? '')) && (start < 0 || at < start)) start = at
    }
    searching = next
  }
  return start
}
