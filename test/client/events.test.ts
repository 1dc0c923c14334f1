import { join } from 'node:path'
import t from 'tap'
import { type AgentClient, connect, type EventItem, type FeedItem } from '../../src/client/index.ts'
import { startAgent } from '../fixtures/daemon.ts'
import { rewriteToken } from '../fixtures/rewrite-token.ts'
import { supervisord } from '../fixtures/supervisord.ts'
import { until } from '../fixtures/wait.ts'
import { proxy } from './proxy.ts'

interface Scope {
  teardown(task: () => unknown): void
}

const supervisor = await supervisord(t, {
  programs: {
    web: { command: 'sleep 600', startsecs: 0 },
    other: { command: 'sleep 600', startsecs: 0 },
    many: {
      command: 'sleep 600',
      startsecs: 0,
      numprocs: 50,
      process_name: '%(program_name)s_%(process_num)02d',
      autostart: false,
    },
  },
})
const agent = await startAgent(t, { supervisor, listener: true })
const token = await agent.token('admin')
const quick = { minMs: 1, maxMs: 20 }

async function client(scope: Scope, url = agent.url): Promise<AgentClient> {
  const opened = await connect({ url, token, reconnect: quick })
  scope.teardown(() => opened.close())
  return opened
}

/** Reads a feed in the background. */
function reading(feed: AsyncIterableIterator<FeedItem>): {
  items: FeedItem[]
  ended: Promise<unknown>
  events: () => EventItem[]
} {
  const items: FeedItem[] = []
  const ended = (async () => {
    for await (const item of feed) items.push(item)
    return 'quietly'
  })().catch((error: unknown) => error)
  return { items, ended, events: () => items.filter((item) => item.kind === 'event') }
}

const numbers = (items: FeedItem[]): number[] =>
  items.flatMap((item) => (item.kind === 'event' ? [item.seq] : []))

await t.test('a feed begins with a snapshot and goes on with typed events', async (t) => {
  const opened = await client(t)
  const { items, events } = reading(opened.events({ types: ['process.*'], programs: ['web'] }))
  await until(() => items.length === 1)
  t.match(items[0], {
    kind: 'snapshot',
    epoch: opened.hello.epoch,
    processes: [{ name: 'web', state: 'RUNNING' }],
  })
  await opened.call('process.restart', { select: ['web', 'other'] })
  await until(() => events().some((item) => item.type === 'process.state' && item.payload.to === 'RUNNING'))
  t.ok(events().every((item) => 'program' in item.payload && item.payload.program === 'web'))
  t.match(events()[0], {
    kind: 'event',
    type: 'process.state',
    actor: 'token:admin-1',
    payload: { process: 'web' },
  })
})

await t.test(
  'a feed goes on without loss and without repetition when the connection is cut again and again',
  async (t) => {
    const cable = await proxy(t, () => agent.port)
    const opened = await client(t, cable.url)
    const witness = await client(t)
    const seen = reading(opened.events())
    const all = reading(witness.events())
    await until(() => seen.items.length > 0 && all.items.length > 0)
    for (let round = 0; round < 6; round++) {
      const restarting = witness.call('process.restart', { select: ['web', 'other'] })
      await until(() => all.events().length > round)
      cable.cut()
      await restarting
    }
    const last = witness.events()
    const first = await last.next()
    await last.return?.()
    const end = first.value?.kind === 'snapshot' ? first.value.seq : 0
    await until(() => numbers(seen.items).at(-1) === end && numbers(all.items).at(-1) === end)
    t.strictSame(numbers(seen.items), numbers(all.items))
    t.ok(cable.connections > 3, `${cable.connections} connections`)
    t.equal(seen.items.filter(({ kind }) => kind === 'snapshot').length, 1, 'one snapshot, at the beginning')
  },
)

await t.test('a position of another epoch begins with a snapshot', async (t) => {
  const opened = await client(t)
  const { items } = reading(opened.events({ since: { epoch: 'elsewhere', seq: 7 } }))
  await until(() => items.length === 1)
  t.match(items[0], { kind: 'snapshot', epoch: opened.hello.epoch })
})

await t.test('a position of this epoch gives what followed it and no snapshot', async (t) => {
  const opened = await client(t)
  const { epoch, seq } = await opened.call('process.list', {})
  await opened.call('process.restart', { select: ['web'] })
  const { items } = reading(opened.events({ since: { epoch, seq } }))
  await until(() =>
    items.some(
      (item) => item.kind === 'event' && item.type === 'process.state' && item.payload.to === 'RUNNING',
    ),
  )
  t.equal(items[0]?.kind, 'event')
  t.equal(numbers(items)[0], seq + 1)
})

await t.test('after a gap comes a snapshot that is newer than it', async (t) => {
  const host = await supervisord(t, { programs: { web: { command: 'sleep 600', startsecs: 0 } } })
  const lossy = await startAgent(t, { supervisor: host, listener: { bufferSize: 4 } })
  const opened = await connect({ url: lossy.adminUrl })
  t.teardown(() => opened.close())
  const { items } = reading(opened.events())
  await until(() => items.length > 0)
  const { stdout } = await host.ctl('pid', 'supervisor-agent')
  const shim = Number(stdout)
  process.kill(shim, 'SIGSTOP')
  for (let round = 0; round < 4; round++) await host.ctl('restart', 'web')
  process.kill(shim, 'SIGCONT')
  const gap = await until(() => items.find((item) => item.kind === 'gap'))
  const snapshot = await until(() => items.slice(items.indexOf(gap)).find((item) => item.kind === 'snapshot'))
  t.ok(gap.kind === 'gap' && snapshot.kind === 'snapshot' && snapshot.seq >= gap.to)
  t.match(snapshot, { processes: [{ name: 'web' }] })
})

await t.test(
  'a slow consumer gets everything in the end, and does not stand in the way of calls',
  async (t) => {
    const opened = await client(t)
    const feed = opened.events({ types: ['process.state'], programs: ['many'] })
    const first = await feed.next()
    const since =
      first.value?.kind === 'snapshot' ? { epoch: first.value.epoch, seq: first.value.seq } : undefined
    t.ok(since)
    const fast = await client(t)
    const witness = reading(
      fast.events({ types: ['process.state'], programs: ['many'], ...(since && { since }) }),
    )
    // four events each time, far more than wait in the client
    while (numbers(witness.items).length < 1_200) await opened.call('process.restart', { select: ['many:*'] })
    const wanted = numbers(witness.items)
    const got: number[] = []
    while (got.length < wanted.length) {
      const { value } = await feed.next()
      if (value?.kind === 'event') got.push(value.seq)
      else t.fail(`not an event: ${value?.kind}`)
    }
    t.strictSame(got, wanted)
    await feed.return?.()
  },
)

await t.test('abort, return and close end a feed quietly', async (t) => {
  const opened = await client(t)
  const abort = new AbortController()
  const aborted = reading(opened.events({ signal: abort.signal }))
  const closed = reading(opened.events())
  const feed = opened.events()
  const returned = reading(feed)
  await until(() => [aborted, closed, returned].every(({ items }) => items.length > 0))
  abort.abort()
  t.equal(await aborted.ended, 'quietly')
  await feed.return?.()
  t.equal(await returned.ended, 'quietly')
  await opened.close()
  t.equal(await closed.ended, 'quietly')
  const late = reading(opened.events())
  t.equal(await late.ended, 'quietly')
})

await t.test('a feed whose right is taken away says so', async (t) => {
  const opened = await connect({
    url: agent.url,
    token: await agent.token('operator', { name: 'downgraded' }),
    reconnect: quick,
  })
  t.teardown(() => opened.close())
  const { items, ended } = reading(opened.events())
  await until(() => items.length === 1)
  await rewriteToken(join(agent.folder, 'tokens.json'), 'downgraded', { scopes: ['control'] })
  t.match(await ended, { code: 'FORBIDDEN', facts: { rule: 'scope', scope: 'read' } })
})
