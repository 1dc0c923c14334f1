import { PROCESS_STATES, type ProcessState } from '../../protocol/process.ts'

/** What an event says, by kind. A name or a payload that this version does not know is `other`. */
export type EventBody =
  | {
      kind: 'process-state'
      process: string
      group: string
      from: ProcessState
      to: ProcessState
      pid?: number
      expected?: boolean
      tries?: number
    }
  | { kind: 'group-added' | 'group-removed'; group: string }
  | { kind: 'supervisor-state'; state: 'RUNNING' | 'STOPPING' }
  | { kind: 'remote'; type: string; body: string }
  | { kind: 'other' }

const OTHER: EventBody = { kind: 'other' }

/** Reads the payload of an event by its name; never throws. */
export function parseEventBody(name: string, payload: string): EventBody {
  if (name.startsWith('PROCESS_STATE_')) return processState(name.slice('PROCESS_STATE_'.length), payload)
  switch (name) {
    case 'PROCESS_GROUP_ADDED':
      return group('group-added', payload)
    case 'PROCESS_GROUP_REMOVED':
      return group('group-removed', payload)
    case 'SUPERVISOR_STATE_CHANGE_RUNNING':
      return { kind: 'supervisor-state', state: 'RUNNING' }
    case 'SUPERVISOR_STATE_CHANGE_STOPPING':
      return { kind: 'supervisor-state', state: 'STOPPING' }
    case 'REMOTE_COMMUNICATION':
      return remote(payload)
    default:
      return OTHER
  }
}

/**
 * Names of event listeners may hold spaces, even ` groupname:`. The facts behind the names are parsed from the
 * right; of the ways to cut the names, the one where process and group are equal wins, else the first.
 */
const STATE =
  /^processname:(?<names>.*) from_state:(?<from>[A-Z]+)(?: tries:(?<tries>\d+))?(?: expected:(?<expected>[01]))?(?: pid:(?<pid>\d+))?$/s

function processState(state: string, payload: string): EventBody {
  const facts = STATE.exec(payload)?.groups
  const from = stateOf(facts?.['from'])
  const to = stateOf(state)
  const names = cutNames(facts?.['names'] ?? '')
  if (!facts || !from || !to || !names) return OTHER
  const { tries, expected, pid } = facts
  return {
    kind: 'process-state',
    ...names,
    from,
    to,
    ...(pid === undefined ? {} : { pid: Number(pid) }),
    ...(expected === undefined ? {} : { expected: expected === '1' }),
    ...(tries === undefined ? {} : { tries: Number(tries) }),
  }
}

function cutNames(names: string): { process: string; group: string } | null {
  const separator = ' groupname:'
  const half = (names.length - separator.length) / 2
  if (Number.isInteger(half) && half >= 0) {
    const process = names.slice(0, half)
    if (names === process + separator + process) return { process, group: process }
  }
  const at = names.indexOf(separator)
  if (at < 0) return null
  return { process: names.slice(0, at), group: names.slice(at + separator.length) }
}

function stateOf(text: string | undefined): ProcessState | undefined {
  return PROCESS_STATES.find((state) => state === text)
}

function group(kind: 'group-added' | 'group-removed', payload: string): EventBody {
  const match = /^groupname:(.*)\n$/s.exec(payload)
  return match ? { kind, group: match[1] ?? '' } : OTHER
}

/** The sender chooses the type, so it may hold a newline; the first one is taken for its end. */
function remote(payload: string): EventBody {
  const end = payload.indexOf('\n')
  if (!payload.startsWith('type:') || end < 0) return OTHER
  return { kind: 'remote', type: payload.slice('type:'.length, end), body: payload.slice(end + 1) }
}
