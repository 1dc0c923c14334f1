import { readEnvironment } from '../supervisor/config-environment.ts'
import { isSpace } from '../supervisor/config-text.ts'
import { escapePercent, unescapePercent, whyNotLiteral } from './text.ts'

const NUMBER = /%\(process_num\)(0?\d?)([ds])/g
const STAND_IN = /NUMBER-OF-PROCESS-(0?\d?)([ds])-/g

/** What of a value supervisord 4.2 to 4.4 cannot all pass on as it is; null when they can. */
export function whyNotValue(value: string): string | null {
  if (/^['"]|['"]$/.test(value)) return 'supervisord strips quotes at the ends of a value'
  if (value.includes("'") && /["\\]/.test(value))
    return value.includes('"')
      ? 'supervisord has no way to write both kinds of quotes into one value'
      : 'supervisord has no way to write both a backslash and an apostrophe into one value'
  const chars = Array.from(value)
  if (chars.some((char, at) => (char === ';' || char === '#') && isSpace(chars[at - 1] ?? '')))
    return 'supervisord takes ; and # after white space for the start of a comment, in quotes too'
  return whyNotLiteral(value, true)
}

/** The text of `environment=`. The values must be free of what {@link whyNotValue} tells. */
export function writeEnvironment(environment: Readonly<Record<string, string>>): string {
  return Object.entries(environment)
    .map(([name, value]) => {
      const quote = /["\\]/.test(value) ? "'" : '"'
      return `${name}=${quote}${escapePercent(value)}${quote}`
    })
    .join(',')
}

/** The variables of a text of `environment=`, as a definition has them; null when one cannot be said there. */
export function readVariables(text: string): Record<string, string> | null {
  // supervisord expands first and splits then: the number of the process must go through as the word it will be
  if (unescapePercent(text, true) === null) return null
  const expanded = text
    .replace(NUMBER, (_, width: string, type: string) => `NUMBER-OF-PROCESS-${width}${type}-`)
    .replaceAll('%%', '%')
  const found = readEnvironment(expanded)
  if (found === null) return null
  const values = [...found].map(([name, value]): [string, string] => [
    name,
    value.replace(STAND_IN, (_, width: string, type: string) => `%(process_num)${width}${type}`),
  ])
  return values.every(([, value]) => whyNotValue(value) === null) ? Object.fromEntries(values) : null
}
