import { dirname } from 'node:path'
import type { DefinitionIssue } from '../../protocol/program.ts'
import { ProgramName } from '../../protocol/program-text.ts'
import type { ConfigSection } from '../supervisor/config-file.ts'
import type { Discovery } from '../supervisor/discovery.ts'
import { cutSection } from './cut-section.ts'
import type { FileChange } from './file-change.ts'
import { IniDocument } from './ini/document.ts'
import type { ProgramState } from './program-state.ts'

/**
 * Moves a section that others wrote into a file of ours, with its comments, its order and the keys that we do not know.
 * What else the other file holds stays there; a file that held nothing else goes.
 */
export function adopted(
  { name, at, file }: ProgramState,
  path: string,
  { headers }: Pick<Discovery, 'headers'>,
): { text: string; others: FileChange[]; issues: DefinitionIssue[] } {
  const sections = IniDocument.parse(file.text).sections()
  // as it is written there: what was read has the folder of its file in place of %(here)s
  const keys = sections.find(({ header }) => header === at.section.header)?.keys ?? at.section.keys
  const issues = obstacles(name, { ...at, keys, headers }, path)
  if (issues.length > 0) return { text: '', others: [], issues }
  const isAlone = sections.length === 1
  const { section, rest } = isAlone
    ? { section: file.text, rest: null }
    : cutSection(file.text, at.section.header)
  const { mode, owner } = file
  return { text: section, issues, others: [{ path: at.file, before: file.text, after: rest, mode, owner }] }
}

function obstacles(
  name: string,
  {
    file,
    section,
    group,
    keys,
    headers,
  }: ProgramState['at'] & Pick<ConfigSection, 'keys'> & Pick<Discovery, 'headers'>,
  path: string,
): DefinitionIssue[] {
  const issues: DefinitionIssue[] = []
  const add = (message: string) => issues.push({ path: 'name', message })
  const named = ProgramName.safeParse(name)
  if (!named.success)
    add(
      `a managed program cannot be called so: ${named.error.issues[0]?.message}; rename it in ${file} first`,
    )
  if (group !== null)
    add(`it is in [group:${group}], whose processes have other names: take it out of "programs" there first`)
  const more = headers.find((one) => one.header === section.header && one.file !== file)
  if (more !== undefined)
    add(`[${section.header}] goes on in ${more.file}:${more.line}: put it into one file first`)
  const isElsewhere = dirname(file) !== dirname(path)
  for (const [key, value] of keys)
    if (isElsewhere && value.includes('%(here)s'))
      issues.push({
        path: key,
        message: `%(here)s would be ${dirname(path)}: write the folder in full first`,
      })
  return issues
}
