import t from 'tap'
import { EventBus } from '../../src/core/events/bus.ts'
import type { EventType } from '../../src/protocol/events.ts'
import { EventStream } from '../../src/server/event-stream.ts'
import { Outlet } from '../../src/server/outlet.ts'
import { until } from '../fixtures/wait.ts'
import { Peer, parts, somebody } from './support.ts'

const MARKS = { highWaterBytes: 1000, lowWaterBytes: 250, stalledMs: 15_000 }
const viewer = () => somebody({ scopes: new Set(['read', 'logs']) })
const everything = { types: undefined, programs: undefined, since: undefined }

function removed(bus: EventBus, program: string): void {
  bus.publish('process.removed', { process: `${program}-1`, program, group: program })
}

/** A stream that has begun, on a bus of its own. */
function streaming(options: {
  ring?: number
  principal?: ReturnType<typeof viewer>
  filter?: Partial<typeof everything> | { types?: string[]; programs?: string[] }
  after?: number
  before?: number
}) {
  const bus = new EventBus({ epoch: 'e', limits: { events: options.ring ?? 100, bytes: 1e9 } })
  for (let i = 0; i < (options.before ?? 0); i++) removed(bus, 'a')
  const peer = new Peer()
  const outlet = new Outlet(peer, MARKS)
  const stream = new EventStream({
    id: 'e1',
    bus,
    outlet,
    principal: options.principal ?? viewer(),
    filter: { ...everything, ...options.filter },
    after: options.after ?? bus.seq,
    onError: (error) => {
      throw error
    },
  })
  bus.onPublish(() => stream.pump())
  return { bus, peer, outlet, stream }
}

const seqs = (peer: Peer) => peer.notes('event').map(({ seq }) => seq)

await t.test('it sends nothing before it starts, then everything in order', async (t) => {
  const { bus, peer, stream } = streaming({ before: 3, after: 1 })
  removed(bus, 'a')
  stream.bookmark()
  t.strictSame(peer.frames, [])
  stream.start()
  t.strictSame(seqs(peer), [2, 3, 4], 'the replay')
  removed(bus, 'a')
  t.strictSame(seqs(peer), [2, 3, 4, 5], 'then what is new')
})

await t.test('a reader that the ring passed gets the gap, then what is held', async (t) => {
  const { bus, peer, outlet, stream } = streaming({ ring: 10 })
  stream.start()
  removed(bus, 'a')
  peer.unread = 5000
  for (let i = 0; i < 50; i++) removed(bus, 'a')
  t.strictSame(seqs(peer), [1], 'nothing is sent to who does not read')
  peer.unread = 0
  if (outlet.drained()) stream.pump()
  t.strictSame(peer.notes('gap'), [{ subscription: 'e1', epoch: 'e', from: 2, to: 41 }])
  t.strictSame(seqs(peer), [1, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51])
  t.equal(peer.frames[1]?.method, 'gap', 'the gap comes in its place')
})

await t.test('it goes on where it stopped when the reader comes back in time', async (t) => {
  const { bus, peer, outlet, stream } = streaming({})
  stream.start()
  peer.unread = 5000
  for (let i = 0; i < 50; i++) removed(bus, 'a')
  peer.unread = 0
  if (outlet.drained()) stream.pump()
  t.strictSame(
    seqs(peer),
    Array.from({ length: 50 }, (_, index) => index + 1),
  )
  t.strictSame(peer.notes('gap'), [])
})

await t.test('it stops in the middle of a replay when the reader is full', async (t) => {
  const { peer, outlet, stream } = streaming({ before: 50, after: 0 })
  peer.isStuck = true
  stream.start()
  const first = seqs(peer).length
  t.ok(first > 1 && first < 20, `${first} of 50`)
  t.ok(peer.unread < 1500, 'hardly more than the high mark waits')
  peer.isStuck = false
  peer.unread = 0
  if (outlet.drained()) stream.pump()
  t.strictSame(
    seqs(peer),
    Array.from({ length: 50 }, (_, index) => index + 1),
  )
})

await t.test('what happened unseen is a gap for everybody, whatever the filter', async (t) => {
  const { bus, peer, stream } = streaming({ filter: { types: ['agent.*'], programs: ['x'] } })
  stream.start()
  bus.publishGap()
  t.strictSame(peer.notes('gap'), [{ subscription: 'e1', epoch: 'e', from: 1, to: 1 }])
})

const REVISION = '5f0c1ab29e7d4438'

const AT = '2026-01-01T00:00:00.000Z'
const publishAll: Record<EventType, (bus: EventBus) => void> = {
  'process.state': (bus) =>
    bus.publish('process.state', {
      process: 'a',
      program: 'a',
      from: 'RUNNING',
      to: 'FATAL',
      pid: null,
      logTail: 'x',
    }),
  'process.added': (bus) => bus.publish('process.added', { process: 'b', program: 'b', group: 'b' }),
  'process.removed': (bus) => removed(bus, 'a'),
  'supervisor.state': (bus) => bus.publish('supervisor.state', { state: 'running' }),
  'program.applied': (bus) =>
    bus.publish('program.applied', { program: 'a', action: 'put', revision: REVISION }),
  'program.rolledBack': (bus) =>
    bus.publish('program.rolledBack', { program: 'a', action: 'put', reason: 'x', logTail: 'x' }),
  'program.drift': (bus) =>
    bus.publish('program.drift', { program: 'a', file: '/a', revision: REVISION, diff: 'x' }),
  'program.removed': (bus) => bus.publish('program.removed', { program: 'a' }),
  'crontab.changed': (bus) => bus.publish('crontab.changed', { user: 'u', action: 'put', id: 'e' }),
  'crontab.drift': (bus) =>
    bus.publish('crontab.drift', { user: 'u', kind: 'edited', restored: false, diff: 'x' }),
  'crontab.started': (bus) => bus.publish('crontab.started', { run: 'r', id: 'e', user: 'u', startedAt: AT }),
  'crontab.finished': (bus) =>
    bus.publish('crontab.finished', { run: 'r', id: 'e', user: 'u', startedAt: AT, verdict: 'success' }),
  'crontab.missed': (bus) => bus.publish('crontab.missed', { run: 'r', id: 'e', user: 'u', dueAt: AT }),
  'agent.started': (bus) => bus.publish('agent.started', { version: '1' }),
  'agent.stopping': (bus) => bus.publish('agent.stopping', { reason: 'x' }),
  'token.revoked': (bus) => bus.publish('token.revoked', { token: 'x' }),
}
const ALL = Object.keys(publishAll) as EventType[]
/** Those that are about the program a. */
const OF_A: EventType[] = [
  'process.state',
  'process.removed',
  'program.applied',
  'program.rolledBack',
  'program.drift',
  'program.removed',
]
const but = (...types: EventType[]) => ALL.filter((type) => !types.includes(type))

const filters = [
  { it: 'a viewer', rights: {}, filter: {}, shows: but('token.revoked') },
  {
    it: 'an administrator',
    rights: { scopes: new Set(['read', 'logs', 'admin'] as const) },
    filter: {},
    shows: ALL,
  },
  { it: 'who may not read', rights: { scopes: new Set(['logs'] as const) }, filter: {}, shows: [] },
  {
    it: 'who asked for types',
    rights: {},
    filter: { types: ['process.*'] },
    shows: ['process.state', 'process.added', 'process.removed'],
  },
  {
    it: 'who asked for one type',
    rights: {},
    filter: { types: ['agent.started', 'nothing'] },
    shows: ['agent.started'],
  },
  {
    it: 'who asked for a program',
    rights: {},
    filter: { programs: ['b'] },
    shows: but(...OF_A, 'token.revoked'),
  },
  {
    it: 'who may see one program',
    rights: { programs: ['b'] },
    filter: {},
    shows: but(...OF_A, 'token.revoked'),
  },
  {
    it: 'who asks for what it may not see',
    rights: { programs: ['b'] },
    filter: { programs: ['a'] },
    shows: but(...OF_A, 'process.added', 'token.revoked'),
  },
  {
    it: 'who may see no program',
    rights: { programs: [] },
    filter: {},
    shows: but(...OF_A, 'process.added', 'token.revoked'),
  },
]
for (const { it, rights, filter, shows } of filters)
  await t.test(`${it} sees exactly its events`, async (t) => {
    const { bus, peer, stream } = streaming({ principal: { ...viewer(), ...rights }, filter })
    stream.start()
    for (const type of ALL) publishAll[type](bus)
    t.strictSame(
      peer.notes('event').map(({ type }) => type),
      shows,
    )
    stream.bookmark()
    const hidden = shows.length < ALL.length
    t.strictSame(peer.notes('bookmark'), hidden ? [{ subscription: 'e1', epoch: 'e', seq: ALL.length }] : [])
    stream.bookmark()
    t.equal(peer.notes('bookmark').length, hidden ? 1 : 0, 'a bookmark comes only for what was hidden since')
  })

await t.test('the log tail needs the scope logs, at the moment of sending', async (t) => {
  const scopes = new Set(['read', 'logs'] as ('read' | 'logs')[])
  const { bus, peer, stream } = streaming({ principal: { ...viewer(), scopes } })
  stream.start()
  publishAll['process.state'](bus)
  scopes.delete('logs')
  publishAll['process.state'](bus)
  const tails = peer.notes('event').map(({ payload }) => (payload as { logTail?: string }).logTail)
  t.strictSame(tails, ['x', undefined])
})

await t.test('the diff of a crontab needs cron and its user, that of a program needs program', async (t) => {
  for (const [scope, users, shown] of [
    ['cron', ['u'], 'crontab.drift'],
    ['cron', ['*'], 'crontab.drift'],
    ['cron', ['v'], null],
    ['program', ['u'], 'program.drift'],
  ] as const) {
    const scopes = new Set(['read', scope] as const)
    const { bus, peer, stream } = streaming({ principal: { ...viewer(), scopes, users } })
    stream.start()
    publishAll['crontab.drift'](bus)
    publishAll['program.drift'](bus)
    const withDiff = peer.notes('event').filter(({ payload }) => 'diff' in Object(payload))
    t.strictSame(
      withDiff.map(({ type }) => type),
      shown === null ? [] : [shown],
    )
  }
})

await t.test('rights that shrink or end hold from the next event on', async (t) => {
  let programs = ['a', 'b']
  let scopes = new Set(['read'] as const)
  const principal = {
    ...viewer(),
    get programs() {
      return programs
    },
    get scopes() {
      return scopes
    },
  }
  const { bus, peer, stream } = streaming({ principal })
  stream.start()
  const both = () => {
    removed(bus, 'a')
    removed(bus, 'b')
  }
  both()
  programs = ['b']
  both()
  scopes = new Set()
  both()
  t.strictSame(seqs(peer), [1, 2, 4])
})

await t.test('a subscription of a session', async (t) => {
  const { open, bus } = await parts(t, { ring: { events: 10, bytes: 1e9 } })
  for (let i = 0; i < 30; i++) removed(bus, 'a')
  const { epoch } = bus

  await t.test('without a position begins with a snapshot and what is new', async (t) => {
    const peer = open(viewer())
    const { result } = await peer.call('event.subscribe')
    t.strictSame(result, {
      subscription: 'e1',
      mode: 'snapshot',
      epoch,
      seq: bus.seq,
      snapshot: { processes: [] },
    })
    const { seq } = bus
    removed(bus, 'a')
    await until(() => peer.notes('event').length > 0)
    t.strictSame(seqs(peer), [seq + 1])
  })

  await t.test('resumes inside the ring: first what was missed, then what is new', async (t) => {
    const peer = open(viewer())
    const since = { epoch, seq: bus.seq - 5 }
    const id = peer.ask('event.subscribe', { since })
    removed(bus, 'a')
    await until(() => seqs(peer).length >= 6)
    t.strictSame(
      seqs(peer),
      [1, 2, 3, 4, 5, 6].map((step) => since.seq + step),
    )
    const kinds = peer.frames.map(({ id: answered, method }) => method ?? answered)
    t.strictSame(
      kinds.slice(0, 3),
      ['hello', id, 'event'],
      'no event before the answer that names the subscription',
    )
    t.match(await peer.answer(id), { result: { mode: 'resumed', epoch, seq: since.seq } })
  })

  const positions = [
    {
      it: 'just before the oldest event held',
      since: () => ({ epoch, seq: bus.oldestSeq - 1 }),
      mode: 'resumed',
    },
    { it: 'at the newest', since: () => ({ epoch, seq: bus.seq }), mode: 'resumed' },
    { it: 'before the ring', since: () => ({ epoch, seq: bus.oldestSeq - 2 }), mode: 'snapshot' },
    { it: 'at zero', since: () => ({ epoch, seq: 0 }), mode: 'snapshot' },
    { it: 'of another epoch', since: () => ({ epoch: 'other', seq: bus.seq }), mode: 'snapshot' },
    { it: 'of the future', since: () => ({ epoch, seq: bus.seq + 1 }), mode: 'snapshot' },
  ]
  for (const { it, since, mode } of positions)
    await t.test(`with a position ${it} is ${mode}`, async (t) => {
      const wanted = since()
      const { result } = await open(viewer()).call('event.subscribe', { since: wanted })
      t.equal(result?.['mode'], mode)
      t.equal(result?.['seq'], mode === 'resumed' ? wanted.seq : bus.seq)
      t.equal('snapshot' in (result ?? {}), mode === 'snapshot')
    })

  await t.test('ends with event.unsubscribe, the others go on', async (t) => {
    const peer = open(viewer())
    await peer.call('event.subscribe')
    await peer.call('event.subscribe')
    await peer.call('event.unsubscribe', { subscription: 'e1' })
    removed(bus, 'a')
    await until(() => seqs(peer).length > 0)
    t.strictSame(
      peer.notes('event').map(({ subscription }) => subscription),
      ['e2'],
    )
  })

  await t.test('is one of 16 at most; one that ended makes room', async (t) => {
    const peer = open(viewer())
    for (let i = 0; i < 16; i++) t.ok((await peer.call('event.subscribe')).result)
    t.match(await peer.call('event.subscribe'), { error: { data: { name: 'TOO_MANY_SUBSCRIPTIONS' } } })
    await peer.call('event.unsubscribe', { subscription: 'e3' })
    t.match(await peer.call('event.subscribe'), { result: { subscription: 'e17' } })
  })
})

await t.test('bookmarks come by themselves', async (t) => {
  const { open, bus } = await parts(t, { limits: { bookmarkMs: 50 } })
  const peer = open(viewer())
  await peer.call('event.subscribe', { types: ['agent.*'] })
  removed(bus, 'a')
  await until(() => peer.notes('bookmark').length > 0)
  t.strictSame(peer.notes('bookmark'), [{ subscription: 'e1', epoch: bus.epoch, seq: bus.seq }])
})
