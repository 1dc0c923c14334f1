import { anyGlob } from '../../lib/glob.ts'
import { limitTools, splitLimits } from '../programs/command-text.ts'
import { readCommand } from '../programs/fields.ts'
import { commandWords } from './command-words.ts'
import type { Findings } from './findings.ts'
import { judgeDirectory } from './judge-place.ts'
import { denyScript, judgeVariables } from './judge-script.ts'
import { type Edit, judgeExecutable, judgeWords } from './judge-words.ts'
import { shellLine } from './shell-line.ts'

/** Where supervisord looks when it has no PATH. */
const DEFAULT_SEARCH_PATH = ['/bin', '/usr/bin', '/usr/local/bin']
const CRON_SEARCH_PATH = ['/usr/bin', '/bin']
const SHELL = '/bin/sh'
/** What makes of a line more than one plain command. */
const SHELL_SYNTAX = ';&|()<>`$\n'
const SHELL_LINE = /[;&|()<>`$\n]|^\s*\w+=/
const CONTROL = /[^\P{Cc}\t\n]/u

/**
 * Judges the command of a program: its executable must lie in `executables` or `directories`, what an interpreter is
 * given to run in `directories` too, and the whole must match one of `commands`. What sets its limits is judged by
 * itself, and no pattern has to know of it.
 * @param directory where the program starts; null when nothing says it
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
  const searchPath = findings.host.searchPath ?? DEFAULT_SEARCH_PATH
  // what sets the limits of a program stands before its own command, and is judged by itself
  const { limits, command: own } = splitLimits(command)
  for (const { path } of limitTools(limits ?? {})) await judgeExecutable(findings, path)
  const judged = await judgeWords(findings, own, commandWords(own), {
    folder: directory,
    isShell: false,
    searchPath,
  })
  const written = command.slice(0, command.length - own.length) + judged
  judgePattern(findings, [readCommand(written)?.command ?? judged, written], '')
  return written
}

/**
 * Judges the command of a cron entry. cron gives every line to /bin/sh: a line with shell syntax is judged as what it
 * is, an order to the shell, so that a host which lists no folder of /bin/sh among `executables` takes plain commands
 * only. With `directories` set it must be one plain command all the same, whose input and output may go elsewhere, and
 * before it at most `cd FOLDER &&`: that is all of the shell that can be judged for certain. In a match with `commands`
 * no wildcard stands for shell syntax.
 */
export async function judgeCronCommand(findings: Findings, command: string): Promise<string> {
  if (CONTROL.test(command)) {
    findings.deny('executables', 'a command has no control characters', 'command')
    return command
  }
  const isLine = SHELL_LINE.test(command)
  if (isLine) await judgeExecutable(findings, SHELL)
  let written = command
  if (findings.rules.directories.length > 0) written = await judgeLine(findings, command)
  else if (!isLine)
    written = await judgeWords(findings, command, commandWords(command), {
      folder: null,
      isShell: true,
      searchPath: CRON_SEARCH_PATH,
    })
  else {
    const first = commandWords(command)?.[0]?.text ?? ''
    if (first.startsWith('/')) await judgeExecutable(findings, first)
  }
  judgePattern(findings, [written], SHELL_SYNTAX)
  return written
}

async function judgeLine(findings: Findings, command: string): Promise<string> {
  const line = shellLine(command)
  if (line === null) {
    denyScript(
      findings,
      'of the shell only `[cd FOLDER &&] COMMAND` can be judged, with redirections and no $ or #: put more into a script',
    )
    return command
  }
  const edits: Edit[] = []
  let folder: string | null = null
  if (line.folder) {
    const { text, isFixed } = line.folder
    // the shell goes up from a link by its name, the kernel from where it leads
    if (!isFixed || text.split('/').includes('..'))
      denyScript(findings, `cd ${text}: write the folder with its full path, without .. and wildcards`)
    folder = await judgeDirectory(findings, text, 'command')
    if (folder !== text) edits.push({ word: line.folder, text: folder })
  }
  const assigned = line.words.findIndex(({ text }) => !/^[A-Za-z_]\w*=/.test(text))
  const variables = line.words.slice(0, Math.max(assigned, 0)).map(({ text }) => text.split('=', 1)[0] ?? '')
  judgeVariables(findings, Object.fromEntries(variables.map((name) => [name, ''])), 'command')
  const around = { folder, isShell: true, searchPath: CRON_SEARCH_PATH }
  return await judgeWords(findings, command, line.words.slice(variables.length), around, edits)
}

/** @param forms the command as it was given, then as it is written into a file */
function judgePattern(findings: Findings, forms: readonly string[], except: string): void {
  const { commands } = findings.rules
  if (commands.length === 0 || forms.some(anyGlob(commands, { except }))) return
  const [command = ''] = forms
  findings.deny(
    'commands',
    `no pattern of this host matches the whole command: ${command.slice(0, 200)}`,
    'command',
  )
}
