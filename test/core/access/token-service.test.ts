import { writeFile } from 'node:fs/promises'
import t from 'tap'
import { LOCAL_ADMIN } from '../../../src/core/access/local-principals.ts'
import type { Principal } from '../../../src/core/access/principal.ts'
import { TokenService } from '../../../src/core/access/token-service.ts'
import type { TokenWish } from '../../../src/core/access/token-wish.ts'
import { ROLES, SCOPES } from '../../../src/protocol/scopes.ts'
import { clock, tokenStore } from './support.ts'

const limited: Principal = {
  ...LOCAL_ADMIN,
  actor: 'token:limited',
  id: 'limited000',
  scopes: new Set(['read', 'control', 'admin']),
  programs: ['web-*', 'db'],
  users: ['www-data'],
  isAbovePolicy: false,
  isRemote: true,
}

await t.test('nobody gives away more than they have', async (t) => {
  const { store } = await tokenStore(t)
  const service = new TokenService({ store })
  const rows: { it: string; wish: Partial<TokenWish>; rule: string }[] = [
    { it: 'a scope', wish: { scopes: ['read', 'logs'] }, rule: 'token.scopes' },
    { it: 'a role with a scope', wish: { role: 'operator' }, rule: 'token.scopes' },
    { it: 'a program', wish: { scopes: ['read'], programs: ['cache'] }, rule: 'token.programs' },
    { it: 'all programs', wish: { scopes: ['read'], programs: ['*'] }, rule: 'token.programs' },
    {
      it: 'a name beside its globs',
      wish: { scopes: ['read'], programs: ['xweb-1'] },
      rule: 'token.programs',
    },
    { it: 'a wider glob', wish: { scopes: ['read'], programs: ['w*'] }, rule: 'token.programs' },
    { it: 'a user', wish: { scopes: ['read'], users: ['root'] }, rule: 'token.users' },
    { it: 'all users', wish: { scopes: ['read'], users: ['*'] }, rule: 'token.users' },
  ]
  for (const { it, wish, rule } of rows)
    await t.rejects(
      service.createFor(limited, { name: 'a', ...wish }),
      { code: 'FORBIDDEN', facts: { rule } },
      it,
    )
  t.strictSame(service.list(), [])
})

await t.test('what is not wished for comes from the creator', async (t) => {
  const { store } = await tokenStore(t)
  const service = new TokenService({ store })
  const { record } = await service.createFor(limited, { name: 'a', scopes: ['read', 'control'] })
  t.match(record, { programs: ['web-*', 'db'], users: [], createdBy: 'token:limited' })
  const narrow = { name: 'b', scopes: ['read'], programs: ['db'], users: ['www-data'] } as const
  t.match((await service.createFor(limited, narrow)).record, { programs: ['db'], users: ['www-data'] })
  const named = { name: 'c', scopes: ['read'], programs: ['web-1'] } as const
  t.match((await service.createFor(limited, named)).record, { programs: ['web-1'] }, 'a name within a glob')
})

await t.test('the administrator of the host gives what it likes', async (t) => {
  const { store } = await tokenStore(t)
  const service = new TokenService({ store })
  for (const role of ['viewer', 'operator', 'deployer', 'admin'] as const) {
    const { record } = await service.createFor(LOCAL_ADMIN, { name: role, role })
    t.match(record, { scopes: ROLES[role], programs: ['*'], users: role === 'admin' ? ['*'] : [] })
  }
  const { record } = await service.createFor(LOCAL_ADMIN, { name: 'x', scopes: SCOPES, users: ['root'] })
  t.match(record, { users: ['root'] })
})

await t.test('a token does not outlive its creator', async (t) => {
  const time = clock()
  const { store } = await tokenStore(t, { now: time.now })
  const service = new TokenService({ store })
  const expiresAt = '2026-02-01T00:00:00Z'
  const { record } = await store.create({ name: 'parent', role: 'admin', expiresAt }, 'local:admin')
  const parent = store.toPrincipal(record)
  await t.rejects(
    service.createFor(parent, { name: 'a', role: 'viewer', expiresAt: '2026-02-01T00:00:01Z' }),
    {
      code: 'FORBIDDEN',
      facts: { rule: 'token.expiresAt' },
    },
  )
  t.equal((await service.createFor(parent, { name: 'b', role: 'viewer' })).record.expiresAt, expiresAt)
  const earlier = '2026-01-15T00:00:00Z'
  const own = await service.createFor(parent, { name: 'c', role: 'viewer', expiresAt: earlier })
  t.equal(own.record.expiresAt, earlier)
})

await t.test('a creator that was revoked gives nothing any more', async (t) => {
  const { store } = await tokenStore(t)
  const service = new TokenService({ store })
  const { record } = await store.create({ name: 'parent', role: 'admin' }, 'local:admin')
  const parent = store.toPrincipal(record)
  await store.revoke('parent')
  await t.rejects(service.createFor(parent, { name: 'a', role: 'viewer' }), { code: 'FORBIDDEN' })
})

await t.test('a creator that the file has just narrowed gives what it has left, seen or not', async (t) => {
  const { store, path } = await tokenStore(t)
  const service = new TokenService({ store })
  const { record } = await store.create({ name: 'parent', role: 'admin' }, 'local:admin')
  const parent = store.toPrincipal(record)
  const narrow = { ...record, programs: ['web'], users: [], expiresAt: '2099-01-01T00:00:00Z' }
  await writeFile(path, JSON.stringify({ version: 1, tokens: [narrow] }))
  const { record: child } = await service.createFor(parent, { name: 'child', role: 'viewer' })
  t.match(child, {
    programs: ['web'],
    expiresAt: narrow.expiresAt,
    createdBy: 'token:parent',
    creatorId: record.id,
  })
  await writeFile(path, JSON.stringify({ version: 1, tokens: [] }))
  await t.rejects(service.createFor(parent, { name: 'late', role: 'viewer' }), { code: 'FORBIDDEN' })
})

await t.test('who rotates its own token has time to get the answer', async (t) => {
  const { store } = await tokenStore(t)
  const service = new TokenService({ store })
  const { token } = await store.create({ name: 'boss', role: 'admin' }, 'local:admin')
  const session = store.verify(token)
  if (!session) throw new Error('it is good')
  const mine = await service.rotateFor(store.toPrincipal(session), 'boss', { graceMs: 0 })
  t.ok(store.admits(session))
  t.match(mine.record, { former: { endsAt: String }, lastUsedAt: String })
  t.ok(Date.parse(mine.record.former?.endsAt ?? '') - Date.now() <= 10_000)
  await service.rotateFor(LOCAL_ADMIN, 'boss', { graceMs: 0 })
  t.notOk(store.admits(session), 'others end it at once')
})

await t.test('revoking takes those it created along when told to', async (t) => {
  const { store } = await tokenStore(t)
  const service = new TokenService({ store })
  const parent = store.toPrincipal(
    (await store.create({ name: 'parent', role: 'admin' }, 'local:admin')).record,
  )
  await service.createFor(parent, { name: 'child', role: 'viewer' })
  const ended = () => service.list().flatMap(({ name, revokedAt }) => (revokedAt ? [name] : []))
  t.match(await service.revoke('parent'), { name: 'parent', revokedAt: String })
  t.strictSame(ended(), ['parent'])
  await service.revoke('parent', { cascade: true })
  t.strictSame(ended().toSorted(), ['child', 'parent'])
  await t.rejects(service.revoke('nobody'), { code: 'INVALID_PARAMS' })
})

await t.test('no hash leaves', async (t) => {
  const { store } = await tokenStore(t)
  const service = new TokenService({ store })
  const made = await service.createFor(LOCAL_ADMIN, { name: 'a', role: 'viewer' })
  const again = await service.rotateFor(LOCAL_ADMIN, 'a')
  for (const shown of [made.record, again.record, service.list(), await service.revoke('a')])
    t.notMatch(JSON.stringify(shown), 'hash')
})
