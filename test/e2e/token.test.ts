import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { WebSocket } from 'ws'
import { startAgent, type TestAgent } from '../fixtures/daemon.ts'
import { supervisord } from '../fixtures/supervisord.ts'
import { until } from '../fixtures/wait.ts'

interface Frame {
  id?: string
  method?: string
  params?: Record<string, unknown>
  result?: Record<string, unknown>
  error?: { data: Record<string, unknown> }
}

interface Test {
  teardown(undo: () => unknown): void
}

/** A session on the wire, and all it got. */
async function session(t: Test, agent: TestAgent, token: string) {
  const socket = new WebSocket(`${agent.url}/ws`, { headers: { authorization: `Bearer ${token}` } })
  t.teardown(() => socket.terminate())
  const frames: Frame[] = []
  let closeCode = 0
  let ids = 0
  socket.on('message', (data: Buffer) => frames.push(JSON.parse(data.toString('utf8')) as Frame))
  socket.on('close', (code) => {
    closeCode = code
  })
  await until(() => frames.some(({ method }) => method === 'hello'), 'hello')
  return {
    closeCode: () => closeCode,
    notes: (method: string) =>
      frames.flatMap((frame) => (frame.method === method ? [frame.params ?? {}] : [])),
    async call(method: string, params: Record<string, unknown> = {}): Promise<Frame> {
      const id = `c${++ids}`
      socket.send(JSON.stringify({ jsonrpc: '2.0', id, method, params }))
      return await until(() => frames.find((frame) => frame.id === id), `an answer to ${method}`)
    },
  }
}

type Kept = Record<string, unknown> & { name: string }

/** Edits the tokens file as an administrator does. */
function edit(agent: TestAgent, change: (tokens: Kept[]) => Kept[]): void {
  const path = join(agent.folder, 'tokens.json')
  const { version, tokens } = JSON.parse(readFileSync(path, 'utf8')) as { version: number; tokens: Kept[] }
  writeFileSync(path, JSON.stringify({ version, tokens: change(tokens) }))
}

const chatty = 'sh -c "while :; do date +%%N; sleep 0.05; done"'
const supervisor = await supervisord(t, {
  programs: {
    web: { command: chatty, startsecs: 0 },
    db: { command: chatty, startsecs: 0 },
  },
})
const agent = await startAgent(t, { supervisor })
const boss = await session(t, agent, await agent.token('admin', { name: 'boss' }))
await boss.call('event.subscribe', { types: ['token.*'] })
/** Of `token.revoked` so far. */
const told = () => boss.notes('event').map(({ actor, payload }) => ({ actor, payload }))

let keys = 0
const key = () => ({ idempotencyKey: `token-test-${++keys}` })

await t.test('a log that is followed ends with the right to read it', async (t) => {
  const viewer = await session(t, agent, await agent.token('viewer', { name: 'reader' }))
  await viewer.call('log.follow', { select: ['web', 'db'] })
  const pieces = (process: string) => viewer.notes('log').filter((log) => log['process'] === process)
  await until(() => pieces('web').length > 3 && pieces('db').length > 3, 'both logs')
  edit(agent, (tokens) =>
    tokens.map((token) => (token.name === 'reader' ? { ...token, programs: ['web'] } : token)),
  )
  const ended = () => viewer.notes('log').filter((log) => log['ended'] !== undefined)
  await until(() => ended().length === 1, 'the end of one log')
  t.match(ended(), [{ process: 'db', text: '', ended: 'the right to read this log has ended' }])
  const [web, db] = [pieces('web').length, pieces('db').length]
  await until(() => pieces('web').length > web + 20, 'more of the other')
  t.equal(pieces('db').length, db, 'nothing more of the one')

  edit(agent, (tokens) =>
    tokens.map((token) => (token.name === 'reader' ? { ...token, scopes: ['read'] } : token)),
  )
  await until(() => viewer.notes('unsubscribed').length === 1, 'the end of the whole')
  t.match(viewer.notes('unsubscribed'), [{ error: { data: { name: 'FORBIDDEN' } } }])
  t.match((await viewer.call('log.tail', { process: 'web' })).error, { data: { name: 'FORBIDDEN' } })
  t.equal(viewer.closeCode(), 0, 'the session goes on with what is left')
})

await t.test('events that are no longer allowed are not delivered', async (t) => {
  const operator = await session(t, agent, await agent.token('operator', { name: 'op' }))
  await operator.call('event.subscribe', { types: ['process.state'] })
  const seen = (program: string) =>
    operator.notes('event').filter(({ payload }) => (payload as { program: string }).program === program)
      .length
  const restart = async (program: string) => {
    const { result } = await boss.call('process.restart', { select: [program], ...key() })
    t.match(result, { results: [{ ok: true }] })
  }
  await restart('web')
  await restart('db')
  await until(() => seen('web') > 0 && seen('db') > 0, 'events of both')
  edit(agent, (tokens) =>
    tokens.map((token) => (token.name === 'op' ? { ...token, programs: ['web'] } : token)),
  )
  await until(async () => {
    const { result } = await operator.call('process.list')
    return Array.isArray(result?.['processes']) && result['processes'].length === 1
  }, 'the edit to be in force')
  const [web, db] = [seen('web'), seen('db')]
  await restart('db')
  await restart('web')
  await until(() => seen('web') > web, 'what is allowed')
  t.equal(seen('db'), db)
})

await t.test(
  'a token that is deleted from the file by hand is told of, and its session closed',
  async (t) => {
    const viewer = await session(t, agent, await agent.token('viewer', { name: 'gone' }))
    await viewer.call('event.subscribe')
    const before = told().length
    edit(agent, (tokens) => tokens.filter(({ name }) => name !== 'gone'))
    await until(() => viewer.closeCode() === 4401, 'the close')
    await until(() => told().length > before, 'the event')
    t.strictSame(told().slice(before), [{ actor: undefined, payload: { token: 'gone' } }])
    t.strictSame(viewer.notes('unsubscribed'), [], 'its streams end with it, without a word of their own')
  },
)

await t.test('a token that is revoked by another says by whom', async (t) => {
  const viewer = await session(t, agent, await agent.token('viewer', { name: 'revoked' }))
  const before = told().length
  await boss.call('token.revoke', { token: 'revoked', ...key() })
  await until(() => viewer.closeCode() === 4401, 'the close')
  await until(() => told().length > before, 'the event')
  t.strictSame(told().slice(before), [{ actor: 'token:boss', payload: { token: 'revoked' } }])
})

await t.test(
  'who rotates their own token from afar gets the answer, and keys go on with the new text',
  async (t) => {
    const text = await agent.token('admin', { name: 'self' })
    const old = await session(t, agent, text)
    const call = { select: ['web'], ...key() }
    await old.call('process.restart', call)
    const { result } = await old.call('token.rotate', { token: 'self', graceMs: 0, ...key() })
    const fresh = await session(t, agent, String(result?.['token']))
    t.match((await fresh.call('process.restart', call)).result, { replayed: true })
    t.match(result, { record: { name: 'self', former: { endsAt: String } } })
    await agent.revoke('self')
    await until(() => old.closeCode() === 4401 && fresh.closeCode() === 4401, 'the end of both')
  },
)
