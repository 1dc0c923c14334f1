import { access, constants } from 'node:fs/promises'
import { basename, isAbsolute, join } from 'node:path'
import { anyGlob } from '../../lib/glob.ts'
import { commandWords } from './command-words.ts'
import type { Findings } from './findings.ts'
import { placeOf } from './judge-place.ts'
import { codeOf, follow, isUnder } from './paths.ts'

/** Where supervisord looks when it has no PATH. */
const DEFAULT_SEARCH_PATH = ['/bin', '/usr/bin', '/usr/local/bin']
const CRON_SEARCH_PATH = ['/usr/bin', '/bin']
/** Programs whose first argument that is a file is the program that runs. */
const INTERPRETER = /^(?:(?:ba|da|z|k)?sh|busybox|python[\d.]*|php[\d.]*|node(?:js)?|ruby[\d.]*|perl[\d.]*)$/
/** What a path may not hold to be written into a command as it is. */
const NEEDS_QUOTES = /[\s'"\\%;#]/
const SHELL = '/bin/sh'
/** What makes of a line more than one plain command. */
const SHELL_SYNTAX = ';&|()<>`$\n'
const SHELL_LINE = /[;&|()<>`$\n]|^\s*\w+=/
const CONTROL = /[^\P{Cc}\t\n]/u

/**
 * Judges the command of a program: its executable must lie in `executables` or `directories`, a script that an
 * interpreter is given in `directories`, and the whole must match one of `commands`.
 * @returns the command with an absolute executable
 */
export async function judgeProgramCommand(
  findings: Findings,
  command: string,
  directory: string | null,
): Promise<string> {
  if (CONTROL.test(command) || command.includes('\n')) {
    findings.deny('executables', 'a command is one line without control characters', 'command')
    return command
  }
  const written = await located(findings, command, findings.host.searchPath ?? DEFAULT_SEARCH_PATH)
  await judgeScript(findings, written, directory)
  judgePattern(findings, written, '')
  return written
}

/**
 * Judges the command of a cron entry. cron gives every line to /bin/sh: a line with shell syntax is judged as what it
 * is, an order to the shell, so that a host which lists no folder of /bin/sh among `executables` takes plain commands
 * only. In a match with `commands` no wildcard stands for shell syntax.
 */
export async function judgeCronCommand(findings: Findings, command: string): Promise<string> {
  if (CONTROL.test(command)) {
    findings.deny('executables', 'a command has no control characters', 'command')
    return command
  }
  let written = command
  const isLine = SHELL_LINE.test(command)
  if (isLine) {
    await judgeExecutable(findings, SHELL)
    const first = commandWords(command)?.words[0] ?? ''
    if (first.startsWith('/')) await judgeExecutable(findings, first)
  } else written = await located(findings, command, CRON_SEARCH_PATH)
  judgePattern(findings, written, SHELL_SYNTAX)
  return written
}

function judgePattern(findings: Findings, command: string, except: string): void {
  const { commands } = findings.rules
  if (commands.length === 0 || anyGlob(commands, { except })(command)) return
  findings.deny(
    'commands',
    `no pattern of this host matches the whole command: ${command.slice(0, 200)}`,
    'command',
  )
}

/** The command with its executable found, judged and written absolute; as it was where that was refused. */
async function located(findings: Findings, command: string, searchPath: readonly string[]): Promise<string> {
  const split = commandWords(command)
  const [name] = split?.words ?? []
  if (!split || name === undefined || name === '') {
    findings.deny(
      'executables',
      split ? 'the command is empty' : 'a quotation in the command does not end',
      'command',
    )
    return command
  }
  if (name.includes('%') || (name.includes('/') && !isAbsolute(name))) {
    findings.deny('executables', `${name}: write the executable with its full path, without %`, 'command')
    return command
  }
  const found = isAbsolute(name) ? name : await inSearchPath(name, searchPath)
  if (found === null) {
    findings.deny('executables', `there is no ${name} in ${searchPath.join(':')}`, 'command')
    return command
  }
  const path = await judgeExecutable(findings, found)
  if (path === null || path === name) return command
  if (NEEDS_QUOTES.test(path)) {
    findings.deny('executables', `${path} cannot be written into a command`, 'command')
    return command
  }
  return command.slice(0, split.first.start) + path + command.slice(split.first.end)
}

/** @returns the path to use; null when it was refused */
async function judgeExecutable(findings: Findings, path: string): Promise<string | null> {
  const { executables, directories } = findings.rules
  const place = await placeOf(findings, path).catch((error: unknown) => codeOf(error))
  if (typeof place === 'string') {
    findings.deny('executables', `${path} cannot be judged (${place})`, 'command')
    return null
  }
  const { real, stats } = place
  if (!stats.isFile() || (stats.mode & 0o111) === 0) {
    findings.deny('executables', `${path} is not an executable file`, 'command')
    return null
  }
  if (await isUnder(real, [...executables, ...directories])) return place.path
  const through = real === path ? '' : `, which is ${real},`
  findings.deny(
    'executables',
    `${path}${through} lies in none of ${[...executables, ...directories].join(', ') || 'the folders of this host (none)'}`,
    'command',
  )
  return null
}

async function inSearchPath(name: string, folders: readonly string[]): Promise<string | null> {
  for (const folder of folders) {
    if (!isAbsolute(folder)) continue
    const path = join(folder, name)
    if (
      await access(path, constants.X_OK).then(
        () => true,
        () => false,
      )
    )
      return path
  }
  return null
}

/** An interpreter runs what it is given: that must lie where programs may lie. */
async function judgeScript(findings: Findings, command: string, directory: string | null): Promise<void> {
  const { directories, executables } = findings.rules
  const [executable = '', ...args] = commandWords(command)?.words ?? []
  if (directories.length === 0 || !INTERPRETER.test(basename(executable))) return
  for (const arg of args) {
    if (arg === '' || arg.startsWith('-')) continue
    const path = isAbsolute(arg) ? arg : directory === null ? null : join(directory, arg)
    const way = path === null ? null : await follow(path).catch(() => null)
    if (!way?.stats.isFile()) continue
    if (!(await isUnder(way.real, [...directories, ...executables])))
      findings.deny(
        'directories',
        `the script ${arg}${way.real === path ? '' : ` (${way.real})`} lies in none of ${directories.join(', ')}`,
        'command',
      )
    return
  }
}
