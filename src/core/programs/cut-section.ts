import { parseConfigText } from '../supervisor/config-file.ts'
import { LineReader } from '../supervisor/config-lines.ts'
import { invalid } from './definition.ts'

/**
 * Takes a section out of a file, with the comments right above it and those within it.
 * @throws {AgentError} PROGRAM_INVALID when one of the two would then say anything else than before
 */
export function cutSection(text: string, header: string): { section: string; rest: string } {
  const reader = new LineReader()
  const lines = [...text.matchAll(/([^\r\n]*)(?:\r\n|\r|\n|$)/g)]
    .filter(([whole]) => whole !== '')
    .map(([whole, own = '']) => ({ whole, meaning: reader.take(own) }))
  const starts = lines.flatMap(({ meaning }, at) => {
    if (meaning.kind !== 'header') return []
    let from = at
    while (lines[from - 1]?.meaning.kind === 'comment') from--
    return [{ header: meaning.header, from }]
  })
  const section: string[] = []
  const rest: string[] = []
  lines.forEach(({ whole }, at) => {
    const own = starts.findLast(({ from }) => from <= at)?.header === header
    ;(own ? section : rest).push(whole)
  })
  const cut = { section: section.join(''), rest: rest.join('') }
  const said = parseConfigText(text, '').sections
  const parts = [cut.section, cut.rest].flatMap((part) => parseConfigText(part, '').sections)
  if (print(said) !== print(parts))
    throw invalid([
      { path: 'name', message: `[${header}] cannot be taken out of its file without a change of the rest` },
    ])
  return cut
}

function print(sections: ReturnType<typeof parseConfigText>['sections']): string {
  return JSON.stringify(
    sections
      .map(({ header, keys }) => [header, [...keys]])
      .toSorted(([a], [b]) => (String(a) < String(b) ? -1 : 1)),
  )
}
