// Commander commands made from the method table: names, positionals, flags and help come from the schemas.
import { type Command, InvalidArgumentError, Option } from 'commander'
import type { MethodName } from '../methods/index.ts'
import { METHODS } from '../methods/index.ts'
import { jsonSchema } from '../methods/openrpc.ts'
import type { CliSpec } from '../protocol/method.ts'

interface Property {
  type?: string
  description?: string
  enum?: string[]
  default?: unknown
  items?: Property
}

/** Calls a method with the parameters of the command line. */
export type CallMethod = (method: MethodName, params: Record<string, unknown>) => Promise<void>

/** Commands with a shape of their own, written by hand. */
const BY_HAND = new Set(['policy explain', 'token create', 'audit verify'])

/** Adds a command for every method that has one. */
export function addMethodCommands(program: Command, call: CallMethod): void {
  for (const [name, method] of Object.entries(METHODS))
    if (method.cli && !BY_HAND.has(method.cli.command))
      addMethodCommand(program, { name: name as MethodName, summary: method.summary, cli: method.cli }, call)
}

function addMethodCommand(
  program: Command,
  { name, summary, cli }: { name: MethodName; summary: string; cli: CliSpec },
  call: CallMethod,
): void {
  const schema = jsonSchema(METHODS[name].params)
  const properties = schema['properties'] as Record<string, Property>
  const required = (schema['required'] ?? []) as string[]
  const command = commandAt(program, cli.command).description(summary)
  const positional = cli.positional ?? []
  for (const key of positional) command.argument(argumentOf(key, properties[key], required.includes(key)))
  for (const [key, property] of Object.entries(properties))
    if (!positional.includes(key)) command.addOption(optionOf(key, property, required.includes(key)))
  command.action(async (...args: unknown[]) => {
    const params: Record<string, unknown> = {}
    positional.forEach((key, index) => {
      const value = args[index]
      const isNothing = value === undefined || (Array.isArray(value) && value.length === 0)
      if (!isNothing) params[key] = value
    })
    for (const [key, value] of Object.entries(command.opts<Record<string, unknown>>()))
      if (key in properties && value !== undefined) params[key] = value
    await call(name, params)
  })
}

/** The command at those words, with the ones in between made where they are missing. */
export function commandAt(program: Command, words: string): Command {
  return words.split(' ').reduce((parent, word) => {
    const known = parent.commands.find((command) => command.name() === word)
    if (known) return known
    const made = parent.command(word)
    if (GROUPS[word]) made.description(GROUPS[word])
    return made
  }, program)
}

const GROUPS: Record<string, string> = {
  supervisor: 'Look at supervisord itself, apply its files, restart it.',
  token: 'Make, list, rotate and revoke tokens.',
  policy: 'What this host allows.',
  audit: 'Who did what; whether the records are what was written.',
  listener: 'The event listener in supervisord.',
  config: 'The config file.',
}

function argumentOf(key: string, property: Property | undefined, isRequired: boolean): string {
  const name = kebab(key)
  const dots = property?.type === 'array' ? '...' : ''
  return isRequired ? `<${name}${dots}>` : `[${name}${dots}]`
}

function optionOf(key: string, property: Property, isRequired: boolean): Option {
  const help = [
    property.description,
    'default' in property ? `(default ${JSON.stringify(property.default)})` : '',
  ]
    .filter(Boolean)
    .join(' ')
  const flag = kebab(key)
  if (property.type === 'boolean')
    return new Option(property.default === true ? `--no-${flag}` : `--${flag}`, help)
  const option = new Option(`--${flag} <${property.type === 'integer' ? 'n' : 'value'}>`, help)
  if (property.enum) option.choices(property.enum)
  else if (property.type === 'integer') option.argParser(wholeNumber)
  else if (property.type === 'array') {
    if (property.items?.enum) option.choices(property.items.enum)
    option.argParser((value: string, before: string[] | undefined) => [
      ...(before ?? []),
      ...value.split(','),
    ])
  }
  return isRequired ? option.makeOptionMandatory() : option
}

export function wholeNumber(text: string): number {
  if (!/^-?\d{1,15}$/.test(text)) throw new InvalidArgumentError('a whole number is needed')
  return Number(text)
}

function kebab(name: string): string {
  return name.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)
}
