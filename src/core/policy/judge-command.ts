import { anyGlob } from '../../lib/glob.ts'
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
 * given to run in `directories` too, and the whole must match one of `commands`.
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
  const written = await judgeWords(findings, command, commandWords(command), {
    folder: directory,
    isShell: false,
    searchPath,
  })
  judgePattern(findings, written, '')
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
  judgePattern(findings, written, SHELL_SYNTAX)
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

function judgePattern(findings: Findings, command: string, except: string): void {
  const { commands } = findings.rules
  if (commands.length === 0 || anyGlob(commands, { except })(command)) return
  findings.deny(
    'commands',
    `no pattern of this host matches the whole command: ${command.slice(0, 200)}`,
    'command',
  )
}
