import { readConfigTree } from '../supervisor/config-tree.ts'
import { type Check, type Fault, UNASKED } from './check.ts'
import { type DoctorHost, word } from './host.ts'

const PROGRAM = /^(?:program|fcgi-program|eventlistener|group):/

export const programDuplicates = ({ discover }: DoctorHost): Check => ({
  name: 'program-duplicates',
  question: 'Is every program written in one place only?',
  audience: 'all-programs',
  async run() {
    const { mainFile, expansions } = await discover()
    if (mainFile === null) return UNASKED
    const { headers } = await readConfigTree(mainFile, expansions)
    const places = new Map<string, { file: string; line: number }[]>()
    for (const { header, ...place } of headers)
      if (PROGRAM.test(header)) places.set(header, [...(places.get(header) ?? []), place])
    return [...places].flatMap(([header, all]): Fault[] =>
      all.length < 2
        ? []
        : [
            {
              severity: 'warning',
              message: `[${header}] is written ${all.length} times: supervisord merges them, and the keys of the last one win`,
              evidence: all.map(({ file, line }) => `${file}:${line}`).join('\n'),
              fix: `grep -nF ${word(`[${header}]`)} ${[...new Set(all.map(({ file }) => word(file)))].join(' ')}`,
            },
          ],
    )
  },
})
