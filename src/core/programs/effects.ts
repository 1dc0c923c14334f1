// What a change of a program's file does to its groups in supervisord: as steps to take, and in words for a plan.
import type { PlanAction } from '../../protocol/program.ts'
import type { GroupStep } from './intent.ts'
import { type Instance, planScale, type Surge } from './scale.ts'

/**
 * `none`: nothing that runs changes. `add`: the group comes. `restart`: the whole group anew. `scale`: another number
 * of processes, the others stay. `remove`: the group goes. `enable`, `disable`: started or stopped, with autostart.
 */
export type How = 'none' | 'add' | 'restart' | 'scale' | 'remove' | 'enable' | 'disable'

export interface EffectInput {
  name: string
  how: How
  /** Number of the first process, by the new file. */
  start: number
  /** How many processes the file asks for, before and after. */
  before: number
  wanted: number
  autostart: boolean
  instances: readonly Instance[]
  surges: readonly Surge[]
  /** The process names that the program's own group will have, as `group:process`. */
  names: readonly string[]
  /** Those that it has by what it runs by, which an undo brings back, and the number of their first; none where it is new. */
  old: { names: readonly string[]; start: number }
}

export interface Effect {
  steps: GroupStep[]
  /** Files of surge groups that go. */
  deleted: string[]
  /** A surge group whose file is to be written. */
  surge: { group: string; start: number; count: number } | null
  actions: PlanAction[]
  /** What must come up for the change to stand. */
  expects: readonly string[]
  /** Of another number of processes: what comes and what goes. */
  started: readonly string[]
  stopped: readonly string[]
}

export function effectOf(input: EffectInput): Effect {
  const { name, how, names, start, instances, autostart } = input
  const up = instances.filter(({ isUp }) => isUp)
  const upNames = up.map((one) => one.name)
  const ownUp = up.filter(({ group }) => group === name).map((one) => one.name)
  switch (how) {
    case 'none':
      return effect(name, 'none')
    case 'add':
      return effect(name, 'add', names, {
        steps: [{ do: 'add', group: name }],
        expects: autostart ? names : [],
      })
    case 'restart': {
      // what a surge group ran is in the program's own group from now on
      const ran = runningOf(names, start, up)
      const had = upOf(input.old, up)
      const { steps, deleted } = withoutSurges(input)
      return effect(name, 'restart', names, {
        steps: [...steps, { do: 'replace', group: name, ran, had }],
        deleted,
        expects: autostart ? names : ran,
      })
    }
    case 'scale': {
      const plan = planScale({ ...input, starts: up.length > 0 })
      return effect(name, 'scale', [...plan.started, ...plan.stopped], { ...plan, expects: plan.started })
    }
    case 'remove': {
      const { steps, deleted } = withoutSurges(input)
      return effect(name, 'remove', upNames, {
        steps: [...steps, { do: 'remove', group: name, ran: ownUp }],
        deleted,
      })
    }
    case 'disable': {
      const { steps, deleted } = withoutSurges(input)
      return effect(name, 'restart', upNames, {
        steps: [...steps, { do: 'remove', group: name, ran: ownUp }, { do: 'add', group: name }],
        deleted,
      })
    }
    case 'enable':
      return up.length === 0 ? enabled(input) : completed(input)
  }
}

/** Those of a group whose numbers run, in whichever group. */
function runningOf(names: readonly string[], start: number, up: readonly Instance[]): string[] {
  return names.filter((_, offset) => up.some(({ index }) => index === start + offset))
}

/**
 * Those of the group of before that run: by their own names where it has these, whatever numbers a file that was edited
 * since gives them; else by their numbers.
 */
function upOf({ names, start }: EffectInput['old'], up: readonly Instance[]): string[] {
  return names.filter((own, offset) =>
    up.some(({ name, index }) => (names.includes(name) ? name === own : index === start + offset)),
  )
}

/** Nothing runs: the group takes the new file, and supervisord starts it. */
function enabled(input: EffectInput): Effect {
  const { name, names } = input
  const { steps, deleted } = withoutSurges(input)
  return effect(name, 'add', names, {
    steps: [...steps, { do: 'replace', group: name, ran: [], had: [] }],
    deleted,
    expects: names,
  })
}

/** What runs stays; the rest is started beside it. */
function completed({ name, instances, start, wanted }: EffectInput): Effect {
  const numbersUp = new Set(instances.filter(({ isUp }) => isUp).map(({ index }) => index))
  const missing = instances
    .filter(({ index }) => index < start + wanted && !numbersUp.has(index))
    .map((one) => one.name)
  return effect(name, missing.length > 0 ? 'scale' : 'none', missing, {
    steps: missing.map((process) => ({ do: 'start', process })),
    expects: missing,
  })
}

function effect(
  group: string,
  action: PlanAction['action'],
  processes: readonly string[] = [],
  rest: Partial<Omit<Effect, 'actions'>> = {},
): Effect {
  return {
    steps: [],
    deleted: [],
    surge: null,
    expects: [],
    started: [],
    stopped: [],
    ...rest,
    actions: [{ group, action, processes: [...processes] }],
  }
}

/** Takes the surge groups away. */
function withoutSurges({ surges, instances }: EffectInput): { steps: GroupStep[]; deleted: string[] } {
  const ran = (surge: string) =>
    instances.filter(({ group, isUp }) => isUp && group === surge).map((one) => one.name)
  return {
    steps: surges.map(({ group }) => ({ do: 'remove', group, ran: ran(group) })),
    deleted: surges.map(({ file }) => file),
  }
}
