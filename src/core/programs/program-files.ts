import { basename } from 'node:path'
import type { ConfigSection } from '../supervisor/config-file.ts'
import type { Discovery } from '../supervisor/discovery.ts'
import type { Surge } from './scale.ts'

/** A `[program:x]` of the configuration files. */
export interface ProgramFile {
  name: string
  /** `managed`: its file is ours, named after it. */
  source: 'managed' | 'foreign'
  file: string
  section: ConfigSection
  /** The groups that it grew by since its last full restart. */
  surges: Surge[]
  /** The `[group:x]` that takes it out of a group of its own; null for nearly all. */
  group: string | null
}

const SURGE = /^(.+)\.surge\d+$/

/** Every program that the files define, by name; event listeners and FastCGI programs are left out. */
export function programFiles({ sections }: Discovery): Map<string, ProgramFile> {
  const programs = new Map<string, ProgramFile>()
  const groups = sections.filter(({ type }) => type === 'group')
  for (const section of sections) {
    const { type, name, file } = section
    if (type !== 'program' || isSurge(section)) continue
    const source = isOurs(file, name) ? 'managed' : 'foreign'
    programs.set(name, { name, source, file, section, surges: [], group: groupOf(name, groups) })
  }
  for (const section of sections) {
    const base = isSurge(section) ? programs.get(SURGE.exec(section.name)?.[1] ?? '') : undefined
    base?.surges.push({
      group: section.name,
      file: section.file,
      start: wholeOf(section, 'numprocs_start', 0),
      count: wholeOf(section, 'numprocs', 1),
    })
  }
  return programs
}

/** Where a program's file goes. */
export function fileOf(name: string, { programDir, programExt }: Discovery & { programDir: string }): string {
  return `${programDir}/agent-${name}.${programExt}`
}

/** A number of a section; the fallback where it is none or an expansion. */
export function wholeOf(section: ConfigSection, key: string, fallback: number): number {
  const value = section.keys.get(key)?.trim() ?? ''
  return /^\d{1,9}$/.test(value) ? Number(value) : fallback
}

function isSurge({ type, name, file }: ConfigSection): boolean {
  return type === 'program' && SURGE.test(name) && isOurs(file, name)
}

/** Is it the file that we would write for the program? */
export function isOurs(file: string, name: string): boolean {
  const own = basename(file)
  return own.startsWith(`agent-${name}.`) && !own.slice(`agent-${name}.`.length).includes('.')
}

function groupOf(program: string, groups: readonly ConfigSection[]): string | null {
  const takes = ({ keys }: ConfigSection) =>
    (keys.get('programs') ?? '').split(',').some((name) => name.trim() === program)
  return groups.find(takes)?.name ?? null
}
