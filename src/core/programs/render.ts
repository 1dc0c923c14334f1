import { createHash } from 'node:crypto'
import type { Definition } from '../../protocol/definition.ts'
import { requireWhole } from './definition.ts'
import { FIELDS, writeField } from './fields.ts'
import { toBytes } from './ini/bytes.ts'

/** The group that the processes are put into, when it is not that of the program itself. */
export interface GroupForm {
  group: string
  processes: number
  /** The number of its first process. */
  numprocsStart: number
  autostart: boolean
}

const HEAD = /^; supervisor-agent: program (\S+), revision ([0-9a-f]{16})(?:\r\n|\r|\n|$)/
const NOTE = '; Changes by hand stay, and are told as drift.\n'

/**
 * The `[program:x]` section of a definition, without a head. A process of it gets exactly the command, folder,
 * environment and umask that the definition says.
 * @throws {AgentError} PROGRAM_INVALID naming the fields that the file cannot say
 */
export function renderSection(definition: Definition, form?: GroupForm): string {
  const whole = requireWhole(definition)
  const shown: Definition = form
    ? {
        ...whole,
        processes: form.processes,
        numprocsStart: form.numprocsStart,
        autostart: form.autostart,
      }
    : whole
  const lines = FIELDS.flatMap((field) => {
    const text = writeField(field, shown, [])
    if (text === null) return []
    const own = `${field.key.ini}=${text}`
    return field.key.ini === 'command' ? [own, `process_name=${processNameOf(whole.name)}`] : [own]
  })
  return `[program:${form?.group ?? whole.name}]\n${lines.map((line) => `${line}\n`).join('')}`
}

/**
 * The file of a program: a head that names it and its revision, and its section.
 * @throws {AgentError} PROGRAM_INVALID naming the fields that the file cannot say
 */
export function renderFile(definition: Definition, form?: GroupForm): string {
  return withHead(NOTE + renderSection(definition, form), form?.group ?? definition.name)
}

/** Literal, so that the name stays the same in every group that the process may be started in. */
export function processNameOf(name: string): string {
  return `${name}_%(process_num)02d`
}

/** Puts the head on top of a file, in place of one that is there. */
export function withHead(text: string, name: string): string {
  const body = bodyOf(text)
  return `; supervisor-agent: program ${name}, revision ${revisionOf(body)}${endOf(body)}${body}`
}

/** What the head of a file says; null for a file without one. */
export function headOf(text: string): { name: string; revision: string } | null {
  const [, name, revision] = HEAD.exec(text) ?? []
  return name === undefined || revision === undefined ? null : { name, revision }
}

/** The hash of all that is below the head. It differs from the one in the head when others have changed the file. */
export function revisionOf(text: string): string {
  return createHash('sha256')
    .update(toBytes(bodyOf(text)))
    .digest('hex')
    .slice(0, 16)
}

function bodyOf(text: string): string {
  return text.replace(HEAD, '')
}

/** The line end that a file uses. */
function endOf(text: string): string {
  return /\r\n|\r|\n/.exec(text)?.[0] ?? '\n'
}
