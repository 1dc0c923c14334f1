import t from 'tap'
import type * as z from 'zod'
import { LOCAL_ADMIN } from '../../src/core/access/local-principals.ts'
import { METHODS } from '../../src/methods/index.ts'
import type { MethodSpec } from '../../src/protocol/method.ts'
import { SCOPES, type Scope } from '../../src/protocol/scopes.ts'
import { failure, parts, somebody } from './support.ts'

type AnyMethod = MethodSpec<z.ZodObject, z.ZodObject, never>
const methods = Object.entries(METHODS) as unknown as [string, AnyMethod][]
const all = () => somebody({ scopes: new Set(SCOPES) })

let made = 0
const key = () => ({ idempotencyKey: `key-${String(++made).padStart(6, '0')}` })
/** The method's example as a call with a key of its own. */
const call = (method: AnyMethod) => ({ ...method.example.params, ...(method.mutating ? key() : {}) })

await t.test('the order of judgement', async (t) => {
  const open = await parts(t)
  const readOnly = await parts(t, { policy: { readOnly: true } })
  const select = { select: ['worker:*'] }
  const rows = [
    {
      it: 'method before scope',
      on: open,
      scopes: [],
      method: 'no.such',
      params: { x: 1 },
      code: 'METHOD_NOT_FOUND',
    },
    {
      it: 'scope before parameters',
      on: open,
      scopes: ['read'],
      method: 'process.stop',
      params: { x: 1 },
      code: 'FORBIDDEN',
    },
    {
      it: 'scope before policy',
      on: readOnly,
      scopes: ['read'],
      method: 'process.stop',
      params: { ...select, ...key() },
      code: 'FORBIDDEN',
    },
    {
      it: 'parameters before policy',
      on: readOnly,
      scopes: ['control'],
      method: 'process.stop',
      params: { x: 1 },
      code: 'INVALID_PARAMS',
    },
    {
      it: 'the lack of a key before policy',
      on: readOnly,
      scopes: ['control'],
      method: 'process.stop',
      params: select,
      code: 'INVALID_PARAMS',
    },
    {
      it: 'policy before the effect',
      on: readOnly,
      scopes: ['control'],
      method: 'process.stop',
      params: { ...select, ...key() },
      code: 'POLICY_DENIED',
    },
    {
      it: 'the effect last',
      on: open,
      scopes: ['control'],
      method: 'process.stop',
      params: { ...select, ...key() },
      code: 'SUPERVISOR_UNREACHABLE',
    },
  ] as const
  for (const { it, on, scopes, method, params, code } of rows)
    await t.test(it, async (t) => {
      const principal = somebody({ scopes: new Set<Scope>(scopes) })
      t.match(await failure(on.dispatcher.dispatch(method, params, on.context(principal))), { code })
    })
})

await t.test(
  'every method with every single scope: allowed exactly when it has the one it needs',
  async (t) => {
    const { dispatcher, context } = await parts(t)
    for (const [name, method] of methods)
      for (const scope of [...SCOPES, null]) {
        const principal = somebody({ scopes: new Set(scope === null ? [] : [scope]) })
        const outcome = await dispatcher
          .dispatch(name, call(method), context(principal))
          .catch((error) => error)
        const isAllowed = !(outcome.code === 'FORBIDDEN' && outcome.facts.rule === 'scope')
        t.equal(
          isAllowed,
          method.scope === 'any' || method.scope === scope,
          `${name} with ${scope ?? 'none'}`,
        )
        if (!isAllowed) t.equal(outcome.facts.scope, method.scope, 'the error names the scope')
      }
  },
)

await t.test('a read-only host refuses every method that changes something, and no other', async (t) => {
  const { dispatcher, context } = await parts(t, { policy: { readOnly: true, allowRemoteTokens: true } })
  for (const [name, method] of methods)
    for (const isRemote of [true, false]) {
      const principal = { ...all(), users: ['*'], isRemote }
      const outcome = await dispatcher
        .dispatch(name, call(method), context(principal))
        .catch((error) => error)
      // what is for admin.sock alone says that first, as a right that the caller lacks
      const rule = name === 'program.quarantine' ? 'admin.sock' : 'policy.readOnly'
      const isRefused = outcome.facts?.rule === rule
      t.equal(isRefused, method.mutating, `${name} ${isRemote ? 'over TCP' : 'on agent.sock'}`)
    }
  const { token } = await dispatcher.dispatch(
    'token.create',
    { name: 'a', role: 'viewer' },
    context(LOCAL_ADMIN),
  )
  t.match(token, /^agt_/, 'admin.sock stands above policy')
})

await t.test('an idempotency key', async (t) => {
  const { dispatcher, context, store } = await parts(t, { policy: { allowRemoteTokens: true } })
  const ask = (method: string, params: Record<string, unknown>, who = all()) =>
    dispatcher.dispatch(method, params, context(who))

  await t.test('is needed over TCP for every method that changes something', async (t) => {
    for (const [name, method] of methods.filter(([, { mutating }]) => mutating))
      t.match(
        await failure(ask(name, { ...method.example.params })),
        { code: 'INVALID_PARAMS', facts: { issues: [{ path: 'idempotencyKey' }] } },
        name,
      )
    t.strictSame(store.list(), [], 'nothing was done')
  })

  await t.test('is not needed on a local socket', async (t) => {
    const { record } = await ask(
      'token.create',
      { name: 'local', role: 'viewer' },
      { ...all(), isRemote: false },
    )
    t.match(record, { name: 'local' })
  })

  await t.test('gives the first outcome again, marked, without its secret', async (t) => {
    const wish = { name: 'once', role: 'viewer', ...key() }
    const first = await ask('token.create', wish)
    t.match(first, { token: /^agt_/, replayed: undefined })
    t.strictSame(await ask('token.create', wish), { ...first, token: null, replayed: true })
    t.strictSame(await ask('token.create', { ...wish }), { ...first, token: null, replayed: true })
    t.equal(store.list().filter(({ name }) => name === 'once').length, 1)
  })

  await t.test('runs calls at the same time once', async (t) => {
    const wish = { name: 'many', role: 'viewer', ...key() }
    const answers = await Promise.all(Array.from({ length: 20 }, () => ask('token.create', wish)))
    t.equal(answers.filter(({ replayed }) => replayed !== true).length, 1)
    t.equal(answers.filter(({ token }) => token !== null).length, 1)
    t.equal(store.list().filter(({ name }) => name === 'many').length, 1)
  })

  await t.test('may come with the fields in another order and defaults written out', async (t) => {
    const own = key()
    await ask('token.revoke', { token: 'many', ...own })
    t.match(await ask('token.revoke', { ...own, cascade: false, token: 'many' }), { replayed: true })
  })

  await t.test('conflicts with another body or another method', async (t) => {
    const own = key()
    await ask('token.create', { name: 'body', role: 'viewer', ...own })
    const others = [
      ['token.create', { name: 'body', role: 'operator', ...own }],
      ['token.create', { name: 'other', role: 'viewer', ...own }],
      ['token.revoke', { token: 'body', ...own }],
    ] as const
    for (const [method, params] of others)
      t.match(await failure(ask(method, params)), { code: 'IDEMPOTENCY_CONFLICT' })
    t.ok(store.list().find(({ name }) => name === 'body')?.revokedAt === undefined)
  })

  await t.test('belongs to its owner', async (t) => {
    const own = key()
    await ask('token.create', { name: 'mine', role: 'viewer', ...own })
    const theirs = await ask(
      'token.create',
      { name: 'theirs', role: 'viewer', ...own },
      { ...all(), id: 'else' },
    )
    t.match(theirs, { token: /^agt_/ })
  })

  await t.test('is free again after a refusal', async (t) => {
    const own = key()
    const entry = { name: 'job', user: 'nobody', schedule: '0 4 * * *', command: 'true' }
    t.match(await failure(ask('token.create', { name: 'mine', role: 'viewer', ...own })), {
      code: 'INVALID_PARAMS',
    })
    const unreachable = { select: ['worker'], ...own }
    t.match(await failure(ask('process.start', unreachable)), { code: 'SUPERVISOR_UNREACHABLE' })
    t.match(
      await failure(
        ask('token.create', { name: 'x', role: 'viewer', ...own }, somebody({ scopes: new Set(['admin']) })),
      ),
      {
        code: 'FORBIDDEN',
        facts: { rule: 'token.scopes' },
      },
    )
    for (const [method, params, code] of [
      ['crontab.delete', { id: 'nothing' }, 'ENTRY_NOT_FOUND'],
      ['crontab.put', { entry: { ...entry, command: 'true\r' } }, 'ENTRY_INVALID'],
      ['crontab.put', { entry }, 'CRON_UNAVAILABLE'],
    ] as const)
      for (let n = 0; n < 2; n++)
        t.match(await failure(ask(method, { ...params, ...own }, { ...all(), users: ['*'] })), {
          code,
          facts: { replayed: undefined },
        })
    const { token } = await ask('token.create', { name: 'mine-2', role: 'viewer', ...own })
    t.match(token, /^agt_/)
  })
})

await t.test('a result outside its schema says INTERNAL and nothing more', async (t) => {
  const { open, lines } = await parts(t, { agent: { startedAt: 'the third of May' } })
  const { error } = await open().call('agent.info')
  t.strictSame(error, {
    code: -32603,
    message: 'internal error; the agent log has the detail',
    data: { name: 'INTERNAL', retry: true },
  })
  t.match(lines.join(''), /agent\.info.*startedAt/s, 'the log names the method and the field')
})

await t.test('a defect in a service says INTERNAL and nothing more', async (t) => {
  const fail = () => {
    throw new TypeError('/etc/secret/path is not iterable')
  }
  const { open, lines } = await parts(t, { agent: { listen: fail } })
  const peer = open()
  const { error } = await peer.call('agent.info')
  t.equal(error?.code, -32603)
  t.notMatch(JSON.stringify(peer.frames), 'secret')
  t.match(lines.join(''), 'secret/path')
  t.match(await peer.call('process.list'), { result: {} }, 'the session goes on')
})
