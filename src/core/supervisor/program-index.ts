import type { Process } from '../../protocol/process.ts'

/** Which program a process belongs to. */
export interface Membership {
  program: string
  kind: Process['kind']
  managed: boolean
  /** Above the number that the file of a managed program asks for: not shown any more once it has stopped. */
  surplus: boolean
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
  readonly #managed: ReadonlySet<string>

  constructor(known: ReadonlyMap<string, Membership> = new Map()) {
    this.#known = known
    this.#managed = new Set([...known.values()].flatMap(({ program, managed }) => (managed ? [program] : [])))
  }

  lookup(group: string, process: string): Membership {
    const known = this.#known.get(`${group}:${process}`)
    if (known) return known
    const program = baseProgram(group)
    const managed = this.#managed.has(program)
    return { program, kind: 'program', managed, surplus: managed }
  }
}
