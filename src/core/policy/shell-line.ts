import type { Word } from './command-words.ts'

/** A line for /bin/sh that is one plain command, in a folder of its own or not. */
export interface ShellLine {
  /** Of a leading `cd FOLDER &&`. */
  folder: Word | null
  /** The command, without the redirections of its input and output. */
  words: Word[]
}

const AND = '&&'
const BLANK = ' \t'
const REDIRECTION = /^(?:>>?|<)(?:&[0-9-](?![^ \t&|;<>]))?/
/** What the shell makes other text of where it is not quoted. */
const PATTERN = '*?[]{}~'
/** What it makes more than one command, or the output of another one, of. */
const ACTIVE = '$`'
const OPERATOR = ';&|()\n'

/**
 * Reads `[cd FOLDER &&] COMMAND`, with redirections.
 * @returns null for every other line: one with more commands, expansions of variables, substitutions, comments, or a
 * quotation without an end
 */
export function shellLine(text: string): ShellLine | null {
  const parts = partsOf(text)
  if (parts === null) return null
  const [first, folder, and] = parts
  const isMoved = isWord(first) && first.text === 'cd' && isWord(folder) && and === AND
  const words = (isMoved ? parts.slice(3) : parts).filter(isWord)
  if (words.length < parts.length - (isMoved ? 3 : 0)) return null
  return { folder: isMoved ? folder : null, words }
}

function isWord(part: Word | typeof AND | undefined): part is Word {
  return part !== undefined && part !== AND
}

/** Words and `&&`; redirections and their files are left out. */
function partsOf(text: string): (Word | typeof AND)[] | null {
  const parts: (Word | typeof AND)[] = []
  let awaitsFile = false
  for (let at = 0; at < text.length; ) {
    const rest = text.slice(at)
    if (BLANK.includes(text.charAt(at))) at++
    else if (rest.startsWith(AND) && !awaitsFile) {
      parts.push(AND)
      at += AND.length
    } else if (/^\d?[<>]/.test(rest)) {
      const digits = /^\d/.test(rest) ? 1 : 0
      const [found] = REDIRECTION.exec(rest.slice(digits)) ?? []
      if (found === undefined || awaitsFile) return null
      awaitsFile = !found.includes('&')
      at += digits + found.length
    } else {
      const word = wordAt(text, at)
      if (word === null) return null
      if (!awaitsFile) parts.push(word)
      awaitsFile = false
      at = word.end
    }
  }
  return awaitsFile ? null : parts
}

/** The word that begins there; null when there is none, or none whose text is known. */
function wordAt(text: string, start: number): Word | null {
  let word = ''
  let isFixed = true
  let quote = ''
  let at = start
  for (; at < text.length; at++) {
    const char = text.charAt(at)
    if (quote !== "'" && ACTIVE.includes(char)) return null
    if (quote === '') {
      if (BLANK.includes(char) || '<>'.includes(char) || OPERATOR.includes(char)) break
      if (char === '#' && at === start) return null
    }
    if (char === quote) quote = ''
    else if (char === '\\' && quote !== "'") {
      const next = text.charAt(++at)
      if (next === '' || next === '\n') return null
      word += quote === '' || '"\\$`'.includes(next) ? next : char + next
    } else if (quote === '' && (char === '"' || char === "'")) quote = char
    else {
      if (quote === '' && PATTERN.includes(char)) isFixed = false
      word += char
    }
  }
  // a longer number may be that of a file, or a word: shells differ
  const isNumber = /^\d+$/.test(text.slice(start, at)) && '<>'.includes(text.charAt(at) || ' ')
  return quote === '' && at > start && !isNumber ? { text: word, start, end: at, isFixed } : null
}
