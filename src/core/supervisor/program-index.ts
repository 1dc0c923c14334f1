import type { Process } from '../../protocol/process.ts'

/** Which program a process belongs to. */
export interface Membership {
  program: string
  kind: Process['kind']
  managed: boolean
}

/** The group of our own event listener: hidden from every list, event and selection. */
export const OWN_GROUP = 'supervisor-agent'

/** The base name of a surge group: `web.surge2` belongs to `web`. */
export function baseProgram(group: string): string {
  return group.replace(/\.surge\d+$/, '')
}

/** What the configuration files say of each `group:process`; a process in none of them is its group's program. */
export class ProgramIndex {
  readonly #known: ReadonlyMap<string, Membership>

  constructor(known: ReadonlyMap<string, Membership> = new Map()) {
    this.#known = known
  }

  lookup(group: string, process: string): Membership {
    return (
      this.#known.get(`${group}:${process}`) ?? {
        program: baseProgram(group),
        kind: 'program',
        managed: false,
      }
    )
  }
}
