// A parameter that is an object of its own, such as the definition of a program: from flags, or as a file.
import { readFileSync } from 'node:fs'
import { withSettings } from '../with-settings.ts'
import { UsageError } from './globals.ts'

/** Fields whose values are no business of a process list: they come from a file of `NAME=value` lines. */
export const FROM_FILE: ReadonlySet<string> = new Set(['environment', 'env'])

/**
 * The parameters of a call, with the fields of its body in their place. A flag wins over the file.
 * @param given what the command line says, fields and parameters mixed
 * @param own the parameters beside the body
 */
export async function withBody(
  given: Record<string, unknown>,
  { body, own, file }: { body: string; own: readonly string[]; file: string | undefined },
): Promise<Record<string, unknown>> {
  const fields: Record<string, unknown> = file === undefined ? {} : await objectIn(file)
  const params: Record<string, unknown> = {}
  for (const [name, value] of Object.entries(given)) {
    if (own.includes(name)) params[name] = value
    else fields[name] = value
  }
  return { ...params, [body]: fields }
}

/** `name=value`, added to those before it; a name given twice is a list. */
export function pair(text: string, before: Record<string, unknown> = {}): Record<string, unknown> {
  const at = text.indexOf('=')
  if (at < 1) throw new UsageError(`${text}: write name=value`)
  const name = text.slice(0, at)
  const value = plain(text.slice(at + 1))
  if (!Object.hasOwn(before, name)) return { ...before, [name]: value }
  const known = before[name]
  return { ...before, [name]: [...(Array.isArray(known) ? (known as unknown[]) : [known]), value] }
}

/** `true`, `false`, numbers and lists as such; a text in double quotes is a text whatever it looks like. */
export function plain(text: string): unknown {
  if (!/^(?:true|false|-?\d{1,15}(?:\.\d+)?|".*"|\[.*\])$/s.test(text)) return text
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}

/** Lines of `NAME=value`; empty lines and those that begin with # are passed over. */
export function variablesIn(path: string): Record<string, string> {
  const variables: Record<string, string> = {}
  for (const line of textOf(path).split(/\r?\n/)) {
    if (line.trim() === '' || line.trimStart().startsWith('#')) continue
    const at = line.indexOf('=')
    if (at < 1) throw new UsageError(`${path}: every line is NAME=value`)
    variables[line.slice(0, at).trim()] = line.slice(at + 1)
  }
  return variables
}

async function objectIn(path: string): Promise<Record<string, unknown>> {
  let value: unknown
  try {
    const text = textOf(path)
    value = await withSettings(({ readBody }) => readBody(text))
  } catch (error) {
    throw new UsageError(`${path}: ${error instanceof Error ? error.message : String(error)}`)
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new UsageError(`${path}: it must hold one object`)
  return { ...value }
}

function textOf(path: string): string {
  try {
    return readFileSync(path === '-' ? 0 : path, 'utf8')
  } catch (error) {
    throw new UsageError(`${path}: ${error instanceof Error ? error.message : String(error)}`)
  }
}
