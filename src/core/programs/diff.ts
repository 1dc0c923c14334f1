import { createTwoFilesPatch } from 'diff'

/** The change of a file as a unified diff; empty when there is none. */
export function unifiedDiff(path: string, before: string | null, after: string | null): string {
  if (before === after) return ''
  const patch = createTwoFilesPatch(
    before === null ? '/dev/null' : path,
    after === null ? '/dev/null' : path,
    before ?? '',
    after ?? '',
    undefined,
    undefined,
    { context: 3 },
  )
  // the line of equal signs is for reading several files in one mail
  return patch.replace(/^=+\n/, '')
}
