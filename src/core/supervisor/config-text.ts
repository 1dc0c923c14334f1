/** White space as Python's `str.strip` and `str.isspace` see it: not that of JavaScript. */
const SPACE = '\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000'
/** Those of it above ASCII that are in no run. */
const WIDE = new Set([0x85, 0xa0, 0x1680, 0x2028, 0x2029, 0x202f, 0x205f, 0x3000])

export function isSpace(char: string): boolean {
  const code = char.charCodeAt(0)
  if (code < 0x85) return code === 0x20 || (code >= 9 && code <= 13) || (code >= 0x1c && code < 0x20)
  return WIDE.has(code) || (code >= 0x2000 && code <= 0x200a)
}

export function strip(text: string): string {
  let start = 0
  while (start < text.length && isSpace(text[start] ?? '')) start++
  return stripEnd(start === 0 ? text : text.slice(start))
}

/** Cut by hand: a regular expression anchored at the end is quadratic in runs of white space. */
export function stripEnd(text: string): string {
  let end = text.length
  while (end > 0 && isSpace(text[end - 1] ?? '')) end--
  return text.slice(0, end)
}

/** Lines as Python's text mode gives them: LF, CR LF and CR end one; no empty line after the last end. */
export function splitLines(text: string): string[] {
  const lines = text.split(/\r\n|\r|\n/)
  if (lines.at(-1) === '') lines.pop()
  return lines
}

/** White-space separated words, as Python's `str.split()`. */
export function words(text: string): string[] {
  return strip(text) === '' ? [] : strip(text).split(new RegExp(`[${SPACE}]+`))
}
