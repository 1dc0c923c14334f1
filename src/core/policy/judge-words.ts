import { access, constants } from 'node:fs/promises'
import { basename, isAbsolute, join } from 'node:path'
import type { Word } from './command-words.ts'
import type { Findings } from './findings.ts'
import { placeOf } from './judge-place.ts'
import { afterOptions, denyScript, judgeScript } from './judge-script.ts'
import { codeOf, isUnder } from './paths.ts'
import { runnerOf } from './runners.ts'
import type { Place } from './subject.ts'

/** What a path may consist of to be written into a command as it is. */
const UNQUOTED = /^[\p{L}\p{N}_@+=:,./-]+$/u

/** Where a command starts, as far as that can be told. */
export interface Surroundings {
  folder: string | null
  /** True when an executable too may be written relative to the folder. */
  isShell: boolean
  searchPath: readonly string[]
}

/** A piece of the command to write in another way. */
export interface Edit {
  word: Word
  text: string
}

/**
 * Judges one command word by word: its executable, and with `directories` set also what that is given to run.
 * @returns the command with executables written absolute; as it was where that was refused
 */
export async function judgeWords(
  findings: Findings,
  command: string,
  words: readonly Word[] | null,
  around: Surroundings,
  edits: Edit[] = [],
): Promise<string> {
  if (words === null || words.length === 0)
    findings.deny(
      'executables',
      words ? 'the command is empty' : 'a quotation in the command does not end',
      'command',
    )
  let rest = words ?? []
  for (;;) {
    const [word, ...args] = rest
    if (!word) break
    const place = await located(findings, word, around)
    if (place === null) break
    if (place.path !== place.asWritten) edits.push({ word, text: place.path })
    if (findings.rules.directories.length === 0) break
    const name = basename(word.text)
    const runner = runnerOf(basename(place.real), name)
    if (runner === null) break
    if (runner.kind === 'unseen') {
      denyScript(
        findings,
        `what ${name} starts cannot be judged: write that program itself (as whom it runs is for 'user')`,
      )
      break
    }
    const following = afterOptions(findings, name, runner, args)
    if (following === null) break
    if (runner.kind === 'interpreter') {
      const [script] = following
      const path = await judgeScript(findings, name, runner, script, around.folder)
      if (script && path !== null) edits.push({ word: script, text: path })
      break
    }
    rest = following
  }
  return edited(findings, command, edits)
}

function edited(findings: Findings, command: string, edits: readonly Edit[]): string {
  const odd = edits.find(({ text }) => !UNQUOTED.test(text))
  if (odd) {
    findings.deny('executables', `${odd.text} cannot be written into a command`, 'command')
    return command
  }
  return edits
    .toSorted((a, b) => b.word.start - a.word.start)
    .reduce((text, edit) => text.slice(0, edit.word.start) + edit.text + text.slice(edit.word.end), command)
}

/** The executable that a word names, judged, and how the word names it; null when it was refused. */
async function located(
  findings: Findings,
  { text, isFixed }: Word,
  { folder, isShell, searchPath }: Surroundings,
): Promise<(Place & { asWritten: string }) | null> {
  const isRelative = text.includes('/') && !isAbsolute(text)
  if (!isFixed || text === '' || (isRelative && (!isShell || folder === null))) {
    const what = text === '' ? 'the command is empty' : `${text}: write the executable with its full path`
    findings.deny('executables', isFixed ? what : `${what}, without % or wildcards`, 'command')
    return null
  }
  const isBare = !text.includes('/')
  const found = isBare ? await inSearchPath(text, searchPath) : isRelative ? `${folder}/${text}` : text
  if (found !== null) {
    const place = await judgeExecutable(findings, found)
    return place && { ...place, asWritten: isBare ? text : found }
  }
  findings.deny('executables', `there is no ${text} in ${searchPath.join(':')}`, 'command')
  return null
}

/** @returns what to use; null when it was refused */
export async function judgeExecutable(findings: Findings, path: string): Promise<Place | null> {
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
  if (await isUnder(real, [...executables, ...directories])) return place
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
