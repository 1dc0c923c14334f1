// Tries a change out before it is made: with our own reading of the whole configuration, which names fields, and with
// supervisord's own parser, which has the last word.
import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { Definition } from '../../protocol/definition.ts'
import { AgentError } from '../../protocol/errors.ts'
import type { DefinitionIssue } from '../../protocol/program.ts'
import type { Accounts } from '../policy/accounts.ts'
import { commandWords } from '../policy/command-words.ts'
import type { ConfigError } from '../supervisor/config-file.ts'
import type { Overlay } from '../supervisor/config-tree.ts'
import type { Discovery } from '../supervisor/discovery.ts'
import { dryParse } from '../supervisor/dry-parse.ts'
import { hostFacts } from '../supervisor/host-facts.ts'
import { brokenBy } from './broken.ts'
import type { Change } from './change-runner.ts'
import type { Prepared } from './draft.ts'
import { toBytes } from './ini/bytes.ts'
import { stopWaitWarnings } from './presets/options.ts'
import { sectionOf } from './program-state.ts'
import { readSection } from './read.ts'
import { invalidProgram } from './refusals.ts'
import { validate } from './validate.ts'

export interface Look {
  issues: DefinitionIssue[]
  warnings: string[]
  /** What supervisord refuses already: as long as it does, nothing can be changed. */
  broken: ConfigError[]
}

/** How long a job of Laravel may take when its worker does not say. */
const JOB_SECS = 60

export class Trial {
  readonly #accounts: Accounts

  constructor({ accounts }: { accounts: Accounts }) {
    this.#accounts = accounts
  }

  /** Our own judgement. It takes no effect and asks nobody. */
  async look({ change, issues }: Pick<Prepared, 'change' | 'issues'>, discovery: Discovery): Promise<Look> {
    const { files, program, action } = change
    if (issues.length > 0 || files.length === 0) return { issues: [], warnings: [], broken: [] }
    // what runs already need not be as we would have it; supervisord has the last word on it all the same
    const isLenient = action !== 'put'
    const text = files.find(({ after }) => after?.includes(`[program:${program}]`))?.after ?? null
    const definition = text === null ? null : definitionIn(program, text)
    const found = await validate({
      discovery,
      facts: hostFacts(discovery, this.#accounts),
      overlay: overlayOf(change),
      files: files.map(({ path }) => path),
      definition: isLenient ? null : definition,
    })
    const warnings = [
      ...found.warnings,
      ...(definition === null ? [] : [...jobWarnings(definition), ...(await absentScripts(definition))]),
    ]
    const doubts = isLenient ? found.issues.map(({ path, message }) => `${path}: ${message}`) : []
    return {
      issues: isLenient ? [] : found.issues,
      warnings: [...warnings, ...doubts],
      broken: found.foreign,
    }
  }

  /** supervisord's own judgement. @throws {AgentError} PROGRAM_INVALID, CONFIG_BROKEN */
  async judge(change: Change, discovery: Discovery): Promise<void> {
    const verdict = await dryParse(discovery, overlayOf(change))
    if (!verdict.judged || verdict.fault === null) return
    const before = await dryParse(discovery)
    if (before.judged && before.fault !== null) throw brokenBy(before.fault, discovery)
    throw invalidProgram(change.program, [{ path: 'definition', message: `supervisord: ${verdict.fault}` }])
  }

  /** What a failure of a change is told as: a refusal of supervisord to read its files names the one at fault. */
  async refusalOf(
    { program, files }: Change,
    reason: unknown,
    discover: () => Promise<Discovery>,
  ): Promise<unknown> {
    if (!(reason instanceof AgentError) || reason.facts['fault'] !== 'CANT_REREAD') return reason
    const isOurs = files.some(({ path }) => reason.message.includes(path))
    if (!isOurs) return brokenBy(reason.message, await discover())
    const message = reason.message.replace(/^.*?CANT_REREAD: /, 'supervisord: ')
    return invalidProgram(program, [{ path: 'definition', message }])
  }
}

function overlayOf({ files }: Change): Overlay {
  return new Map(files.map(({ path, after }) => [path, after === null ? null : toBytes(after)]))
}

function definitionIn(name: string, text: string): Definition | null {
  const parsed = Definition.safeParse(readSection(sectionOf(name, text)).definition)
  return parsed.success ? parsed.data : null
}

/** A queue worker of Laravel that a stop kills in the middle of a job; its own default is a minute. */
function jobWarnings(definition: Definition): string[] {
  const words = (commandWords(definition.command ?? '') ?? []).map(({ text }) => text)
  if (!words.includes('queue:work')) return []
  const given = words
    .map((word) => /^--timeout=(\d{1,9})$/.exec(word)?.[1])
    .findLast((text) => text !== undefined)
  return stopWaitWarnings(Number(given ?? JOB_SECS), definition, 'timeout')
}

/** A relative script that is not there yet, such as `artisan` before the first deployment. */
async function absentScripts({ command = '', directory }: Definition): Promise<string[]> {
  if (directory === undefined) return []
  const script = commandWords(command)?.find(({ text }) => text === 'artisan' || text.startsWith('bin/'))
  if (!script) return []
  const path = join(directory, script.text)
  const isThere = await stat(path).then(
    (stats) => stats.isFile(),
    () => false,
  )
  return isThere ? [] : [`there is no ${path} yet: it will not come up before there is`]
}
