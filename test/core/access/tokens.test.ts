import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmod, chown, mkdir, readdir, readFile, stat, unlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { TokenStore } from '../../../src/core/access/tokens.ts'
import { formatToken, TOKEN_PATTERN } from '../../../src/protocol/token.ts'
import { until } from '../../fixtures/wait.ts'
import { clock, folder, recorder, tokenStore, writeWithMode } from './support.ts'

const BY = 'local:admin'
const failed = (call: Promise<unknown>) =>
  call.then(
    () => null,
    (error: unknown) => error,
  )
const expiresAt = '2026-01-01T01:00:00Z'

await t.test('a created token verifies at once, in another store too', async (t) => {
  const { store, path } = await tokenStore(t)
  const { token, record } = await store.create({ name: 'panel', role: 'operator' }, BY)
  t.match(token, TOKEN_PATTERN)
  t.equal(store.verify(token)?.id, record.id)
  t.match(record, { name: 'panel', role: 'operator', scopes: ['read', 'logs', 'control'], createdBy: BY })
  t.equal((await tokenStore(t, { path })).store.verify(token)?.id, record.id)
})

await t.test('the file is 0600, has no secret in it and leaves no other file behind', async (t) => {
  const { store, path } = await tokenStore(t)
  const { token } = await store.create({ name: 'panel', role: 'viewer' }, BY)
  t.equal((await stat(path)).mode & 0o777, 0o600)
  t.notMatch(await readFile(path, 'utf8'), token.slice(15, 58))
  t.strictSame(await readdir(join(path, '..')), ['tokens.json'])
})

const defaults = [
  { it: 'a viewer', wish: { role: 'viewer' }, programs: ['*'], users: [] },
  { it: 'an admin', wish: { role: 'admin' }, programs: ['*'], users: ['*'] },
  { it: 'scopes alone', wish: { scopes: ['read', 'admin'] }, programs: ['*'], users: [] },
  {
    it: 'what was wished',
    wish: { role: 'admin', programs: ['web-*'], users: ['www-data'] },
    programs: ['web-*'],
    users: ['www-data'],
  },
] as const
for (const { it, wish, programs, users } of defaults)
  await t.test(`programs and users of ${it}`, async (t) => {
    const { store } = await tokenStore(t)
    const { record } = await store.create({ name: 'a', ...wish }, BY)
    t.strictSame({ programs: record.programs, users: record.users }, { programs, users })
  })

const refusals = [
  { it: 'a name that is taken', wish: { name: 'taken', role: 'viewer' }, path: 'name' },
  { it: 'a name with a space', wish: { name: 'a b', role: 'viewer' }, path: 'name' },
  { it: 'neither role nor scopes', wish: { name: 'a' }, path: 'role' },
  { it: 'role and scopes', wish: { name: 'a', role: 'viewer', scopes: ['read'] }, path: 'scopes' },
  { it: 'no scope at all', wish: { name: 'a', scopes: [] }, path: 'scopes' },
  { it: 'an empty glob', wish: { name: 'a', role: 'viewer', programs: [''] }, path: 'programs.0' },
  { it: 'a user with a colon', wish: { name: 'a', role: 'viewer', users: ['a:b'] }, path: 'users.0' },
  {
    it: 'an expiry in the past',
    wish: { name: 'a', role: 'viewer', expiresAt: '2020-01-01T00:00:00Z' },
    path: 'expiresAt',
  },
  {
    it: 'an expiry that is no time',
    wish: { name: 'a', role: 'viewer', expiresAt: 'tomorrow' },
    path: 'expiresAt',
  },
] as const
for (const { it, wish, path: param } of refusals)
  await t.test(`refuses ${it}`, async (t) => {
    const { store, path } = await tokenStore(t)
    await store.create({ name: 'taken', role: 'viewer' }, BY)
    const before = await readFile(path)
    await t.rejects(store.create(wish, BY), { code: 'INVALID_PARAMS', facts: { issues: [{ path: param }] } })
    t.strictSame(await readFile(path), before)
  })

await t.test('does not verify a token that is not of this host', async (t) => {
  const { store } = await tokenStore(t)
  const { token, record } = await store.create({ name: 'panel', role: 'viewer' }, BY)
  t.equal(store.verify(formatToken(record.id, 'z'.repeat(43))), null, 'wrong secret')
  t.equal(store.verify(formatToken('0123456789', token.slice(15, 58))), null, 'unknown id')
  t.equal(store.verify(`${token.slice(0, -1)}${token.endsWith('0') ? '1' : '0'}`), null, 'wrong checksum')
  t.equal(store.verify(''), null)
})

await t.test('revoking ends a token, reports it once, and frees its name', async (t) => {
  const { store, changes } = await tokenStore(t)
  const { token, record } = await store.create({ name: 'panel', role: 'viewer' }, BY)
  let verifiedWhenTold: unknown = 'not told'
  store.onChange(() => {
    verifiedWhenTold = store.verify(token)
  })
  t.ok((await store.revoke('panel')).revokedAt)
  t.equal(verifiedWhenTold, null, 'the listener sees the new set')
  t.equal(store.verify(token), null)
  await store.revoke(record.id)
  t.strictSame(changes, [[record.id]])
  await t.resolves(store.create({ name: 'panel', role: 'viewer' }, BY))
  await t.rejects(store.revoke('nobody'), { code: 'INVALID_PARAMS', facts: { issues: [{ path: 'token' }] } })
})

await t.test(
  'cascade ends what a token created and theirs, not what an earlier token of that name created',
  async (t) => {
    const time = clock()
    const { store, changes } = await tokenStore(t, { now: time.now })
    const create = async (name: string, by: string) => {
      time.add(1000)
      return (await store.create({ name, role: 'viewer' }, by)).record.id
    }
    await create('root', BY)
    await create('of-earlier-root', 'token:root')
    await store.revoke('root')
    const family = [
      await create('root', BY),
      await create('child', 'token:root'),
      await create('grandchild', 'token:child'),
    ]
    await create('stranger', 'token:other')
    changes.length = 0
    await store.revoke('root', { cascade: true })
    t.strictSame(changes, [family])
  },
)

await t.test('a token ends when it expires; the sweep reports it once', async (t) => {
  const time = clock()
  const { store, changes } = await tokenStore(t, { now: time.now })
  const { token, record } = await store.create({ name: 'panel', role: 'viewer', expiresAt }, BY)
  const principal = store.toPrincipal(record)
  time.add(3_599_999)
  store.expireSweep()
  t.ok(store.verify(token))
  t.strictSame(changes, [])
  time.add(1)
  t.equal(store.verify(token), null)
  t.equal(principal.scopes.size, 0, 'no right is left even before the sweep')
  store.expireSweep()
  store.expireSweep()
  t.strictSame(changes, [[record.id]])
})

await t.test('a principal follows its record', async (t) => {
  const { store, path, changes } = await tokenStore(t)
  const { record } = await store.create({ name: 'panel', role: 'admin' }, BY)
  const principal = store.toPrincipal(record)
  t.match(principal, {
    actor: 'token:panel',
    id: record.id,
    isRemote: true,
    isAbovePolicy: false,
    programs: ['*'],
    users: ['*'],
  })
  t.ok(principal.scopes.has('admin'))
  const file = JSON.parse(await readFile(path, 'utf8'))
  file.tokens[0] = { ...file.tokens[0], scopes: ['read'], programs: ['web-*'], users: [] }
  await writeFile(path, JSON.stringify(file))
  await until(() => changes.length > 0, 'the downgrade')
  t.strictSame([...principal.scopes], ['read'])
  t.strictSame([principal.programs, principal.users], [['web-*'], []])
  await store.revoke('panel')
  t.strictSame([[...principal.scopes], principal.programs, principal.users], [[], [], []])
})

await t.test(
  'a token removed from the file by hand is reported; so is every token when the file goes',
  async (t) => {
    const { store, path } = await tokenStore(t)
    const told: unknown[] = []
    store.onChange((changes) => void told.push(changes))
    const { record: a } = await store.create({ name: 'a', role: 'viewer' }, BY)
    const { record: b } = await store.create({ name: 'b', role: 'viewer' }, BY)
    await writeFile(path, JSON.stringify({ version: 1, tokens: [b] }))
    await until(() => told.length === 1)
    await unlink(path)
    await until(() => told.length === 2)
    t.strictSame(told, [[{ id: a.id, name: 'a', hasEnded: true }], [{ id: b.id, name: 'b', hasEnded: true }]])
  },
)

const broken = [
  {
    it: 'half-written',
    content: (text: string) => text.slice(0, text.length / 2),
    says: /tokens\.json: it ends in the middle, at line \d+; mend it, or move it away/,
  },
  { it: 'empty', content: () => '', says: /tokens\.json: it is empty; mend it/ },
  { it: 'no JSON', content: (text: string) => text.replace('[', '[,'), says: /tokens\.json: not JSON/ },
  {
    it: 'of another version',
    content: (text: string) => text.replace('"version": 1', '"version": 2'),
    says: /version/,
  },
  {
    it: 'with an unknown key',
    content: (text: string) => text.replace('"name"', '"secret": "x", "name"'),
    says: /secret/,
  },
  {
    it: 'with an unknown scope',
    content: (text: string) => text.replace('"read"', '"root"'),
    says: /scopes/,
  },
  {
    it: 'with one id twice',
    content: (text: string) => text.replace(/\{\s+"id"[^}]*\}/, '$&, $&'),
    says: /same id/,
  },
]
for (const { it, content, says } of broken)
  await t.test(`a file that becomes ${it} keeps the old set and is logged, once`, async (t) => {
    const { store, path, lines } = await tokenStore(t)
    const { token } = await store.create({ name: 'panel', role: 'viewer' }, BY)
    const whole = await readFile(path, 'utf8')
    const logged = () => lines.filter((line) => says.test(line))
    await writeFile(path, content(whole))
    await until(() => logged().length > 0, 'the log line')
    t.match(logged()[0], path)
    t.ok(store.verify(token), 'the old set is in force')
    await t.rejects(store.create({ name: 'b', role: 'viewer' }, BY), says, 'and the file is not overwritten')
    await store.stop()
    await t.rejects(new TokenStore({ path, logger: recorder().logger }).start(), says)
    t.equal(logged().length, 1)
  })

await t.test('a file that would become too large to be read is left as it is', async (t) => {
  const { store, path } = await tokenStore(t)
  const { record } = await store.create({ name: 'first', role: 'viewer' }, BY)
  const programs = Array.from({ length: 1000 }, (_, n) => `${n}-`.padEnd(64, 'x'))
  const more = Array.from({ length: 55 }, (_, n) => ({
    ...record,
    id: `wide${String(n).padStart(6, '0')}`,
    name: `wide-${n}`,
    programs,
  }))
  await writeFile(path, JSON.stringify({ version: 1, tokens: [record, ...more] }))
  const before = await readFile(path, 'utf8')
  const refused = await failed(store.create({ name: 'next', role: 'viewer' }, BY))
  t.match(refused, { code: 'INTERNAL', message: /would be larger than \d+ bytes/, facts: { begun: false } })
  t.equal(await readFile(path, 'utf8'), before)
  t.equal(store.list().length, more.length + 1, 'they stay in force')
})

await t.test('what is met after the file was written says nothing of the write', async (t) => {
  const { store, path } = await tokenStore(t)
  await store.create({ name: 'a', role: 'viewer' }, BY)
  const after = await failed(store.revoke('a', { by: 'x'.repeat(129) }))
  t.match(after, { code: 'INTERNAL', message: /revokedBy/, facts: { begun: undefined } })
  t.match(after, { abroad: /^the tokens file of the host cannot be used/ })
  t.match(await readFile(path, 'utf8'), 'revokedAt', 'it was')
  t.match(await failed(store.revoke('a')), { facts: { begun: false } }, 'what is met before it does')
})

await t.test('a revocation tells who did it, and of nothing else that it finds done', async (t) => {
  const { store, path } = await tokenStore(t)
  const told: unknown[] = []
  store.onChange((changes) => void told.push(...changes))
  const { record: a } = await store.create({ name: 'a', role: 'viewer' }, BY)
  const { record: b } = await store.create({ name: 'b', role: 'viewer' }, BY)
  const { record: c } = await store.create({ name: 'c', role: 'viewer' }, BY)
  await writeFile(path, JSON.stringify({ version: 1, tokens: [a, { ...b, scopes: ['read'] }] }))
  await store.revoke('a', { by: 'token:boss' })
  t.strictSame(told, [
    { id: b.id, name: 'b', hasEnded: false },
    { id: c.id, name: 'c', hasEnded: true },
    { id: a.id, name: 'a', hasEnded: true, actor: 'token:boss' },
  ])
})

await t.test('a repaired file is in force without a restart', async (t) => {
  const { store, path, lines } = await tokenStore(t)
  const { token } = await store.create({ name: 'panel', role: 'viewer' }, BY)
  const whole = await readFile(path, 'utf8')
  await writeFile(path, whole.slice(0, 40))
  await until(() => lines.length > 0)
  await writeFile(path, whole.replace('"panel"', '"renamed"'))
  await until(() => store.list()[0]?.name === 'renamed')
  t.ok(store.verify(token))
})

const content = JSON.stringify({ version: 1, tokens: [] })
for (const mode of [0o640, 0o604, 0o620, 0o602, 0o601])
  await t.test(`refuses a file of mode 0${mode.toString(8)}`, async (t) => {
    const path = join(await folder(t), 'tokens.json')
    await writeWithMode(path, content, mode)
    const store = new TokenStore({ path, logger: recorder().logger })
    await t.rejects(store.start(), { code: 'INTERNAL', message: /mode is 06\d\d.*chmod 600.*ls -l/ })
  })

await t.test(
  'refuses a file of a stranger',
  { skip: process.getuid?.() !== 0 && 'needs root' },
  async (t) => {
    const path = join(await folder(t), 'tokens.json')
    await writeWithMode(path, content, 0o600)
    await chown(path, 65534, 65534)
    await t.rejects(new TokenStore({ path, logger: recorder().logger }).start(), /owned by uid 65534/)
  },
)

await t.test('refuses a folder in its place', async (t) => {
  const path = join(await folder(t), 'tokens.json')
  await mkdir(path)
  await t.rejects(new TokenStore({ path, logger: recorder().logger }).start(), /not a regular file/)
})

await t.test('a corrected mode is noticed though the content is the same', async (t) => {
  const { store, path, lines } = await tokenStore(t)
  await store.create({ name: 'panel', role: 'viewer' }, BY)
  await chmod(path, 0o644)
  await until(() => lines.some((line) => line.includes('0644')))
  await chmod(path, 0o600)
  await t.resolves(until(() => store.create({ name: 'b', role: 'viewer' }, BY)))
})

await t.test('two stores in one process and two more processes lose no record', async (t) => {
  const { store: a, path } = await tokenStore(t)
  const { store: b } = await tokenStore(t, { path })
  const script = join(import.meta.dirname, 'token-writer.ts')
  const writers = ['p', 'q'].map((prefix) => {
    const child = spawn(process.execPath, [...process.execArgv, script, path, prefix, '10'], {
      stdio: 'inherit',
    })
    return once(child, 'exit')
  })
  const mine = [a, b].flatMap((store, s) =>
    Array.from({ length: 10 }, (_, i) => store.create({ name: `s${s}-${i}`, role: 'viewer' }, BY)),
  )
  await Promise.all(mine)
  t.strictSame(await Promise.all(writers), [
    [0, null],
    [0, null],
  ])
  const names = JSON.parse(await readFile(path, 'utf8')).tokens.map(({ name }: { name: string }) => name)
  t.equal(new Set(names).size, 40)
  await until(() => a.list().length === 40 && b.list().length === 40, 'both stores to see all')
})

await t.test('the time of last use is shown at once and written once a minute', async (t) => {
  const time = clock()
  const { store, path } = await tokenStore(t, { now: time.now })
  const { record } = await store.create({ name: 'panel', role: 'viewer' }, BY)
  const written = async () => JSON.parse(await readFile(path, 'utf8')).tokens[0].lastUsedAt
  store.touch(record)
  t.equal(store.list()[0]?.lastUsedAt, '2026-01-01T00:00:00.000Z')
  await store.flush()
  t.equal(await written(), undefined)
  time.add(60_000)
  await store.flush()
  t.equal(await written(), '2026-01-01T00:00:00.000Z')
  store.touch(record)
  await store.stop()
  t.equal(await written(), '2026-01-01T00:01:00.000Z', 'and when it stops')
})

await t.test('a missing file holds no tokens and is not made by reading', async (t) => {
  const { store, path } = await tokenStore(t)
  t.strictSame(store.list(), [])
  await store.stop()
  await t.rejects(stat(path), { code: 'ENOENT' })
})
