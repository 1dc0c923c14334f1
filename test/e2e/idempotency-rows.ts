// Every method that changes something, as a call and another one for the same key, with the events that it causes.
import { writeFileSync } from 'node:fs'
import type { MethodName } from '../../src/methods/index.ts'
import type { EventType } from '../../src/protocol/events.ts'

type Params = Record<string, unknown>

export interface Row {
  params: Params
  /** Another call, for the same key. */
  other: Params
  /** Called before, for something to be there. */
  before?: [MethodName, Params]
  /** Done before, on the disk. */
  prepare?: () => void
  /** Events that it causes: each with the name of whoever called. */
  causes: readonly EventType[]
  /** What a call that was cut short is told of. */
  observed: 'processes' | 'program' | 'supervisor' | 'tokens'
  /** Only admin.sock may. */
  isLocal?: true
  /** It is over too soon to be cut short: the record of its outcome is taken away instead. */
  isInstant?: true
  /** supervisord is not there any more. */
  ends?: true
}

const STATE = ['process.state'] as const
const APPLIED = ['program.applied'] as const
const REPLACED = ['process.removed', 'process.added', 'process.state'] as const
const web = { select: ['web'] }
const both = { select: ['web', 'echo'] }
export const sleeper = (name: string, more: object = {}) => ({
  definition: { name, command: '/bin/sleep 600', startSecs: 0, ...more },
  verifyMs: 0,
})
/** What the test finds out on its way. */
export const found = {
  /** An earlier one of `p-restore`. */
  revision: '',
  /** A file that supervisord refuses. */
  blocking: '',
}

/** In this order: the last ones take supervisord away. */
export const ROWS: Partial<Record<MethodName, Row>> = {
  'process.start': {
    params: web,
    other: both,
    before: ['process.stop', web],
    causes: STATE,
    observed: 'processes',
  },
  'process.restart': {
    params: web,
    other: { ...web, mode: 'rolling' },
    causes: STATE,
    observed: 'processes',
  },
  'process.signal': {
    params: { ...web, signal: 'CONT' },
    other: { ...web, signal: 'HUP' },
    causes: [],
    observed: 'processes',
  },
  'process.stdin': {
    params: { process: 'echo', text: 'a line\n' },
    other: { process: 'echo', text: 'another\n' },
    causes: [],
    observed: 'processes',
  },
  'process.stop': { params: web, other: both, causes: STATE, observed: 'processes' },
  'log.clear': { params: web, other: both, causes: [], observed: 'processes', isInstant: true },
  'token.create': {
    params: { name: 'made', role: 'viewer' },
    other: { name: 'made', role: 'operator' },
    causes: [],
    observed: 'tokens',
  },
  'token.rotate': { params: { token: 'first' }, other: { token: 'second' }, causes: [], observed: 'tokens' },
  'token.revoke': {
    params: { token: 'second' },
    other: { token: 'first' },
    causes: ['token.revoked'],
    observed: 'tokens',
  },
  'program.put': {
    params: sleeper('p-put', { command: '/bin/sleep 601' }),
    other: sleeper('p-put', { command: '/bin/sleep 602' }),
    causes: [...REPLACED, ...APPLIED],
    observed: 'program',
  },
  'program.delete': {
    params: { name: 'p-delete' },
    other: { name: 'p-scale' },
    causes: ['program.removed', 'process.removed'],
    observed: 'program',
  },
  'program.scale': {
    params: { name: 'p-scale', processes: 2 },
    other: { name: 'p-scale', processes: 3 },
    causes: ['process.added', ...APPLIED],
    observed: 'program',
  },
  'program.enable': {
    params: { name: 'p-enable' },
    other: { name: 'p-scale' },
    causes: [...STATE, ...APPLIED],
    observed: 'program',
  },
  'program.disable': {
    params: { name: 'p-disable' },
    other: { name: 'p-scale' },
    causes: [...STATE, ...APPLIED],
    observed: 'program',
  },
  'program.adopt': { params: { name: 'hand' }, other: { name: 'web' }, causes: APPLIED, observed: 'program' },
  'program.restore': {
    get params() {
      return { name: 'p-restore', revision: found.revision }
    },
    other: { name: 'p-restore', revision: '0123456789abcdef' },
    causes: [...REPLACED, ...APPLIED],
    observed: 'program',
  },
  'program.quarantine': {
    get params() {
      return { file: found.blocking }
    },
    other: { file: '/nowhere/x.conf' },
    prepare: () => writeFileSync(found.blocking, 'stray\n'),
    causes: [],
    observed: 'supervisor',
    isLocal: true,
    isInstant: true,
  },
  'supervisor.reread': { params: {}, other: {}, causes: [], observed: 'supervisor' },
  'supervisor.update': {
    params: { groups: ['web'] },
    other: { groups: ['echo'] },
    causes: [],
    observed: 'supervisor',
    isLocal: true,
  },
  'supervisor.restart': {
    params: {},
    other: {},
    causes: [...STATE, 'supervisor.state'],
    observed: 'supervisor',
  },
  'supervisor.shutdown': {
    params: {},
    other: {},
    causes: ['supervisor.state'],
    observed: 'supervisor',
    ends: true,
  },
}
