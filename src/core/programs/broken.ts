// What is told when a file that is not of a change makes supervisord refuse all of its files.
import { AgentError } from '../../protocol/errors.ts'
import type { ConfigError } from '../supervisor/config-file.ts'
import type { Discovery } from '../supervisor/discovery.ts'

const FAULTS_MAX = 5

/** The refusal of a change because of a file that is not of it. */
export function configBroken(faults: readonly ConfigError[]): AgentError {
  const [first] = faults
  const where = first ? `${first.file}:${first.line}: ${first.message}` : 'its configuration'
  const cure = first ? `mend it, or put it aside with: agent program quarantine ${first.file}` : 'mend it'
  return new AgentError(
    'CONFIG_BROKEN',
    `supervisord refuses ${where}; nothing can be changed until that is over: ${cure}`,
    { facts: { faults: faults.slice(0, FAULTS_MAX) } },
  )
}

/** The same where only supervisord itself sees the fault, as of a plugin that it imports; told in its words. */
export function brokenBy(text: string, discovery: Pick<Discovery, 'files' | 'headers'>): AgentError {
  const place = placeIn(text, discovery)
  if (place !== null) return configBroken([{ ...place, message: text }])
  return new AgentError(
    'CONFIG_BROKEN',
    `supervisord refuses its configuration: ${text}; nothing can be changed until that is mended`,
  )
}

/** The file and line that words of supervisord are about, as far as they tell. */
export function placeIn(
  text: string,
  { files, headers }: Pick<Discovery, 'files' | 'headers'>,
): { file: string; line: number } | null {
  const named = files.toReversed().find((path) => text.includes(`'${path}'`))
  const header = / in section '([^']+)'/.exec(text)?.[1] ?? /\[((?!line )[^\]\s]+)\]/.exec(text)?.[1]
  const section = headers.find((one) => one.header === header && (named === undefined || one.file === named))
  const file = named ?? section?.file
  if (file === undefined) return null
  return { file, line: Number(/\bline:? +(\d+)/.exec(text)?.[1] ?? section?.line ?? 1) }
}
