// Each field of a definition against its key in the file: written so that supervisord takes it for what it is, and read
// back as the same value.
import { basename, dirname } from 'node:path'
import { Definition } from '../../protocol/definition.ts'
import type { DefinitionIssue } from '../../protocol/program.ts'
import { PROGRAM_KEYS, type ProgramKey } from '../../protocol/program-key.ts'
import { commandWords } from '../policy/command-words.ts'
import { isSpace } from '../supervisor/config-text.ts'
import {
  readBoolean,
  readBytes,
  readExitCodes,
  readInteger,
  readOctal,
  readRestart,
  readSignal,
} from '../supervisor/config-values.ts'
import { hideSigns, limitsPrefix, showSigns, splitLimits } from './command-text.ts'
import { readVariables, whyNotValue, writeEnvironment } from './environment-text.ts'
import { escapePercent, hasNumber, unescapePercent, whyNotLiteral } from './text.ts'

export interface Field {
  name: string
  key: ProgramKey
  schema: { safeParse(value: unknown): { success: boolean } }
}

/** The fields that stand for a key of the file, in the order of the file. */
export const FIELDS: readonly Field[] = Object.entries(Definition.shape).flatMap(([name, schema]) => {
  const key = PROGRAM_KEYS.get(schema)
  return key ? [{ name, key, schema }] : []
})

const COMMENT =
  'supervisord takes ; and # after white space for the start of a comment: put quotes around it, or leave out the space'

/** What the file must say for one field; null when the definition does not have it. What it cannot say is an issue. */
export function writeField(
  { name, key }: Field,
  definition: Definition,
  issues: DefinitionIssue[],
): string | null {
  const value = new Map<string, unknown>(Object.entries(definition)).get(name)
  if (value === undefined) return null
  const refuse = (message: string | null, path = name): void => {
    if (message !== null) issues.push({ path, message })
  }
  if (key.kind === 'environment') {
    const environment = definition.environment ?? {}
    for (const [variable, text] of Object.entries(environment))
      refuse(whyNotValue(text), `environment.${variable}`)
    return writeEnvironment(environment)
  }
  if (key.kind === 'exit-codes') return (definition.exitCodes ?? []).join(',')
  const text = typeof value === 'string' ? value : JSON.stringify(value)
  if (key.ini === 'command') {
    refuse(whyNotCommand(text))
    return limitsPrefix(definition.limits ?? {}) + escapePercent(hideSigns(text) ?? text)
  }
  if (key.kind === 'log-file') refuse(whyNotLogFile(text))
  else if (key.kind !== 'text') return text
  else refuse(whyNotLiteral(text, false))
  if (hasComment(text)) refuse(COMMENT)
  return escapePercent(text)
}

/** A value of the file as its field has it; undefined for what the field cannot say. */
export function readField({ key, schema }: Field, text: string): unknown {
  const value = valueOf(key, text)
  return value !== null && schema.safeParse(value).success ? value : undefined
}

/** The command of a file, and the limits that stand before it. */
export function readCommand(text: string): { command: string; limits: Definition['limits'] } | null {
  const plain = unescapePercent(text, true)
  if (plain === null) return null
  const { limits, command } = splitLimits(plain)
  return { command: showSigns(command), limits: limits ?? undefined }
}

function valueOf(key: ProgramKey, text: string): unknown {
  switch (key.kind) {
    case 'text':
      return key.ini === 'command' ? readCommand(text)?.command : unescapePercent(text, false)
    case 'integer':
      return readInteger(text)
    case 'boolean':
      return readBoolean(text)
    case 'restart':
      return readRestart(text)
    case 'exit-codes':
      return readExitCodes(text)
    case 'signal':
      return readSignal(text)
    case 'bytes':
      return readBytes(text)
    case 'octal':
      return readUmask(text)
    case 'log-file':
      return readLogFile(text)
    case 'environment':
      return readVariables(text)
  }
}

function readUmask(text: string): string | null {
  if (/^0?[0-7]{3}$/.test(text)) return text
  return readOctal(text)?.toString(8).padStart(3, '0') ?? null
}

function readLogFile(text: string): string | null {
  const word = text.toLowerCase()
  if (word === 'none' || word === 'off') return 'NONE'
  if (word === 'auto') return 'AUTO'
  const path = unescapePercent(text, true)
  return path === null || whyNotLogFile(path) !== null ? null : path
}

function whyNotCommand(command: string): string | null {
  const words = commandWords(command)
  if (!words) return 'a quotation or an escape does not end'
  if (!words[0]?.text) return 'it begins with an empty word'
  if (splitLimits(command).limits) return 'its limits have a field of their own: limits'
  return hideSigns(command) === null ? COMMENT : whyNotLiteral(command, true)
}

function whyNotLogFile(path: string): string | null {
  if (path === 'NONE' || path === 'AUTO') return null
  if (path.endsWith('/')) return 'it is the name of a folder'
  if (path.split('/').includes('..')) return 'a log file is written without ..'
  // supervisord expands it twice, so that a percent sign would need four
  if (dirname(path).includes('%') || escapePercent(path) !== path)
    return 'a log file has no percent sign, save %(process_num)02d in its name'
  return hasNumber(dirname(path)) ? 'its folder has no number' : whyNotLiteral(basename(path), true)
}

function hasComment(text: string): boolean {
  const chars = Array.from(text)
  return chars.some((char, at) => (char === ';' || char === '#') && isSpace(chars[at - 1] ?? ''))
}
