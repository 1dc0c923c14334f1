import { readFile, writeFile } from 'node:fs/promises'
import t from 'tap'
import { ROTATION_GRACE_MAX_MS, ROTATION_GRACE_MS } from '../../../src/protocol/token.ts'
import { until } from '../../fixtures/wait.ts'
import { clock, tokenStore } from './support.ts'

const BY = 'local:admin'
const HOUR_MS = 3_600_000

/** A store with one token, and a clock. */
async function withToken(t: Parameters<typeof tokenStore>[0]) {
  const time = clock()
  const parts = await tokenStore(t, { now: time.now })
  const { token, record } = await parts.store.create({ name: 'panel', role: 'viewer' }, BY)
  /** Which of the texts open a session now. Looking is a use. */
  const good = (...texts: string[]) => texts.map((text) => parts.store.verify(text) !== null)
  return { ...parts, time, good, first: token, id: record.id }
}

await t.test('both texts are good until the grace ends, then the former one ends by itself', async (t) => {
  const { store, time, changes, good, first, id } = await withToken(t)
  const { token, record } = await store.rotate('panel', { graceMs: HOUR_MS })
  t.equal(record.id, id, 'the record stays')
  t.strictSame(good(first, token), [true, true])
  t.strictSame([store.verify(first)?.id, store.verify(token)?.id], [id, id])
  time.add(HOUR_MS - 1)
  t.strictSame(good(first, token), [true, true])
  store.expireSweep()
  t.strictSame(changes, [])
  time.add(1)
  t.strictSame(good(first, token), [false, true])
  store.expireSweep()
  store.expireSweep()
  t.strictSame(changes, [[id]], 'told once')
})

await t.test('the grace is a day where nothing is said, and a week at most', async (t) => {
  const { store, time } = await withToken(t)
  const { record } = await store.rotate('panel')
  t.equal(Date.parse(record.former?.endsAt ?? '') - time.now(), ROTATION_GRACE_MS)
  t.strictSame([ROTATION_GRACE_MS, ROTATION_GRACE_MAX_MS], [24 * HOUR_MS, 7 * 24 * HOUR_MS])
})

await t.test('no grace ends the former text at once', async (t) => {
  const { store, changes, good, first, id } = await withToken(t)
  const { token, record } = await store.rotate('panel', { graceMs: 0 })
  t.strictSame(good(first, token), [false, true])
  t.equal(record.former, undefined)
  t.strictSame(changes, [[id]])
})

await t.test('of three texts the two newest are good', async (t) => {
  const { store, good, first } = await withToken(t)
  const second = await store.rotate('panel')
  t.strictSame(good(second.token), [true])
  const third = await store.rotate('panel')
  t.strictSame(good(first, second.token, third.token), [false, true, true])
})

await t.test('a text that was never used does not push out the one before it', async (t) => {
  const { store, time, good, first } = await withToken(t)
  const lost = await store.rotate('panel', { graceMs: HOUR_MS })
  time.add(HOUR_MS / 2)
  const third = await store.rotate('panel', { graceMs: HOUR_MS })
  t.strictSame(good(lost.token, first, third.token), [false, true, true])
  time.add(HOUR_MS / 2)
  t.strictSame(good(first, third.token), [false, true], 'and it has no longer than it was told')
})

await t.test('revocation and expiry end both texts', async (t) => {
  const { store, good, first } = await withToken(t)
  const { token } = await store.rotate('panel')
  await store.revoke('panel')
  t.strictSame(good(first, token), [false, false])
  await t.rejects(store.rotate('panel'), { code: 'INVALID_PARAMS', facts: { issues: [{ path: 'token' }] } })
})

await t.test('a session has its rights as long as the text it came with is good', async (t) => {
  const { store, time, first } = await withToken(t)
  const old = store.verify(first)
  const { token } = await store.rotate('panel', { graceMs: HOUR_MS })
  const fresh = store.verify(token)
  if (!old || !fresh) throw new Error('both are good')
  const sessions = [old, fresh].map((record) => ({ record, principal: store.toPrincipal(record) }))
  const rights = () => sessions.map(({ principal }) => principal.scopes.size)
  t.strictSame(rights(), [2, 2])
  t.strictSame(
    sessions.map(({ principal }) => principal.id),
    [old.id, old.id],
    'idempotency keys belong to the record',
  )
  time.add(HOUR_MS)
  t.strictSame(rights(), [0, 2])
  t.strictSame(
    sessions.map(({ record }) => store.admits(record)),
    [false, true],
  )
})

await t.test('the last use of each text is kept, also when the former one has gone', async (t) => {
  const { store, path, time, first } = await withToken(t)
  const inFile = async () => JSON.parse(await readFile(path, 'utf8')).tokens[0]
  store.verify(first)
  await store.rotate('panel', { graceMs: HOUR_MS })
  t.match(await inFile(), { former: { lastUsedAt: '2026-01-01T00:00:00.000Z' }, lastUsedAt: undefined })
  time.add(60_000)
  store.verify(first)
  await store.flush()
  t.match(await inFile(), { former: { lastUsedAt: '2026-01-01T00:01:00.000Z' }, lastUsedAt: undefined })
  time.add(HOUR_MS)
  await store.flush()
  t.match(await inFile(), { former: undefined, lastUsedAt: '2026-01-01T00:01:00.000Z' })
})

await t.test('another process sees both texts, and no text is in the file', async (t) => {
  const { store, path, time, first } = await withToken(t)
  const { token } = await store.rotate('panel')
  const other = await tokenStore(t, { path, now: time.now })
  t.ok(other.store.verify(first))
  t.ok(other.store.verify(token))
  const text = await readFile(path, 'utf8')
  for (const secret of [first, token]) t.notMatch(text, secret.slice(15, 58))
})

await t.test('who takes the former text out of the file ends it', async (t) => {
  const { store, path, first } = await withToken(t)
  const { token } = await store.rotate('panel')
  const file = JSON.parse(await readFile(path, 'utf8'))
  delete file.tokens[0].former
  await writeFile(path, JSON.stringify(file))
  await until(() => store.verify(first) === null, 'its end')
  t.ok(store.verify(token))
})
