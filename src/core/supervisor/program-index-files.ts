import { basename } from 'node:path'
import type { Expansions } from './config-expand.ts'
import type { ConfigSection } from './config-file.ts'
import { processNames } from './config-names.ts'
import type { Discovery } from './discovery.ts'
import { baseProgram, type Membership, ProgramIndex } from './program-index.ts'

/** Files of ours are named so, and by nobody else. */
const OURS = /^agent-.+\.[^.]+$/

/** The index of what the configuration files define. */
export function indexPrograms({ sections, expansions }: Discovery): ProgramIndex {
  const known = new Map<string, Membership>()
  const groups = sections.filter(({ type }) => type === 'group')
  for (const section of sections) {
    const { type, name, file } = section
    const program = baseProgram(name)
    const base = program === name ? undefined : sections.find(({ header }) => header === `program:${program}`)
    if (type !== 'program' && type !== 'fcgi-program' && type !== 'eventlistener') continue
    const managed = OURS.test(basename(file))
    // the program's own file says how many are wanted, whatever a surge group has
    const wanted = base && managed ? new Set(namesOf(base, groups, expansions)) : null
    for (const { group, process } of processNames(section, groups, expansions).processes) {
      const surplus = wanted !== null && !wanted.has(process)
      known.set(`${group}:${process}`, { program, kind: type, managed, surplus })
    }
  }
  return new ProgramIndex(known)
}

function namesOf(section: ConfigSection, groups: readonly ConfigSection[], expansions: Expansions): string[] {
  return processNames(section, groups, expansions).processes.map(({ process }) => process)
}
