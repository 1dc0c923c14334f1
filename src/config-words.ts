// What is wrong with a config file, in the words of who writes it, with the place where it stands.
import { type Document, isMap, isPair, type LineCounter, type YAMLError } from 'yaml'
import type * as z from 'zod'

/** What is wrong with the YAML itself. */
export function yamlWords({ code, message, pos }: YAMLError, text: string): string {
  if (code === 'DUPLICATE_KEY') return `${/^[^\s:]*/.exec(text.slice(pos[0]))?.[0]}: this key is there twice`
  if (code === 'MULTIPLE_DOCS') return 'expected one document: no line of --- alone'
  if (code === 'TAB_AS_INDENT') return 'not YAML: expected spaces, found a tab'
  return `not YAML: ${message}`
}

/** What a schema found, one entry a key. */
export function explain(
  issue: z.core.$ZodIssue,
  document: Document,
  lines: LineCounter,
): { line: number; text: string }[] {
  const path = issue.path.map((part) => (typeof part === 'symbol' ? String(part) : part))
  if (issue.code === 'unrecognized_keys')
    return issue.keys.map((key) => ({
      line: lineOf([...path, key], document, lines),
      text: `${[...path, key].join('.')}: there is no such key`,
    }))
  const key = path.join('.') || 'the file'
  return [{ line: lineOf(path, document, lines), text: `${key}: ${expected(issue)}` }]
}

const TYPES: Record<string, string> = {
  string: 'text',
  number: 'a number',
  int: 'a whole number',
  boolean: 'true or false',
  array: 'a list',
  object: 'keys with values',
}

/** What was expected, in the words of who writes the file. */
function expected(issue: z.core.$ZodIssue): string {
  if (issue.message.startsWith('expected ')) return issue.message
  const { code } = issue
  if (code === 'invalid_type') return `expected ${TYPES[issue.expected] ?? issue.expected}`
  if (code === 'invalid_value') return `expected one of ${issue.values.join(', ')}`
  if (code === 'invalid_format') return 'expected a name or glob without white space and without < > &'
  const isText = 'origin' in issue && issue.origin === 'string'
  if (code === 'too_small')
    return isText ? 'expected text, found nothing' : `expected ${issue.minimum} or more`
  if (code === 'too_big') return `expected at most ${issue.maximum}${isText ? ' characters' : ''}`
  return issue.message
}

/** Line of the key at that path; of its nearest parent that is written down, else 1. */
export function lineOf(path: (string | number)[], document: Document, lines: LineCounter): number {
  for (let length = path.length; length > 0; length--) {
    const parent = length === 1 ? document.contents : document.getIn(path.slice(0, length - 1), true)
    const last = path[length - 1]
    const pair = isMap(parent) ? parent.items.find(({ key }) => String(key) === String(last)) : undefined
    const node = isPair(pair) ? pair.key : document.getIn(path.slice(0, length), true)
    const range = (node as { range?: [number, number, number] } | undefined)?.range
    if (range) return lines.linePos(range[0]).line
  }
  return 1
}
