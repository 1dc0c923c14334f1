// Another number of processes without a restart of those that stay. supervisord restarts a whole group to change its
// size; so the missing ones come up in a group of their own, `<name>.surgeN`, while the file of the program already
// holds the number that the next full restart will read.
import type { GroupStep } from './intent.ts'

/** One process of a program that is in supervisord. */
export interface Instance {
  /** As supervisord is asked for it: `group:process`. */
  name: string
  group: string
  /** Its number in the program. */
  index: number
  isUp: boolean
}

export interface Surge {
  group: string
  file: string
  start: number
  count: number
}

export interface ScaleInput {
  name: string
  /** Number of the first process. */
  start: number
  /** How many the file says now, and how many it is to say. */
  before: number
  wanted: number
  /** All that supervisord has of the program, surge groups included. */
  instances: readonly Instance[]
  surges: readonly Surge[]
  /** False for a program that is stopped as a whole: it grows without starting anything. */
  starts: boolean
}

export interface ScalePlan {
  /** A group to be made for the processes that no group has. */
  surge: { group: string; start: number; count: number } | null
  /** Files of surge groups that are needed no more. */
  deleted: string[]
  steps: GroupStep[]
  started: string[]
  stopped: string[]
}

/** The steps from what runs to the wanted number, the highest number first where processes go. */
export function planScale(input: ScaleInput): ScalePlan {
  const { name, start, before, wanted, instances, surges, starts } = input
  const end = start + wanted
  const plan: ScalePlan = { surge: null, deleted: [], steps: [], started: [], stopped: [] }
  for (const surge of surges.toSorted((a, b) => b.start - a.start)) {
    if (surge.start < end) continue
    const ran = instances.filter(({ group, isUp }) => group === surge.group && isUp)
    plan.deleted.push(surge.file)
    plan.steps.push({ do: 'remove', group: surge.group, ran: ran.map((one) => one.name) })
    plan.stopped.push(...ran.map((one) => one.name))
  }
  const leaving = instances.filter(
    ({ index, isUp, name: own }) => index >= end && isUp && !plan.stopped.includes(own),
  )
  for (const { name: process } of leaving.toSorted((a, b) => b.index - a.index)) {
    plan.steps.push({ do: 'stop', process })
    plan.stopped.push(process)
  }
  const known = new Map<number, Instance>()
  for (const instance of instances) if (!known.get(instance.index)?.isUp) known.set(instance.index, instance)
  let missing = end
  for (let index = start + before; index < end; index++) {
    const instance = known.get(index)
    if (!instance) {
      missing = index
      break
    }
    if (instance.isUp || !starts) continue
    plan.steps.push({ do: 'start', process: instance.name })
    plan.started.push(instance.name)
  }
  if (missing < end) {
    const group = `${name}.surge${freeNumber(surges)}`
    const count = end - missing
    plan.surge = { group, start: missing, count }
    plan.steps.push({ do: 'add', group })
    const numbers = Array.from({ length: starts ? count : 0 }, (_, offset) => missing + offset)
    const names = numbers.map((number) => `${group}:${name}_${String(number).padStart(2, '0')}`)
    for (const process of names) plan.steps.push({ do: 'start', process })
    plan.started.push(...names)
  }
  return plan
}

/** True for what a full restart of the program's own group made superfluous: a surge process that the group now has. */
export function isSuperseded(instance: Instance, instances: readonly Instance[], name: string): boolean {
  return (
    instance.group !== name &&
    instances.some(({ group, index }) => group === name && index === instance.index)
  )
}

function freeNumber(surges: readonly Surge[]): number {
  const numbers = surges.map(({ group }) => Number(/\.surge(\d+)$/.exec(group)?.[1] ?? 0))
  return Math.max(0, ...numbers) + 1
}
