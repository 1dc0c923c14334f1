import { isSpace, strip, stripEnd } from './config-text.ts'

/** What one line of a configuration file is. */
export type LineMeaning =
  /** Nothing but white space; within a value it stands for an empty line of it. */
  | { kind: 'blank' }
  | { kind: 'comment' }
  | { kind: 'header'; header: string }
  /** `value` is its first line, from `start` to `end` in the text. */
  | { kind: 'key'; key: string; value: string; start: number; end: number }
  /** One more line of the value above. */
  | { kind: 'more'; value: string }
  /** What supervisord refuses. */
  | { kind: 'stray'; message: string }

const COMMENTS = ['#', ';'] as const

/**
 * Tells line by line what supervisord 4.2 takes a file for (Python's `RawConfigParser`, with inline comments after
 * white space). The lines come without their ends, in order; every file needs a reader of its own.
 */
export class LineReader {
  #hasSection = false
  #hasKey = false
  #indent = 0

  take(line: string): LineMeaning {
    const comment = commentStart(line)
    const cut = comment < 0 ? line : line.slice(0, comment)
    const text = strip(cut)
    if (text === '') return { kind: comment < 0 ? 'blank' : 'comment' }
    const indent = indentOf(line)
    if (this.#hasKey && indent > this.#indent) return { kind: 'more', value: text }
    this.#indent = indent
    const header = text.startsWith('[') ? /^\[(.+)\]/s.exec(text)?.[1] : undefined
    if (header !== undefined) {
      this.#hasSection = true
      this.#hasKey = false
      return { kind: 'header', header }
    }
    if (!this.#hasSection) return { kind: 'stray', message: `a line before the first [section]: ${text}` }
    return this.#keyIn(cut, text)
  }

  #keyIn(cut: string, text: string): LineMeaning {
    const sign = cut.search(/[=:]/)
    if (sign < 0) return { kind: 'stray', message: `no "=" in: ${text}` }
    const key = strip(cut.slice(0, sign)).toLowerCase()
    if (key === '') return { kind: 'stray', message: `no key in: ${text}` }
    this.#hasKey = true
    const end = stripEnd(cut).length
    const start = Math.min(end, sign + 1 + indentOf(cut.slice(sign + 1)))
    return { kind: 'key', key, value: cut.slice(start, end), start, end }
  }
}

/** How many characters of white space a text begins with. */
export function indentOf(text: string): number {
  let indent = 0
  while (indent < text.length && isSpace(text[indent] ?? '')) indent++
  return indent
}

/**
 * Where the comment of a line begins, -1 without one. A sign counts at the line's start or after white space.
 * Both signs are searched in step, as Python does: the first round that finds a comment ends the search, so that
 * `a;b # c ; d` is cut at the earliest of that round only.
 */
export function commentStart(line: string): number {
  if (!COMMENTS.some((sign) => line.includes(sign))) return -1
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
