import { existsSync, writeFileSync } from 'node:fs'
import { readFile, rename, unlink, writeFile } from 'node:fs/promises'
import t from 'tap'
import { withFileLock } from '../../../src/core/access/file-lock.ts'
import { until } from '../../fixtures/wait.ts'
import { clock, tokenStore } from './support.ts'

const BY = 'local:admin'
const expiresAt = '2026-01-01T01:00:00Z'
const DAY_MS = 24 * 3_600_000

await t.test('a file that is away for a moment, as editors do, ends nothing', async (t) => {
  const { store, path, changes } = await tokenStore(t)
  const { token, record } = await store.create({ name: 'panel', role: 'viewer' }, BY)
  const whole = await readFile(path)
  await unlink(path)
  const creating = store.create({ name: 'b', role: 'viewer' }, BY)
  await until(() => existsSync(`${path}.lock`), 'the store to look')
  writeFileSync(path, whole, { mode: 0o600 })
  await creating
  t.strictSame(
    store.list().map(({ name }) => name),
    ['panel', 'b'],
  )
  t.equal(store.verify(token)?.id, record.id)
  t.strictSame(changes, [])
})

await t.test('a file that stays broken is logged once, whatever is tried meanwhile', async (t) => {
  const time = clock()
  const { store, path, lines, changes } = await tokenStore(t, { now: time.now })
  const { token } = await store.create({ name: 'panel', role: 'viewer' }, BY)
  for (const hour of [1, 2, 3, 4])
    await store.create({ name: `h${hour}`, role: 'viewer', expiresAt: `2026-01-01T0${hour}:00:00Z` }, BY)
  const whole = await readFile(path, 'utf8')
  const logged = (text: string) => lines.filter((line) => line.includes(text))
  for (const looks of [1, 2, 3, 4]) {
    await writeFile(`${path}.new`, whole.slice(0, 5 + looks), { mode: 0o600 })
    await rename(`${path}.new`, path)
    store.verify(token)
    time.add(3_600_000)
    await until(() => changes.length === looks, 'one more look')
    await t.rejects(store.flush(), /ends in the middle/)
  }
  await writeFile(path, whole)
  await until(() => logged('in use again').length > 0, 'the good news')
  t.equal(logged('ends in the middle').length, 1)
  t.ok(store.verify(token))
})

await t.test('an agent stops in time although somebody else holds the file', async (t) => {
  const { store, path } = await tokenStore(t)
  const { token } = await store.create({ name: 'panel', role: 'viewer' }, BY)
  store.verify(token)
  const whole = await readFile(path, 'utf8')
  await withFileLock(`${path}.lock`, async () => {
    const waiting = [store.create({ name: 'b', role: 'viewer' }, BY), store.revoke('panel')]
    const ends = Promise.allSettled(waiting)
    const startedAt = performance.now()
    await store.stop()
    t.ok(performance.now() - startedAt < 5_000, 'not the ten seconds of a lock')
    const ended = { status: 'rejected', reason: { code: 'SHUTTING_DOWN', facts: { begun: false } } }
    t.match(await ends, [ended, ended])
  })
  t.equal(await readFile(path, 'utf8'), whole)
})

await t.test('an agent stops in order although the file is broken', async (t) => {
  const { store, path } = await tokenStore(t)
  const { token } = await store.create({ name: 'panel', role: 'viewer' }, BY)
  store.verify(token)
  await writeFile(path, '{')
  await t.resolves(store.stop())
  t.equal(await readFile(path, 'utf8'), '{')
})

await t.test(
  'what ended is kept for a month, as long as anything of it can live, and then left out',
  async (t) => {
    const time = clock()
    const { store, path } = await tokenStore(t, { now: time.now })
    const names = async () =>
      JSON.parse(await readFile(path, 'utf8')).tokens.map(({ name }: { name: string }) => name)
    await store.create({ name: 'revoked', role: 'viewer' }, BY)
    await store.create({ name: 'expired', role: 'viewer', expiresAt }, BY)
    await store.create({ name: 'lasting', role: 'viewer' }, BY)
    await store.revoke('revoked')
    time.add(30 * DAY_MS)
    await store.flush()
    t.strictSame(await names(), ['revoked', 'expired', 'lasting'])
    time.add(1)
    time.add(60_000)
    await store.flush()
    t.strictSame(await names(), ['expired', 'lasting'], 'without anybody writing')
    time.add(DAY_MS)
    await store.create({ name: 'new', role: 'viewer' }, BY)
    t.strictSame(await names(), ['lasting', 'new'])
  },
)

await t.test(
  'an ended token stays as long as those that come from it, so that a cascade reaches them',
  async (t) => {
    const time = clock()
    const { store } = await tokenStore(t, { now: time.now })
    const root = await store.create({ name: 'root', role: 'admin' }, BY)
    const middle = await store.create({ name: 'middle', role: 'admin' }, 'token:root', root.record.id)
    const leaf = await store.create({ name: 'leaf', role: 'viewer' }, 'token:middle', middle.record.id)
    await store.revoke('middle')
    time.add(100 * DAY_MS)
    await store.flush()
    t.strictSame(
      store.list().map(({ name }) => name),
      ['root', 'middle', 'leaf'],
    )
    await store.revoke('root', { cascade: true })
    t.equal(store.verify(leaf.token), null)
  },
)

await t.test('a cascade takes what that very token created, not what another of its name did', async (t) => {
  const { store } = await tokenStore(t)
  const first = await store.create({ name: 'boss', role: 'admin' }, BY)
  await store.revoke('boss')
  const second = await store.create({ name: 'boss', role: 'admin' }, BY)
  const child = await store.create({ name: 'child', role: 'viewer' }, 'token:boss', second.record.id)
  await store.revoke(first.record.id, { cascade: true })
  t.ok(store.verify(child.token))
  await store.revoke(second.record.id, { cascade: true })
  t.equal(store.verify(child.token), null)
})
