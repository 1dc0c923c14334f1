// The script of an entry whose command does not go into a crontab: docs/adr/0006-crontab-block.md.
import { shellQuoted } from './managed-line.ts'

export interface JobScript {
  id: string
  env: Readonly<Record<string, string>>
  command: string
}

const HEAD = /^# supervisor-agent script v1 ([A-Za-z0-9][A-Za-z0-9_-]{0,31}) (\d{1,4})\n/
const EXPORT = /^export ([A-Za-z_][A-Za-z0-9_]*)='((?:[^'\n]|'\\'')*)'\n/

/** The command stands at the end without a newline of ours, so that it means what it means as an argument of sh -c. */
export function writeScript({ id, env, command }: JobScript): string {
  const variables = Object.entries(env).map(([name, value]) => `export ${name}=${shellQuoted(value)}\n`)
  return `# supervisor-agent script v1 ${id} ${variables.length}\n${variables.join('')}${command}`
}

/** @returns null for a text that {@link writeScript} does not write */
export function readScript(text: string): JobScript | null {
  const [head, id, count] = HEAD.exec(text) ?? []
  if (head === undefined || id === undefined) return null
  const variables: [name: string, value: string][] = []
  let rest = text.slice(head.length)
  for (let i = 0; i < Number(count); i++) {
    const [line, name, value] = EXPORT.exec(rest) ?? []
    if (line === undefined || name === undefined || value === undefined) return null
    variables.push([name, value.replaceAll("'\\''", "'")])
    rest = rest.slice(line.length)
  }
  return { id, env: Object.fromEntries(variables), command: rest }
}
