import { type Expansions, expand } from './config-expand.ts'
import type { ConfigSection } from './config-file.ts'
import { strip } from './config-text.ts'

const MAX_PROCESSES = 10_000

export interface ProcessNames {
  /** What the section makes, in supervisord's order; each name once. */
  processes: { group: string; process: string }[]
  /** Format strings that could not be expanded, and numbers that are none. */
  unknown: string[]
}

const PROGRAMS = ['program', 'fcgi-program']

/**
 * The processes that a `[program:x]`, `[fcgi-program:x]` or `[eventlistener:x]` makes, and the group of each.
 * @param groups the `[group:x]` that take programs out of groups of their own; other sections are passed over
 * @param expansions what supervisord knows: `here`, `host_node_name`, `ENV_X`
 */
export function processNames(
  section: ConfigSection,
  groups: readonly ConfigSection[],
  expansions: Expansions = {},
): ProcessNames {
  if (![...PROGRAMS, 'eventlistener'].includes(section.type)) return { processes: [], unknown: [] }
  const unknown: string[] = []
  const processes = groupsOf(section, groups, expansions).flatMap((group) => {
    const made = namesIn(section, group, expansions)
    unknown.push(...made.unknown)
    return made.names.map((process) => ({ group, process }))
  })
  return { processes, unknown: [...new Set(unknown)] }
}

function groupsOf(
  section: ConfigSection,
  groups: readonly ConfigSection[],
  expansions: Expansions,
): string[] {
  if (section.type === 'eventlistener') return [section.name]
  const taking = groups
    .filter(({ type }) => type === 'group')
    .filter(({ keys }) => {
      const list = expand(keys.get('programs') ?? '', expansions).value
      return list.split(',').some((program) => strip(program) === section.name)
    })
    .map(({ name }) => strip(name))
  return taking.length > 0 ? taking : [strip(section.name)]
}

function namesIn(
  section: ConfigSection,
  group: string,
  outer: Expansions,
): { names: string[]; unknown: string[] } {
  const own = { program_name: strip(section.name), group_name: group }
  const unknown: string[] = []
  const text = (key: string, fallback: string): string => {
    const found = expand(section.keys.get(key) ?? fallback, outer, own)
    unknown.push(...found.unknown)
    return found.value
  }
  const whole = (key: string, fallback: string): number => {
    const value = strip(text(key, fallback))
    if (/^[+-]?\d{1,9}$/.test(value)) return Number(value)
    unknown.push(`${key}=${value}`)
    return Number(fallback)
  }
  const start = whole('numprocs_start', '0')
  const count = whole('numprocs', '1')
  if (count > MAX_PROCESSES) unknown.push(`numprocs=${count}`)
  const pattern = strip(section.keys.get('process_name') ?? '%(program_name)s')
  const names = new Set<string>()
  for (let number = start; number < start + Math.min(count, MAX_PROCESSES); number++) {
    const name = expand(pattern, outer, own, { process_num: number, numprocs: count })
    unknown.push(...name.unknown)
    names.add(name.value)
  }
  return { names: [...names], unknown }
}
