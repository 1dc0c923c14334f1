// Commander commands made from the method table: names, positionals, flags and help come from the schemas.
import { type Command, InvalidArgumentError, Option } from 'commander'
import type { MethodName } from '../methods/index.ts'
import { METHODS } from '../methods/index.ts'
import { jsonSchema } from '../methods/openrpc.ts'
import type { CliSpec } from '../protocol/method.ts'
import { FROM_FILE, pair, plain, variablesIn, withBody } from './body.ts'
import { makeLate, withLateCommands } from './late-commands.ts'
import { ENTRY_TIMEOUT } from './own-flags.ts'

interface Property {
  type?: string
  anyOf?: Property[]
  description?: string
  enum?: string[]
  default?: unknown
  items?: Property
  properties?: Record<string, Property>
  required?: string[]
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

/** Adds `cron set`: the flags of `cron add`, none of which has a default, and all of which may be left out. */
export function addSetCommand(program: Command, call: CallMethod): void {
  const cli = { command: 'cron set', positional: ['id'], body: 'entry' }
  addMethodCommand(
    program,
    {
      name: 'crontab.put',
      summary: 'Change what is named of an entry; the rest stays.',
      cli,
      isPartial: true,
    },
    call,
  )
}

interface MethodCommand {
  name: MethodName
  summary: string
  cli: CliSpec
  isPartial?: boolean
}

function addMethodCommand(program: Command, spec: MethodCommand, call: CallMethod): void {
  const command = commandAt(program, spec.cli.command).description(spec.summary)
  makeLate(command, () => makeMethodCommand(command, spec, call))
}

function makeMethodCommand(
  command: Command,
  { name, cli, isPartial = false }: MethodCommand,
  call: CallMethod,
): void {
  const schema = jsonSchema(METHODS[name].params) as Property
  const body = cli.body === undefined ? undefined : schema.properties?.[cli.body]
  const { [cli.body ?? '']: _body, ...own } = schema.properties ?? {}
  const properties = { ...body?.properties, ...own }
  const needed = isPartial ? [] : (body?.required ?? [])
  const required = [...(schema.required ?? []), ...(isPartial ? (cli.positional ?? []) : needed)]
  const positional = cli.positional ?? []
  for (const key of positional) command.argument(argumentOf(key, properties[key], required.includes(key)))
  for (const [key, property] of Object.entries(properties))
    if (!positional.includes(key))
      for (const option of optionsOf(
        key,
        isPartial ? bare(property) : property,
        required.includes(key) && !body,
      ))
        command.addOption(option)
  if (body?.properties?.['timeoutMs'])
    command.addOption(new Option(`${ENTRY_TIMEOUT} <n>`).argParser(wholeNumber).hideHelp())
  if (body)
    command.option('--file <path>', `the ${cli.body} as JSON or YAML, - for stdin; a flag wins over it`)
  command.action(async (...args: unknown[]) => {
    const params: Record<string, unknown> = {}
    positional.forEach((key, index) => {
      const value = args[index]
      const isNothing = value === undefined || (Array.isArray(value) && value.length === 0)
      if (!isNothing)
        params[key] =
          properties[key]?.type === 'integer' && typeof value === 'string' ? wholeNumber(value) : value
    })
    const options = command.opts<Record<string, unknown>>()
    for (const key of Object.keys(properties)) {
      const value = FROM_FILE.has(key) ? variablesOf(options[`${key}File`]) : valueOf(key, options)
      if (value !== undefined && !positional.includes(key)) params[key] = value
    }
    if (options['entryTimeoutMs'] !== undefined) params['timeoutMs'] = options['entryTimeoutMs']
    const file = options['file']
    // what a file may say need not be said by a flag
    const missing =
      body && file === undefined
        ? required.find((key) => key in properties && params[key] === undefined)
        : undefined
    if (missing !== undefined)
      command.error(`error: required option '--${kebab(missing)} <value>' not specified`)
    await call(
      name,
      cli.body === undefined
        ? params
        : await withBody(params, {
            body: cli.body,
            own: Object.keys(own),
            file: typeof file === 'string' ? file : undefined,
          }),
    )
  })
}

/** `--no-overlap` is the key noOverlap here, and to commander it is overlap that is false. */
function valueOf(key: string, options: Record<string, unknown>): unknown {
  const [, letter, rest] = /^no([A-Z])(.*)$/.exec(key) ?? []
  if (letter === undefined || rest === undefined) return options[key]
  return options[letter.toLowerCase() + rest] === false ? true : options[key]
}

function variablesOf(path: unknown): Record<string, string> | undefined {
  return typeof path === 'string' ? variablesIn(path) : undefined
}

/** The command at those words, with the ones in between made where they are missing. */
export function commandAt(program: Command, words: string): Command {
  return words.split(' ').reduce((parent, word) => {
    const known = parent.commands.find((command) => command.name() === word)
    if (known) return known
    const made = parent.command(word)
    withLateCommands(made)
    if (GROUPS[word]) made.description(GROUPS[word])
    return made
  }, program)
}

const GROUPS: Record<string, string> = {
  program: 'Programs: create, change, scale, restore.',
  cron: 'Crontab entries: make, change, look at what came of them.',
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

function optionsOf(key: string, property: Property, isRequired: boolean): Option[] {
  const help = [
    property.description,
    'default' in property ? `(default ${JSON.stringify(property.default)})` : '',
  ]
    .filter(Boolean)
    .join(' ')
  const flag = kebab(key)
  if (FROM_FILE.has(key)) return [new Option(`--${flag}-file <path>`, `${help}, as lines of NAME=value`)]
  if (property.type === 'boolean') return booleans(flag, help, property.default)
  // an object within an object: in the file alone
  if (property.type === 'object' && property.properties) return []
  const option = new Option(`--${flag} <${placeOf(property)}>`, help)
  const parser = parserOf(property)
  if (property.enum ?? property.items?.enum) option.choices(property.enum ?? property.items?.enum ?? [])
  if (parser) option.argParser(parser)
  return [isRequired ? option.makeOptionMandatory() : option]
}

function bare({ default: _default, ...property }: Property): Property {
  return property
}

/** Without a default it is three things: yes, no, and not said. */
function booleans(flag: string, help: string, byDefault: unknown): Option[] {
  const yes = new Option(`--${flag}`, help)
  const no = new Option(`--no-${flag}`, byDefault === undefined ? `not: ${help}` : help)
  if (byDefault === undefined) return [yes, no]
  return [byDefault === true ? no : yes]
}

function placeOf({ type }: Property): string {
  if (type === 'integer') return 'n'
  return type === 'object' ? 'name=value' : 'value'
}

function parserOf(property: Property): ((value: string, before: unknown) => unknown) | null {
  if (property.type === 'integer') return wholeNumber
  if (property.type === 'object') return (value, before) => pair(value, isObject(before) ? before : {})
  if (property.anyOf) return plain
  if (property.type !== 'array') return null
  const item: (text: string) => unknown = property.items?.type === 'integer' ? wholeNumber : (text) => text
  return (value, before) => [
    ...(Array.isArray(before) ? (before as unknown[]) : []),
    ...value.split(',').map(item),
  ]
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null
}

export function wholeNumber(text: string): number {
  if (!/^-?\d{1,15}$/.test(text)) throw new InvalidArgumentError('a whole number is needed')
  return Number(text)
}

function kebab(name: string): string {
  return name.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)
}
