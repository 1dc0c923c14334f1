/** White space as Python's `str.strip` and `str.isspace` see it: not that of JavaScript. */
const SPACE = '\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000'
const ONE = new RegExp(`^[${SPACE}]$`)
const HEAD = new RegExp(`^[${SPACE}]+`)

export function isSpace(char: string): boolean {
  return ONE.test(char)
}

export function strip(text: string): string {
  return stripEnd(text.replace(HEAD, ''))
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
