/** A command line split into words. */
export interface CommandWords {
  words: string[]
  /** Where the first word begins and ends in the text, quotes included. */
  first: { start: number; end: number }
}

const WHITE = ' \t\r\n'

/**
 * Splits a command as supervisord does (Python's `shlex.split`): quotes and backslashes, nothing else has a meaning.
 * @returns null when a quotation or an escape does not end
 */
export function commandWords(text: string): CommandWords | null {
  const words: string[] = []
  const first = { start: 0, end: 0 }
  let word: string | null = null
  let quote = ''
  for (let at = 0; at <= text.length; at++) {
    const char = text.charAt(at)
    if (char === '' || (quote === '' && WHITE.includes(char))) {
      if (quote !== '') return null
      if (word !== null && words.push(word) === 1) first.end = at
      word = null
      continue
    }
    if (word === null && words.length === 0) first.start = at
    word ??= ''
    if (char === quote) quote = ''
    else if (char === '\\' && quote !== "'") {
      const next = text.charAt(++at)
      if (next === '') return null
      // between double quotes a backslash is one, save before what it can protect there
      word += quote === '' || next === '"' || next === '\\' ? next : char + next
    } else if (quote === '' && (char === '"' || char === "'")) quote = char
    else word += char
  }
  return { words, first }
}
