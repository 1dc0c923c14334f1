import type { ProgramLimits } from '../../protocol/definition.ts'
import { isSpace } from '../supervisor/config-text.ts'

const NICE = '/usr/bin/nice'
const PRLIMIT = '/usr/bin/prlimit'
const PREFIX =
  /^(?:\/usr\/bin\/nice -n (\d{1,2}) )?(?:\/usr\/bin\/prlimit(?: --data=(\d{1,16}))?(?: --nofile=(\d{1,7}))? )?/

/** The programs that set the limits, each with the field that needs it. */
export function limitTools(limits: ProgramLimits = {}): { field: string; path: string }[] {
  const { nice, memoryBytes, openFiles } = limits
  const tools: { field: string; path: string }[] = []
  if (nice !== undefined) tools.push({ field: 'nice', path: NICE })
  if (memoryBytes !== undefined) tools.push({ field: 'memoryBytes', path: PRLIMIT })
  else if (openFiles !== undefined) tools.push({ field: 'openFiles', path: PRLIMIT })
  return tools
}

/** What stands before a command to set its limits. Both programs become the command: the pid and its signals stay. */
export function limitsPrefix({ nice, memoryBytes, openFiles }: ProgramLimits): string {
  const words: string[] = []
  if (nice !== undefined) words.push(`${NICE} -n ${nice}`)
  if (memoryBytes !== undefined || openFiles !== undefined) words.push(PRLIMIT)
  if (memoryBytes !== undefined) words.push(`--data=${memoryBytes}`)
  if (openFiles !== undefined) words.push(`--nofile=${openFiles}`)
  return words.map((word) => `${word} `).join('')
}

/** The inverse of {@link limitsPrefix}. */
export function splitLimits(text: string): { limits: ProgramLimits | null; command: string } {
  const [prefix = '', nice, memoryBytes, openFiles] = PREFIX.exec(text) ?? []
  const limits: ProgramLimits = {
    ...(memoryBytes === undefined ? {} : { memoryBytes: Number(memoryBytes) }),
    ...(openFiles === undefined ? {} : { openFiles: Number(openFiles) }),
    ...(nice === undefined ? {} : { nice: Number(nice) }),
  }
  if (prefix === '' || limitsPrefix(limits) !== prefix) return { limits: null, command: text }
  return { limits, command: text.slice(prefix.length) }
}

/**
 * Lets `;` and `#` after white space through: supervisord would begin a comment there, within quotes too. An empty
 * pair of quotes between the two hides them and means nothing to the command.
 * @returns null when such a sign stands outside quotes, where it would be an argument and is surely not meant as one
 */
export function hideSigns(command: string): string | null {
  let isBare = false
  const hidden = atSigns(command, ({ quote, pairs, isEscaped }) => {
    if (quote === '' && pairs === 0 && !isEscaped) isBare = true
    return { insert: quote === '' ? "''" : quote + quote, drop: 0 }
  })
  return isBare ? null : hidden
}

/** The inverse of {@link hideSigns}. */
export function showSigns(text: string): string {
  return atSigns(text, ({ pairs }) => ({ insert: '', drop: pairs > 0 ? 2 : 0 }))
}

interface Sign {
  /** The quotation it stands in; empty outside. */
  quote: string
  /** Empty pairs of quotes between the white space and the sign. */
  pairs: number
  /** True when a backslash protects the white space. */
  isEscaped: boolean
}

/** Rewrites what stands right after the white space before each `;` and `#`. */
function atSigns(text: string, rewrite: (sign: Sign) => { insert: string; drop: number }): string {
  let out = ''
  let copied = 0
  let quote = ''
  /** Where the white space ended, -1 when something else came since. */
  let space = -1
  let isEscaped = false
  let pairs = 0
  for (let at = 0; at < text.length; at++) {
    const char = text.charAt(at)
    const isQuote = (char === '"' || char === "'") && (quote === '' || quote === char)
    if ((char === ';' || char === '#') && space >= 0) {
      const { insert, drop } = rewrite({ quote, pairs, isEscaped })
      out += text.slice(copied, space) + insert
      copied = space + drop
    }
    if (isQuote && space >= 0 && text.charAt(at + 1) === char) {
      pairs++
      at++
      continue
    }
    const escapes = char === '\\' && quote !== "'"
    const last = escapes ? text.charAt(++at) : char
    if (isQuote) quote = quote === '' ? char : ''
    space = last !== '' && isSpace(last) ? at + 1 : -1
    isEscaped = escapes
    pairs = 0
  }
  return out + text.slice(copied)
}
