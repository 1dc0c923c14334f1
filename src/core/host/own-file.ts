// Files that the agent alone writes, as JSON of a schema. One that a disk, a copy or a hand damaged is an expected
// failure: whoever is on the host is told which file, why, and the way out.
import { readFile } from 'node:fs/promises'
import type * as z from 'zod'
import { AgentError, type ErrorFacts } from '../../protocol/errors.ts'

const ISSUES_MAX = 3
const REASON_MAX = 300

/** What a file is, and what helps when it cannot be used. */
export interface FileWords {
  /** Such as `tokens file`. */
  what: string
  cure: string
}

/** A file of the agent's own cannot be used; the message never shows its content. */
export class OwnFileError extends AgentError {
  constructor(path: string, { what, cure, reason }: FileWords & { reason: string }, facts: ErrorFacts = {}) {
    const abroad = `the ${what} of the host cannot be used; the agent log has the detail`
    super('INTERNAL', `${what} ${path}: ${reason}; ${cure}`, { facts, abroad })
  }
}

/**
 * Reads such a file; null when there is none.
 * @throws {OwnFileError} when it cannot be read, or holds something else
 */
export async function readOwnFile<T>(
  path: string,
  schema: z.ZodType<T>,
  words: FileWords,
): Promise<T | null> {
  const refuse = (reason: string) => new OwnFileError(path, { ...words, reason })
  const text = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return null
    throw refuse(`cannot be read (${error.code})`)
  })
  return text === null ? null : parseOwn(text, schema, refuse)
}

/** What a text holds. @throws what `refuse` makes of the reason when it is not of the schema */
export function parseOwn<T>(text: string, schema: z.ZodType<T>, refuse: (reason: string) => Error): T {
  let json: unknown
  try {
    json = JSON.parse(text)
  } catch (error) {
    throw refuse(faultOf(text, String(error))) // the parser's own message quotes the content
  }
  const parsed = schema.safeParse(json)
  if (parsed.success) return parsed.data
  const reasons = parsed.error.issues
    .slice(0, ISSUES_MAX)
    .map(({ path: at, message }) => `${at.join('.') || 'top level'}: ${message}`)
  throw refuse(reasons.join('; ').slice(0, REASON_MAX))
}

/** Why a text is no JSON, with the line where the parser tells it. */
function faultOf(text: string, message: string): string {
  if (text.trim() === '') return 'it is empty'
  const end = text.trimEnd().length
  const at = /end of JSON|unterminated/i.test(message) ? String(end) : /at position (\d+)/.exec(message)?.[1]
  if (at === undefined) return 'not JSON'
  const where = `at line ${text.slice(0, Math.min(Number(at) + 1, end)).split('\n').length}`
  return Number(at) < end ? `not JSON, ${where}` : `it ends in the middle, ${where}`
}
