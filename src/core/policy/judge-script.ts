// With `directories` set, a host says where the code lies that its programs and cron entries run. So an interpreter is
// given a script, by a path that can be judged, and before it only options that are known to bring no code. Options that
// do bring some (-c, -r, -e, -m, --eval, --require, …) are refused, also where a pattern of `commands` matches: its
// wildcards mostly stand for them too, and a script below `directories` says the same.
//
// What starts another command as the same user (env, nice, timeout, flock, …) is looked through, because its options
// are few and its own command follows them word by word. sudo and its kind are refused: as whom something runs is what
// `user` says, and was judged as. The tables are in runners.ts. A program that does its own work and can start others
// beside it (find, tar, git, …) is not looked into: `executables` and `commands` decide about such.
import { isAbsolute } from 'node:path'
import type { Word } from './command-words.ts'
import type { Findings } from './findings.ts'
import { placeOf } from './judge-place.ts'
import { codeOf, isUnder } from './paths.ts'
import { bringsCode, type Runner } from './runners.ts'

type Interpreter = Extract<Runner, { kind: 'interpreter' }>
type Visible = Exclude<Runner, { kind: 'unseen' }>

/** Refuses what cannot be judged about the code that a command runs. */
export function denyScript(findings: Findings, what: string): void {
  const roots = findings.rules.directories.join(', ')
  findings.deny('directories', `${what}; what runs here lies in ${roots}`, 'command')
}

/**
 * What follows the options of a program that runs others.
 * @returns null when it was refused
 */
export function afterOptions(
  findings: Findings,
  name: string,
  { kind, flags, pairs, operands = 0 }: Visible,
  words: readonly Word[],
): readonly Word[] | null {
  let at = 0
  const text = () => words[at]?.text ?? ''
  for (; at < words.length; at++) {
    if (pairs?.test(`${text()} ${words[at + 1]?.text}`)) at++
    else if (!flags.test(text())) break
  }
  if (kind === 'wrapper' && text() === '--') at++
  const end = at
  at += operands
  const open = words.slice(0, at + 1).find(({ isFixed }) => !isFixed)
  if (open) {
    denyScript(
      findings,
      `${name}: what ${open.text} stands for cannot be told, up to what is run write it out`,
    )
    return null
  }
  const code = words.slice(0, at).find((word) => bringsCode(/^(\w+)=/.exec(word.text)?.[1] ?? ''))
  const stray = code ?? words.slice(end, at + 1).find((word) => /^[-+]/.test(word.text))
  if (!stray) return words.slice(at)
  denyScript(
    findings,
    kind === 'interpreter'
      ? `${name} ${stray.text}: an interpreter is given a script by its path, and before it only options that are known to bring no code: put the code into a script`
      : `${name} ${stray.text}: it could change which code runs`,
  )
  return null
}

/**
 * Judges the script that an interpreter is given.
 * @param folder where it starts; null when that cannot be told
 * @returns the path to write in place of the word; null when the word stays
 */
export async function judgeScript(
  findings: Findings,
  name: string,
  { script: form }: Interpreter,
  word: Word | undefined,
  folder: string | null,
): Promise<string | null> {
  const { directories, executables } = findings.rules
  if (word === undefined) {
    denyScript(findings, `${name} without a script runs what comes from its input`)
    return null
  }
  const { text } = word
  if (form && !form.test(text)) {
    denyScript(findings, `${name} ${text}: write the script with its full path and name`)
    return null
  }
  if (!isAbsolute(text) && folder === null) {
    denyScript(findings, `the script ${text}: write its full path, or name the folder that it starts in`)
    return null
  }
  const path = isAbsolute(text) ? text : `${folder}/${text}`
  const place = await placeOf(findings, path).catch((error: unknown) => codeOf(error))
  if (typeof place === 'string' || !place.stats.isFile()) {
    const why = typeof place === 'string' ? place : 'no file'
    denyScript(findings, `the script ${path} cannot be judged (${why})`)
    return null
  }
  if (await isUnder(place.real, [...directories, ...executables]))
    return place.path === path ? null : place.path
  denyScript(findings, `the script ${text}${place.real === text ? '' : ` (${place.real})`} lies elsewhere`)
  return null
}

/** Judges the variables that something starts with: some of them make an interpreter run other code than the script. */
export function judgeVariables(
  findings: Findings,
  variables: Readonly<Record<string, string>> | undefined,
  path: string,
): void {
  if (findings.rules.directories.length === 0) return
  const names = Object.keys(variables ?? {}).filter(bringsCode)
  if (names.length > 0)
    findings.deny('directories', `${names.join(', ')}: variables that can change which code runs`, path)
}
