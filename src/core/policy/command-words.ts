/** A word of a command, and where it stands in the text, quotes included. */
export interface Word {
  text: string
  start: number
  end: number
  /** False when something else than this text may be read in its place: an expansion, a pattern of the shell. */
  isFixed: boolean
}

const WHITE = ' \t\r\n'

/**
 * Splits a command as supervisord does (Python's `shlex.split`): quotes and backslashes, nothing else has a meaning.
 * @returns null when a quotation or an escape does not end
 */
export function commandWords(text: string): Word[] | null {
  const words: Word[] = []
  let word: string | null = null
  let start = 0
  let quote = ''
  for (let at = 0; at <= text.length; at++) {
    const char = text.charAt(at)
    if (char === '' || (quote === '' && WHITE.includes(char))) {
      if (quote !== '') return null
      if (word !== null) words.push({ text: word, start, end: at, isFixed: !word.includes('%') })
      word = null
      continue
    }
    if (word === null) start = at
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
  return words
}
