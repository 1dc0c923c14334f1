// A configuration file that can be changed key by key. What is not changed stays as it is, byte for byte: comments,
// order, line ends, indents, unknown keys, and bytes that are no text. A change that would alter the meaning of
// anything else, as supervisord reads it, is refused.
import { AgentError } from '../../../protocol/errors.ts'
import { type ConfigSection, parseConfigText } from '../../supervisor/config-file.ts'
import { indentOf, type LineMeaning, LineReader } from '../../supervisor/config-lines.ts'
import { fromBytes, toBytes } from './bytes.ts'

interface Line {
  text: string
  /** LF, CR LF or CR; empty for a last line without one. */
  end: string
  meaning: LineMeaning
  /** The section it lies in; null before the first. */
  header: string | null
}

export class IniDocument {
  #lines: Line[]

  private constructor(text: string) {
    this.#lines = linesOf(text)
  }

  static parse(text: string): IniDocument {
    return new IniDocument(text)
  }

  static fromBytes(bytes: Uint8Array): IniDocument {
    return new IniDocument(fromBytes(bytes))
  }

  get text(): string {
    return this.#lines.map(({ text, end }) => text + end).join('')
  }

  toBytes(): Buffer {
    return toBytes(this.text)
  }

  /** The sections as supervisord sees them. */
  sections(): ConfigSection[] {
    return parseConfigText(this.text, '').sections
  }

  /** A value as supervisord reads it, not expanded; null when the section has no such key. */
  get(header: string, key: string): string | null {
    return (
      this.sections()
        .find((section) => section.header === header)
        ?.keys.get(key) ?? null
    )
  }

  /**
   * Gives a key a value of one line, where it stands last or, new, after the last key of the section. An inline comment
   * stays.
   * @throws {AgentError} PROGRAM_INVALID when the file cannot carry it
   */
  set(header: string, key: string, value: string): void {
    if (this.get(header, key) === value) return
    this.#change({ header, key, value }, () => {
      const at = this.#lines.findLastIndex((line) => isKey(line, header, key))
      if (at < 0) this.#insert(header, key, value)
      else this.#replace(at, value)
    })
  }

  /**
   * Takes a key away, everywhere in the section.
   * @throws {AgentError} PROGRAM_INVALID when that would alter what else the file says
   */
  remove(header: string, key: string): void {
    if (!this.#lines.some((line) => isKey(line, header, key))) return
    this.#change({ header, key, value: null }, () => {
      for (let at = this.#lines.length - 1; at >= 0; at--) {
        const line = this.#lines[at]
        if (line && isKey(line, header, key)) {
          this.#dropMore(at)
          this.#lines.splice(at, 1)
        }
      }
    })
  }

  #replace(at: number, value: string): void {
    const line = this.#lines[at]
    if (line?.meaning.kind !== 'key') return
    const { start, end } = line.meaning
    line.text = line.text.slice(0, start) + value + line.text.slice(end)
    this.#dropMore(at)
  }

  #insert(header: string, key: string, value: string): void {
    const block = this.#lines.findLastIndex(
      ({ meaning }) => meaning.kind === 'header' && meaning.header === header,
    )
    if (block < 0) throw refusal(key, `there is no section [${header}]`)
    const last = this.#lastKey(block)
    const before = this.#lines[last]
    const model = this.#lines.slice(block, last + 1).findLast(({ meaning }) => meaning.kind === 'key')
    if (!before) return
    const text = `${indentText(model ?? before)}${key}${signOf(model)}${value}`
    // a file without a last line end stays one
    const { end } = before
    before.end ||= this.#lines.find((line) => line.end !== '')?.end ?? '\n'
    this.#lines.splice(last + 1, 0, { text, end, meaning: { kind: 'blank' }, header })
  }

  /** Drops the further lines of the value that begins at `at`; comments between them stay. */
  #dropMore(at: number): void {
    let next = at + 1
    while (['more', 'blank', 'comment'].includes(this.#lines[next]?.meaning.kind ?? ''))
      if (this.#lines[next]?.meaning.kind === 'more') this.#lines.splice(next, 1)
      else next++
  }

  /** The last line of a block that says something. */
  #lastKey(block: number): number {
    let last = block
    for (let at = block + 1; at < this.#lines.length; at++) {
      const kind = this.#lines[at]?.meaning.kind
      if (kind === 'header') break
      if (kind !== 'blank' && kind !== 'comment') last = at
    }
    return last
  }

  /** Makes a change, and takes it back when the file then says anything else than it should. */
  #change(wanted: { header: string; key: string; value: string | null }, edit: () => void): void {
    const { text } = this
    edit()
    const before = said(text)
    const after = said(this.text)
    const { header, key, value } = wanted
    if (value !== null) before.get(header)?.set(key, value)
    else for (const sections of [before, after]) sections.get(header)?.delete(key)
    const isRight = print(before) === print(after)
    this.#lines = linesOf(isRight ? this.text : text)
    if (!isRight) throw refusal(key, 'the file cannot carry that without a change to what else it says')
  }
}

function linesOf(text: string): Line[] {
  const reader = new LineReader()
  const lines: Line[] = []
  let header: string | null = null
  for (const [whole, own = '', end = ''] of text.matchAll(/([^\r\n]*)(\r\n|\r|\n|$)/g)) {
    if (whole === '') continue
    const meaning = reader.take(own)
    if (meaning.kind === 'header') header = meaning.header
    lines.push({ text: own, end, meaning, header })
  }
  return lines
}

function isKey({ meaning, header }: Line, of: string, key: string): boolean {
  return header === of && meaning.kind === 'key' && meaning.key === key
}

function indentText({ text }: Line): string {
  return text.slice(0, indentOf(text))
}

/** `=` with the space around it that the line above has; columns are not kept. */
function signOf(model: Line | undefined): string {
  return /^[^=:]*[^=:\s]\s+[=:]\s/.test(model?.text ?? '') ? ' = ' : '='
}

/** All that a file says. */
function said(text: string): Map<string, Map<string, string>> {
  const { sections, errors } = parseConfigText(text, '')
  const all = new Map(sections.map(({ header, keys }) => [header, new Map(keys)]))
  return errors.length > 0
    ? all.set('', new Map([['', errors.map(({ message }) => message).join('\n')]]))
    : all
}

function print(sections: Map<string, Map<string, string>>): string {
  return JSON.stringify(
    [...sections].map(([header, keys]) => [header, [...keys].toSorted(byKey)]).toSorted(byKey),
  )
}

function byKey([a]: readonly unknown[], [b]: readonly unknown[]): number {
  return String(a) < String(b) ? -1 : 1
}

function refusal(path: string, message: string): AgentError {
  return new AgentError('PROGRAM_INVALID', `${path}: ${message}`, { facts: { issues: [{ path, message }] } })
}
