const WHITE = ' \t\r\n'
const QUOTES = '\'"'
const WORD = /[A-Za-z0-9_/.+\-():]/

/**
 * Splits `KEY=value,KEY="value"` as supervisord 4.2 and 4.3 do, surprises included: outside quotes most signs end a
 * value, `#` begins a comment, backslashes are plain, and quotes at the ends are stripped.
 * @returns null for what supervisord refuses
 */
export function readEnvironment(text: string): Map<string, string> | null {
  const tokens = tokensOf(text)?.tokens
  if (tokens === undefined) return null
  const found = new Map<string, string>()
  for (let at = 0; at < tokens.length; at += 4) {
    const [name, sign, value] = tokens.slice(at, at + 3)
    if (name === undefined || sign !== '=' || value === undefined) return null
    found.set(name, value.replace(/^['"]+|['"]+$/g, ''))
  }
  return found
}

/** False when supervisord takes the text and loses some of it: what comes after an unquoted `?`, `&`, `@` or `#`. */
export function isWholeEnvironment(text: string): boolean {
  const read = tokensOf(text)
  return (
    read !== null && !read.hasComment && read.tokens.every((token, index) => index % 4 !== 3 || token === ',')
  )
}

/** The tokens of Python's `shlex.shlex`, which is no shell's: a quotation ends a token, quotes within words are plain. */
function tokensOf(text: string): { tokens: string[]; hasComment: boolean } | null {
  const chars = Array.from(text)
  const tokens: string[] = []
  let at = 0
  let hasComment = false
  while (at < chars.length) {
    const char = chars[at++] ?? ''
    if (WHITE.includes(char)) continue
    if (char === '#') {
      hasComment = true
      at = lineEnd(chars, at)
    } else if (QUOTES.includes(char)) {
      const end = chars.indexOf(char, at)
      if (end < 0) return null
      tokens.push(chars.slice(at - 1, end + 1).join(''))
      at = end + 1
    } else if (!WORD.test(char)) tokens.push(char)
    else {
      let word = char
      for (; at < chars.length; at++) {
        const next = chars[at] ?? ''
        if (next === '#') {
          hasComment = true
          at = lineEnd(chars, at + 1) - 1
        } else if (WORD.test(next) || QUOTES.includes(next)) word += next
        else break
      }
      tokens.push(word)
      // the sign that ends a word is a token of its own
      const sign = chars[at] ?? ''
      if (sign !== '') at++
      if (sign !== '' && !WHITE.includes(sign)) tokens.push(sign)
    }
  }
  return { tokens, hasComment }
}

/** Where the line after the one at `from` begins. */
function lineEnd(chars: string[], from: number): number {
  const end = chars.indexOf('\n', from)
  return end < 0 ? chars.length : end + 1
}
