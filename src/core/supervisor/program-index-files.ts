import { basename } from 'node:path'
import { processNames } from './config-names.ts'
import type { Discovery } from './discovery.ts'
import { baseProgram, type Membership, ProgramIndex } from './program-index.ts'

/** Files of ours are named so, and by nobody else. */
const OURS = /^agent-.+\.[^.]+$/

/** The index of what the configuration files define. */
export function indexPrograms({ sections, expansions }: Discovery): ProgramIndex {
  const known = new Map<string, Membership>()
  for (const section of sections) {
    const { type, name, file } = section
    if (type !== 'program' && type !== 'fcgi-program' && type !== 'eventlistener') continue
    const membership: Membership = {
      program: baseProgram(name),
      kind: type,
      managed: OURS.test(basename(file)),
    }
    for (const { group, process } of processNames(section, sections, expansions).processes)
      known.set(`${group}:${process}`, membership)
  }
  return new ProgramIndex(known)
}
