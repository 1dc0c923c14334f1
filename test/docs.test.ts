// What the papers say is tried: commands are parsed by the real command line, frames by the real schemas.
import { execFile } from 'node:child_process'
import { accessSync, constants, existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'
import { promisify } from 'node:util'
import type { Command } from 'commander'
import { transform } from 'esbuild'
import t from 'tap'
import { parse as parseYaml } from 'yaml'
import type * as z from 'zod'
import { wholeProgram } from '../src/cli/run.ts'
import { Config, parseConfig } from '../src/config.ts'
import { METHODS } from '../src/methods/index.ts'
import { EVENTS, WireEvent } from '../src/protocol/events.ts'
import { Bookmark, Gap, Hello, Incoming, LogNotification, Progress, Request } from '../src/protocol/frames.ts'
import { PANEL_MESSAGES } from '../src/protocol/panel.ts'

const ROOT = resolve(import.meta.dirname, '..')
const run = promisify(execFile)

interface Block {
  language: string
  text: string
  line: number
}

interface Paper {
  name: string
  text: string
  blocks: Block[]
}

const papers: Paper[] = [
  join(ROOT, 'README.md'),
  join(ROOT, 'CONTRIBUTING.md'),
  ...markdownIn(join(ROOT, 'docs')),
]
  .filter((path) => existsSync(path))
  .map((path) => {
    const text = readFileSync(path, 'utf8')
    return { name: relative(ROOT, path), text, blocks: blocksOf(text) }
  })

function markdownIn(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.md'))
    .map((name) => join(folder, name))
}

function blocksOf(text: string): Block[] {
  return [...text.matchAll(/^( *)```([a-z]*)[^\n]*\n(.*?)^\1```$/gms)].map(
    ({ 2: language = '', 3: body = '', index }) => ({
      language,
      text: body,
      line: text.slice(0, index).split('\n').length,
    }),
  )
}

/** The blocks of some languages, of every paper, each with the place to name in a failure. */
function blocks(...languages: string[]): (Block & { at: string; paper: Paper })[] {
  return papers.flatMap((paper) =>
    paper.blocks
      .filter(({ language }) => languages.includes(language))
      .map((block) => ({ ...block, paper, at: `${paper.name}:${block.line}` })),
  )
}

/** What is typed in a block: all of it, or only what stands after a prompt when there are prompts. */
function typed(text: string): string {
  if (!/^\$ /m.test(text)) return text
  return text
    .split('\n')
    .flatMap((line, index, lines) => {
      if (line.startsWith('$ ')) return [line.slice(2)]
      return lines[index - 1]?.endsWith('\\') ? [line] : []
    })
    .join('\n')
}

/** The simple commands of a script, as words. Knows quotes, comments, `$(…)`, and what joins commands. */
function commandsOf(script: string): string[][] {
  const inner: string[] = []
  const flat = script.replaceAll('\\\n', ' ').replaceAll(/\$\(([^()]*)\)/g, (_, command: string) => {
    inner.push(command)
    return 'VALUE'
  })
  const commands: string[][] = [[]]
  const pattern =
    /'([^']*)'|"((?:[^"\\]|\\.)*)"|(\s#[^\n]*|^#[^\n]*)|(\d?>{1,2}&?\s*[^\s|&;]+|<\s*[^\s|&;>]+)|(\|\||&&|[|;&\n])|([^\s'"|;&]+)/gm
  for (const [, single, double, comment, redirection, joint, word] of flat.matchAll(pattern)) {
    if (comment !== undefined || redirection !== undefined) continue
    if (joint !== undefined) commands.push([])
    else commands.at(-1)?.push(single ?? double ?? word ?? '')
  }
  return [...commands.filter((words) => words.length > 0), ...inner.flatMap(commandsOf)]
}

/** The words without what only sets the stage: sudo and its options, `NAME=value`, env, node. */
function withoutPrefix(words: readonly string[]): string[] {
  const from = words.findIndex((word) => !/^(?:sudo|env|exec|time|node|npx|-[EHu]|[A-Z_]+=.*)$/.test(word))
  return from < 0 ? [] : words.slice(from)
}

const isAgent = (word: string | undefined) =>
  /^(?:\.?\/?dist\/agent\.cjs|agent|\S*\/bin\/agent)$/.test(word ?? '')

/** Parses as the command line does, and runs nothing. @returns null, or what is wrong */
async function whyNotCommand(args: readonly string[]): Promise<string | null> {
  let said = ''
  const calm = (command: Command): void => {
    command.exitOverride().configureOutput({ writeErr: (text) => (said += text), writeOut: () => undefined })
    if (command.commands.length === 0) command.action(() => undefined)
    for (const child of command.commands) calm(child)
  }
  const program = wholeProgram()
  calm(program)
  try {
    await program.parseAsync([...args], { from: 'user' })
    return null
  } catch (error) {
    return (error as { exitCode?: number }).exitCode === 0 ? null : said || String(error)
  }
}

await t.test('docs/reference.md is what the code says', async (t) => {
  const env = { PATH: process.env['PATH'], HOME: process.env['HOME'] }
  const check = run(process.execPath, ['--import', 'tsx', 'scripts/docs.ts', '--check'], { cwd: ROOT, env })
  await check.then(
    () => t.pass(),
    ({ stderr }: { stderr: string }) => t.fail(stderr),
  )
})

await t.test('every command of a shell block exists with these options', async (t) => {
  const { scripts } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { scripts: object }
  for (const { text, at } of blocks('sh', 'bash', 'shell', 'console')) {
    const script = typed(text)
    await t.resolves(run('bash', ['-n', '-c', script]), `${at} is shell`)
    for (const all of commandsOf(script)) {
      const words = withoutPrefix(all)
      const where = `${at}: ${all.join(' ')}`
      const [command = '', ...rest] = words
      if (isAgent(command)) t.equal(await whyNotCommand(rest), null, where)
      if (command === 'npm' && rest[0] === 'run') t.ok(rest[1] && rest[1] in scripts, where)
      if (command.startsWith('./') && !isAgent(command))
        t.doesNotThrow(() => accessSync(join(ROOT, command), constants.X_OK), where)
      for (const word of words.filter((one) =>
        /^(?:\.\/)?(?:scripts|examples|systemd|bench|docs|src|test|assets)\/[\w./-]+$|^config\.example\.yaml$/.test(
          one,
        ),
      ))
        t.ok(existsSync(join(ROOT, word)), `${where}: ${word} is there`)
    }
  }
})

await t.test('every command of inline code exists', async (t) => {
  for (const { name, text } of papers)
    for (const [, line = ''] of text
      .replaceAll(/^( *)```.*?^\1```$/gms, '')
      .matchAll(/`(agent [a-z][^`]*)`/g)) {
      // a pattern of several commands, or one with parts to fill in, names its words only
      const [words = []] = commandsOf(line)
      const plain = words.slice(
        1,
        words.findIndex((word, index) => index > 0 && !/^[a-z][a-z-]*$/.test(word)) >>> 0,
      )
      const found = plain.reduce<Command | undefined>(
        (at, word) =>
          at && at.commands.length > 0 ? at.commands.find((child) => child.name() === word) : at,
        wholeProgram(),
      )
      t.ok(found, `${name}: ${line}`)
    }
})

const NOTIFICATIONS: Record<string, z.ZodType> = {
  hello: Hello,
  event: WireEvent,
  gap: Gap,
  bookmark: Bookmark,
  log: LogNotification,
  progress: Progress,
  ...PANEL_MESSAGES,
}

/** The values of a block: one, or one a line. */
function valuesOf(text: string): unknown[] {
  try {
    return [JSON.parse(text)]
  } catch {
    return text
      .split('\n')
      .filter((line) => line.trim() !== '')
      .map((line) => JSON.parse(line) as unknown)
  }
}

await t.test('every JSON block parses, every frame is one of ours', async (t) => {
  const asked = new Map<unknown, string>()
  for (const { text, at } of blocks('json', 'jsonl')) {
    let values: unknown[] = []
    t.doesNotThrow(() => (values = valuesOf(text)), `${at} is JSON`)
    for (const value of values) {
      const frame = value as {
        jsonrpc?: string
        id?: unknown
        method?: string
        params?: object
        result?: object
      }
      if (frame === null || typeof frame !== 'object' || frame.jsonrpc === undefined) continue
      if (frame.method === undefined) {
        t.ok(Incoming.safeParse(frame).success, `${at} is an answer`)
        const method = METHODS[asked.get(frame.id) as keyof typeof METHODS]
        if (frame.result && method)
          t.strictSame(method.result.safeParse(frame.result).error, undefined, `${at}: result`)
      } else if (frame.id === undefined) {
        const schema = NOTIFICATIONS[frame.method]
        t.ok(schema?.safeParse(frame.params).success, `${at}: notification ${frame.method}`)
        const { type, payload } = (frame.params ?? {}) as { type?: string; payload?: unknown }
        const event = EVENTS[type as keyof typeof EVENTS]
        if (frame.method === 'event')
          t.strictSame(event?.payload.safeParse(payload).error, undefined, `${at}: ${type}`)
      } else {
        asked.set(frame.id, frame.method)
        t.ok(Request.safeParse(frame).success, `${at} is a request`)
        const method = METHODS[frame.method as keyof typeof METHODS]
        t.strictSame(method?.params.safeParse(frame.params ?? {}).error, undefined, `${at}: ${frame.method}`)
        t.ok(method, `${at}: there is ${frame.method}`)
      }
    }
  }
})

await t.test('every script block compiles and imports what the client has', async (t) => {
  const client = readFileSync(join(ROOT, 'src/client/index.ts'), 'utf8')
  for (const { text, at, language } of blocks('js', 'ts', 'javascript', 'typescript', 'mjs')) {
    await t.resolves(transform(text, { loader: language.startsWith('t') ? 'ts' : 'js', format: 'esm' }), at)
    for (const [, names = ''] of text.matchAll(
      /import (?:type )?\{([^}]*)\} from 'supervisor-agent\/client'/g,
    ))
      for (const name of names.split(',').map((one) =>
        one
          .trim()
          .replace(/^type /, '')
          .replace(/ as .*/, ''),
      ))
        if (name !== '') t.match(client, new RegExp(`\\b${name}\\b`), `${at}: ${name}`)
  }
})

await t.test('every config block is one that the agent takes', async (t) => {
  for (const { text, at } of blocks('yaml', 'yml')) {
    const keys = Object.keys((parseYaml(text) ?? {}) as object)
    if (keys.length > 0 && keys.every((key) => key in Config.shape))
      t.doesNotThrow(() => parseConfig(text, at), at)
  }
})

/** The anchors that a Markdown page has on GitHub. */
function anchorsOf(text: string): Set<string> {
  const seen = new Map<string, number>()
  return new Set(
    [...text.replaceAll(/^```.*?^```$/gms, '').matchAll(/^#{1,6} (.*)$/gm)].map(([, heading = '']) => {
      const slug = heading
        .toLowerCase()
        .replaceAll(/[^\p{L}\p{N}\s_-]/gu, '')
        .replaceAll(' ', '-')
      const count = seen.get(slug) ?? 0
      seen.set(slug, count + 1)
      return count === 0 ? slug : `${slug}-${count}`
    }),
  )
}

await t.test('every relative link leads somewhere', async (t) => {
  for (const { name, text } of papers)
    for (const [, target = ''] of text.replaceAll(/^```.*?^```$/gms, '').matchAll(/\]\(([^)\s]+)\)/g)) {
      if (/^[a-z]+:/.test(target)) continue
      const [path = '', anchor] = target.split('#')
      const file = path === '' ? join(ROOT, name) : resolve(ROOT, dirname(name), path)
      t.ok(existsSync(file), `${name}: ${target}`)
      if (anchor !== undefined && file.endsWith('.md') && existsSync(file))
        t.ok(anchorsOf(readFileSync(file, 'utf8')).has(anchor), `${name}: ${target} has that heading`)
    }
})

await t.test('these checks find what is wrong', async (t) => {
  t.type(await whyNotCommand(['status', '--no-such-option']), 'string')
  t.type(await whyNotCommand(['no-such-command']), 'string')
  t.type(await whyNotCommand(['token', 'create']), 'string')
  t.type(await whyNotCommand(['token', 'nothing']), 'string')
  t.equal(await whyNotCommand(['status', 'web:*', '--json']), null)
  t.equal(await whyNotCommand(['logs', '-f', '-n', '5', 'worker']), null)
  t.strictSame(
    commandsOf(
      `sudo A=1 agent logs -f 'a b' "c" > x 2>&1 | less; cd y && ./z # agent x\nagent token create $(agent info)`,
    ),
    [
      ['sudo', 'A=1', 'agent', 'logs', '-f', 'a b', 'c'],
      ['less'],
      ['cd', 'y'],
      ['./z'],
      ['agent', 'token', 'create', 'VALUE'],
      ['agent', 'info'],
    ],
  )
  t.strictSame(withoutPrefix(['sudo', '-E', 'A=1', 'agent', 'info']), ['agent', 'info'])
  t.equal(typed('$ agent info\nname web-1\n$ ls \\\n  -l\n'), 'agent info\nls \\\n  -l')
  t.strictSame(
    [...anchorsOf('# A b\n## `agent info [x]`\n## process.list\n## A b\n')],
    ['a-b', 'agent-info-x', 'processlist', 'a-b-1'],
  )
})
