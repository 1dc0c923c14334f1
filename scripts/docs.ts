// Writes docs/reference.md from the method table, the catalogues, the config schema and the command line.
// `--check` writes nothing and exits 1 when the file is stale.
import { readFileSync, writeFileSync } from 'node:fs'
import { resolve } from 'node:path'
import type { Command } from 'commander'
import * as z from 'zod'
import { wholeProgram } from '../src/cli/run.ts'
import { Config } from '../src/config.ts'
import { METHODS } from '../src/methods/index.ts'
import { TokenView } from '../src/methods/token.ts'
import { Definition } from '../src/protocol/definition.ts'
import { ERRORS, type ErrorCode } from '../src/protocol/errors.ts'
import { EVENTS } from '../src/protocol/events.ts'
import { Bookmark, Gap, Hello, LogNotification, Progress, Unsubscribed } from '../src/protocol/frames.ts'
import { CLOSE, LIMITS, PROTOCOL_VERSION, SUBPROTOCOL } from '../src/protocol/limits.ts'
import { sharedErrors } from '../src/protocol/method.ts'
import { Process, ProcessResult } from '../src/protocol/process.ts'
import { PROGRAM_KEYS } from '../src/protocol/program-key.ts'
import { ROLES, SCOPES } from '../src/protocol/scopes.ts'

interface Schema {
  type?: string | string[]
  description?: string
  default?: unknown
  const?: unknown
  enum?: unknown[]
  format?: string
  pattern?: string
  anyOf?: Schema[]
  items?: Schema
  not?: unknown
  properties?: Record<string, Schema>
  required?: string[]
  additionalProperties?: Schema | boolean
  minimum?: number
  maximum?: number
  minLength?: number
  maxLength?: number
  minItems?: number
  maxItems?: number
}

const FILE = resolve(import.meta.dirname, '../docs/reference.md')
const KEY_EXAMPLE = 'deploy-2026-11-22-1'

/** Objects that many results hold; described once. */
const SHAPES = { Definition, Process, ProcessResult, Token: TokenView }
const NAMED = new Map(Object.entries(SHAPES).map(([name, schema]) => [fingerprint(outputOf(schema)), name]))

const CLOSE_MEANING: Record<keyof typeof CLOSE, string> = {
  goingAway: 'the agent ends this connection in order',
  binary: 'a binary frame: only text is spoken here',
  badUtf8: 'a text frame that is not UTF-8',
  malformed: `${LIMITS.malformedClose} frames that were no requests`,
  tooBig: 'a frame over the limit',
  restarting: 'the agent stops or restarts: connect again, with a pause that grows',
  overload: 'too many connections',
  tokenEnded: 'the token was revoked or has expired',
  stalled:
    'the peer did not read for too long; one that does not read for as long again is cut off without a code',
  overRate: `more than ${LIMITS.overRateClose} requests over the rate within a second`,
}

const NOTIFICATIONS = [
  ['hello', 'The first frame of every connection.', Hello],
  ['gap', 'Events that this subscriber will never get: take a snapshot (`event.subscribe` anew).', Gap],
  ['bookmark', 'The position, while the filter hides events: resume from here.', Bookmark],
  [
    'log',
    'A piece of a log that is followed; `ended` in the last one when it cannot go on.',
    LogNotification,
  ],
  ['unsubscribed', 'The right that a subscription needs was taken away: it has ended.', Unsubscribed],
  ['progress', 'How far a long call is; `id` is that of the call.', Progress],
] as const

function outputOf(schema: z.ZodType): Schema {
  return z.toJSONSchema(schema, { io: 'output', unrepresentable: 'any' }) as Schema
}

function inputOf(schema: z.ZodType): Schema {
  return z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' }) as Schema
}

function fingerprint({ properties }: Schema): string {
  return JSON.stringify(properties)
}

/** A type in words: `"a" \| "b"`, `[Process]`, `integer or null`. */
function typeOf(schema: Schema): string {
  const name = schema.properties && NAMED.get(fingerprint(schema))
  if (name) return `[${name}](#${name.toLowerCase()})`
  if (schema.enum) return schema.enum.map((value) => code(value)).join(' \\| ')
  if ('const' in schema) return code(schema.const)
  if (schema.anyOf) return schema.anyOf.map(typeOf).join(' or ')
  if (schema.type === 'array')
    return schema.items?.not ? 'array, empty' : `array of ${typeOf(schema.items ?? {})}`
  if (schema.type === 'object' && typeof schema.additionalProperties === 'object')
    return `object of ${typeOf(schema.additionalProperties)} by name`
  if (schema.format === 'date-time') return 'time'
  return [schema.type ?? 'any'].flat().join(' or ')
}

function limitsOf(schema: Schema): string {
  const { minimum, maximum, minLength, maxLength, minItems, maxItems } = schema
  const own = [range(minimum, maximum, ''), range(minLength, maxLength, ' characters')]
  own.push(range(minItems, maxItems, ' entries'))
  // a time has a pattern that explains nothing
  if (schema.pattern && schema.format === undefined) own.push(`matches ${code(schema.pattern, '')}`)
  const inner = schema.items && !schema.items.properties ? limitsOf(schema.items) : ''
  return [...own, inner === '' ? '' : `each ${inner}`].filter(Boolean).join('; ')
}

function meaningOf({ description, items }: Schema): string {
  return (description ?? (items?.description ? `each ${items.description}` : '')).replaceAll('|', '\\|')
}

function range(from: number | undefined, to: number | undefined, unit: string): string {
  if (from === 1 && to === undefined && unit !== '') return 'not empty'
  const low = from === undefined || from <= Number.MIN_SAFE_INTEGER ? undefined : from
  const high = to === undefined || to >= Number.MAX_SAFE_INTEGER ? undefined : to
  if (low === undefined && high === undefined) return ''
  if (low === undefined) return `at most ${high}${unit}`
  return high === undefined ? `at least ${low}${unit}` : `${low} to ${high}${unit}`
}

function code(value: unknown, quote = "'"): string {
  const text = typeof value === 'string' ? `${quote}${value}${quote}` : JSON.stringify(value)
  return `\`${text.replaceAll('|', '\\|')}\``
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  if (rows.length === 0) return 'None.\n'
  const used = head.map((_, column) => rows.some((row) => row[column] !== ''))
  const line = (cells: readonly string[]) => `| ${cells.filter((_, column) => used[column]).join(' | ')} |\n`
  return line(head) + line(head.map(() => '---')) + rows.map(line).join('')
}

interface Field {
  path: string
  schema: Schema
  isRequired: boolean
}

/** The fields of an object, those of objects within it by their path; what has a name of its own stays closed. */
function fieldsOf(schema: Schema, prefix = ''): Field[] {
  return Object.entries(schema.properties ?? {}).flatMap(([key, child]) => {
    const path = prefix + key
    const isRequired = schema.required?.includes(key) ?? false
    const own: Field = { path, schema: child, isRequired }
    const inner = child.type === 'array' ? (child.items ?? {}) : (child.anyOf?.[0] ?? child)
    if (!inner.properties || NAMED.has(fingerprint(inner))) return [own]
    return [own, ...fieldsOf(inner, child.type === 'array' ? `${path}[].` : `${path}.`)]
  })
}

function paramsTable(params: Schema): string {
  const rows = fieldsOf(params).map(({ path, schema, isRequired }) => {
    const value = 'default' in schema ? code(schema.default) : isRequired ? 'needed' : ''
    return [`\`${path}\``, typeOf(schema), value, limitsOf(schema), meaningOf(schema)]
  })
  return table(['name', 'type', 'default', 'limits', 'meaning'], rows)
}

function resultTable(result: Schema): string {
  const rows = fieldsOf(result).map(({ path, schema, isRequired }) => {
    const type = isRequired ? typeOf(schema) : `${typeOf(schema)}, may be absent`
    return [`\`${path}\``, type, meaningOf(schema)]
  })
  return rows.length === 0 ? 'An empty object.\n' : table(['field', 'type', 'meaning'], rows)
}

/** The fields of a program, each with the key of supervisord that it stands for. */
function definitionTable(): string {
  const schemas = new Map(Object.entries(Definition.shape))
  const rows = fieldsOf(inputOf(Definition)).map(({ path, schema, isRequired }) => {
    const field = schemas.get(path)
    const key = field && PROGRAM_KEYS.get(field)
    const byDefault = key?.byDefault ? code(key.byDefault, '') : ''
    const meaning = [isRequired ? 'needed' : '', meaningOf(schema)].filter(Boolean).join('; ')
    return [
      `\`${path}\``,
      typeOf(schema),
      limitsOf(schema),
      key ? `\`${key.ini}\`` : '',
      byDefault,
      key?.since ?? '',
      meaning,
    ]
  })
  return table(['field', 'type', 'limits', 'key', "supervisord's default", 'since', 'meaning'], rows)
}

function json(value: unknown): string {
  const line = JSON.stringify(value)
  return `\`\`\`json\n${line.length <= 110 ? line : JSON.stringify(value, null, 2)}\n\`\`\`\n`
}

function codes(errors: readonly ErrorCode[]): string {
  return errors.map((error) => `\`${error}\``).join(', ')
}

function methodSection([name, method]: [string, (typeof METHODS)[keyof typeof METHODS]]): string {
  const { params, result } = method.example
  const sent = method.mutating ? { ...params, idempotencyKey: KEY_EXAMPLE } : params
  const facts = [
    method.scope === 'any' ? 'scope: any' : `scope: \`${method.scope}\``,
    method.mutating ? 'changes something' : 'reads',
    ...(method.switches ?? []).map((rule) => `needs \`policy.${rule}\``),
    ...('cli' in method ? [`command line: \`agent ${method.cli.command}\``] : []),
  ]
  const shared = sharedErrors(method.mutating)
  const errors = codes(method.errors.filter((error) => !shared.includes(error)))
  return [
    `### ${name}\n`,
    `${method.summary}\n`,
    ...(method.unforeseen === undefined
      ? []
      : [`\`policy.explain\` cannot foresee all: ${method.unforeseen}.\n`]),
    `${facts.join(' · ')}\n`,
    `**Parameters**\n\n${paramsTable(inputOf(method.params))}`,
    `**Result**\n\n${resultTable(outputOf(method.result))}`,
    `**Errors of its own**: ${errors === '' ? 'none' : errors}\n`,
    json({ jsonrpc: '2.0', id: 1, method: name, params: sent }),
    json({ jsonrpc: '2.0', id: 1, result }),
  ].join('\n')
}

function configSection(): string {
  const rows = fieldsOf(inputOf(Config)).flatMap(({ path, schema }) => {
    if (schema.properties) return []
    // the schema's own default is the name of whatever host this runs on
    const value = schema.default === undefined ? '' : code(schema.default)
    const byDefault = path === 'name' ? "the host's name" : value
    return [[`\`${path}\``, typeOf(schema), byDefault, limitsOf(schema), meaningOf(schema)]]
  })
  return table(['key', 'type', 'default', 'limits', 'meaning'], rows)
}

/** Every command that does something, in the order of the help. */
function leaves(
  command: Command,
  words: readonly string[],
): { command: Command; words: readonly string[] }[] {
  const all = [...words, command.name()]
  if (command.commands.length === 0) return [{ command, words: all }]
  return command.commands.flatMap((child) => leaves(child, all))
}

function optionsTable(command: Command): string {
  const rows = command.options
    .filter(({ hidden }) => !hidden)
    .map(({ flags, description, mandatory, argChoices }) => {
      const choices = argChoices ? `one of ${argChoices.join(', ')}` : ''
      const meaning = [mandatory ? 'needed' : '', choices, description].filter(Boolean).join('; ')
      return [`\`${flags.replaceAll('|', '\\|')}\``, meaning.replaceAll('|', '\\|')]
    })
  return rows.length === 0 ? '' : `\n${table(['option', 'meaning'], rows)}`
}

/** What the help says of the exit status. */
function exitsOf(program: Command): string {
  let help = ''
  program.configureOutput({ writeOut: (text) => (help += text) }).outputHelp()
  return help.slice(help.indexOf('Exit status:')).trim()
}

function commandSection(program: Command): string {
  const commands = leaves(program, []).map(({ command, words }) => {
    const args = command.registeredArguments.map((argument) => {
      const name = argument.name() + (argument.variadic ? '...' : '')
      return argument.required ? `<${name}>` : `[${name}]`
    })
    const options = command.options.length === 0 ? [] : ['[options]']
    const line = [...words, ...options, ...args].join(' ')
    return `### \`${line}\`\n\n${command.description()}\n${optionsTable(command)}`
  })
  return `${exitsOf(program)}\n\nOptions before the command:\n${optionsTable(program)}\n${commands.join('\n')}`
}

function render(): string {
  const ofChanges = sharedErrors(true).filter((error) => !sharedErrors(false).includes(error))
  const spec = (schema: z.ZodType) => resultTable(outputOf(schema))
  return [
    '# Reference\n',
    `Generated from the code by \`npm run docs\`. Protocol version ${PROTOCOL_VERSION}, subprotocol \`${SUBPROTOCOL}\`.\n`,
    'A frame is one JSON-RPC 2.0 object as WebSocket text, or as a line on the unix sockets. `params` is an object',
    'without unknown keys; there are no batches. A request without `id` has no effect. Times are ISO 8601 in UTC.\n',
    'A frame that is no request is answered with `PARSE_ERROR` or `INVALID_REQUEST`. Beside the errors of its own every',
    `method may answer ${codes(sharedErrors(false))};`,
    '`FORBIDDEN` where the scopes, the programs or the users of the caller do not reach so far.\n',
    'A method that changes something takes `idempotencyKey`, needed over TCP: the call with that key runs once, and a repeat',
    'gets the first outcome with `replayed: true`. Such a method may also answer',
    `${codes(ofChanges)}: a host may be read-only, the key may`,
    'belong to another call, or to one that the agent did not see end. An error with `data.begun: false` says that nothing',
    'was done, and leaves the key free.\n',
    '## Scopes and roles\n',
    table(
      ['role', ...SCOPES],
      Object.entries(ROLES).map(([role, scopes]) => [
        `\`${role}\``,
        ...SCOPES.map((scope) => ((scopes as readonly string[]).includes(scope) ? 'yes' : '–')),
      ]),
    ),
    '## Methods\n',
    ...Object.entries(METHODS).map(methodSection),
    '## Shapes\n',
    ...Object.entries(SHAPES).map(
      ([name, schema]) => `### ${name}\n\n${schema === Definition ? definitionTable() : spec(schema)}`,
    ),
    '## Events\n',
    'Sent as notification `event {subscription, epoch, seq, at, type, actor?, payload}` after `event.subscribe`.\n',
    ...Object.entries(EVENTS).map(
      ([type, { summary, payload }]) => `### ${type}\n\n${summary}\n\n${spec(payload)}`,
    ),
    '## Other notifications\n',
    ...NOTIFICATIONS.map(([name, text, schema]) => `### ${name}\n\n${text}\n\n${spec(schema)}`),
    '## Errors\n',
    '`error {code, message, data: {name, retry, …}}`. `retry`: the same call may succeed later with nothing changed.\n',
    table(
      ['name', 'code', 'retry', 'exit status', 'meaning'],
      Object.entries(ERRORS).map(([name, { rpc, retry, exit, summary }]) => [
        `\`${name}\``,
        String(rpc),
        retry ? 'yes' : 'no',
        String(exit),
        summary,
      ]),
    ),
    '## Close codes\n',
    table(
      ['code', 'meaning'],
      Object.entries(CLOSE)
        .map(([name, number]) => [String(number), CLOSE_MEANING[name as keyof typeof CLOSE]])
        .toSorted(([a = ''], [b = '']) => Number(a) - Number(b)),
    ),
    '## Limits\n',
    'Also in `hello.limits`. Sizes in bytes, times in milliseconds.\n',
    table(
      ['limit', 'value'],
      Object.entries(LIMITS).map(([name, value]) => [`\`${name}\``, String(value)]),
    ),
    '## Config file\n',
    configSection(),
    '## Command line\n',
    commandSection(wholeProgram()),
  ].join('\n')
}

function firstDifference(a: string, b: string): string {
  const [mine, theirs] = [a.split('\n'), b.split('\n')]
  const at = mine.findIndex((line, index) => line !== theirs[index])
  const row = at < 0 ? mine.length : at
  return `line ${row + 1}\n  is:     ${theirs[row] ?? '(end of the file)'}\n  should: ${mine[row] ?? '(end of the file)'}`
}

function stored(): string {
  try {
    return readFileSync(FILE, 'utf8')
  } catch {
    return ''
  }
}

const text = render()
if (!process.argv.includes('--check')) writeFileSync(FILE, text)
else if (stored() !== text) {
  process.stderr.write(`docs/reference.md is stale (npm run docs): ${firstDifference(text, stored())}\n`)
  process.exitCode = 1
}
