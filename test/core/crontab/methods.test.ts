// Every method that changes a crontab, through the dispatcher and against a real cron: a repeat of its key gets the first
// outcome and does nothing more, another body conflicts, and what a secret is stands in no record.
import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import t from 'tap'
import { LOCAL_ADMIN } from '../../../src/core/access/local-principals.ts'
import type { EventBus } from '../../../src/core/events/bus.ts'
import { StoredEvent } from '../../../src/core/events/stored-event.ts'
import { METHODS } from '../../../src/methods/index.ts'
import { SCOPES } from '../../../src/protocol/scopes.ts'
import { CronHost, noCron } from '../../fixtures/crontab.ts'
import { failure, parts, somebody } from '../../server/support.ts'
import { definition, placesOf } from './service-harness.ts'

type Params = Record<string, unknown>

await t.test('keyed calls', { skip: noCron() }, async (t) => {
  const host = await CronHost.start(t)
  const { dispatcher, context, bus } = await parts(t, { cron: placesOf(host) })
  await host.install('alice', '1 1 * * * /bin/echo mine\n')
  const stranger = context(somebody({ scopes: new Set(SCOPES), users: ['bob'] }))
  const ask = (method: string, params: Params) => dispatcher.dispatch(method, params, context(LOCAL_ADMIN))
  const spooled = () => String(host.spooled('alice'))
  const put = { entry: definition({ id: 'job', env: { KEY: 'a-secret-value' } }) }
  const id = { id: 'job' }
  const listed = async () => (await ask('crontab.list', { user: 'alice' }))['entries'] as { key?: string }[]
  const ran = async () =>
    (await ask('crontab.runs', { id: 'hand', output: true }))['runs'] as { run: string }[]
  const rows: [string, Params | (() => Promise<Params>), Params][] = [
    ['crontab.put', put, { entry: definition({ id: 'other' }) }],
    ['crontab.disable', id, { id: 'other' }],
    ['crontab.enable', id, { id: 'other' }],
    ['crontab.eject', id, { id: 'other' }],
    [
      'crontab.import',
      async () => ({ user: 'alice', key: (await listed()).at(-1)?.key }),
      { user: 'bob', key: `${'0'.repeat(16)}-1` },
    ],
    ['crontab.repair', { user: 'alice' }, { user: 'bob' }],
    [
      'crontab.restoreBackup',
      async () => {
        const { backups } = await ask('crontab.backups', { user: 'alice' })
        return { user: 'alice', backup: (backups as { backup: string }[]).at(-1)?.backup }
      },
      { user: 'bob', backup: '2020-01-01T00-00-00-000Z' },
    ],
    ['crontab.put', { entry: definition({ id: 'job2' }) }, { entry: definition() }],
    ['crontab.delete', { id: 'job2' }, { id: 'other' }],
    // of root, who is in here and out there the same
    [
      'crontab.put',
      { entry: definition({ id: 'hand', user: 'root', command: 'echo begun; exec sleep 300' }) },
      { entry: definition() },
    ],
    ['crontab.run', { id: 'hand' }, { id: 'other' }],
    ['crontab.kill', async () => ({ run: (await ran()).at(0)?.run }), { run: 'hand.other' }],
  ]
  const mutating = Object.entries(METHODS).filter(([, { mutating: is }]) => is)
  t.strictSame(
    new Set(rows.map(([method]) => method)),
    new Set(mutating.flatMap(([name]) => (name.startsWith('crontab.') ? [name] : []))),
    'every method has its row',
  )
  for (const [n, [method, given, other]] of rows.entries()) {
    const params = typeof given === 'function' ? await given() : given
    const idempotencyKey = `key-of-row-${n}`
    const refused = { code: 'FORBIDDEN', facts: { rule: 'token.users' } }
    t.match(await failure(dispatcher.dispatch(method, { ...params, idempotencyKey }, stranger)), refused)
    const explained = await dispatcher.dispatch('policy.explain', { method, params }, stranger)
    t.match(explained, { allowed: false, rule: 'token.users' }, `${method} by a token of other users`)
    const first = await ask(method, { ...params, idempotencyKey })
    const after = spooled()
    const again = await ask(method, { ...params, idempotencyKey })
    const { replayed, ...outcome } = again
    t.equal(replayed, true, method)
    t.strictSame(outcome, first)
    t.equal(spooled(), after, 'and nothing was written')
    await t.rejects(ask(method, { ...other, idempotencyKey }), { code: 'IDEMPOTENCY_CONFLICT' })
  }
  t.match(spooled(), /1 1 \* \* \* .*mine/)
  const runs = await ran()
  t.equal(runs.length, 1, 'a repeat runs nothing')
  t.match(runs, [{ id: 'hand', byHand: true, verdict: 'failed', signal: 'SIGTERM', output: 'begun\n' }])
  const { entries } = await ask('crontab.list', { user: 'root' })
  t.match(entries, [{ id: 'hand', lastRun: { run: runs[0]?.run } }])
  const over = await ask('crontab.kill', { run: runs[0]?.run })
  t.match(over, { run: { verdict: 'failed' } }, 'one that is over is left as it is')
  const events = eventsOf(bus).filter(({ type }) => type.startsWith('crontab.'))
  t.strictSame(
    new Set(events.map(({ type }) => type)),
    new Set(['crontab.changed', 'crontab.started', 'crontab.finished']),
  )
  for (const { type, actor } of events) t.equal(actor, 'local:admin', `${type} says who caused it`)
  for (const [method, params] of [
    ['crontab.run', { id: 'nothing' }],
    ['crontab.kill', { run: 'nothing' }],
    ['crontab.runs', { id: 'nothing' }],
  ] as const)
    await t.rejects(ask(method, params), { code: 'ENTRY_NOT_FOUND' }, method)
})

await t.test('commands and variables stand in no record of a call', { skip: noCron() }, async (t) => {
  const host = await CronHost.start(t)
  const { dispatcher, context, tokensFile } = await parts(t, {
    cron: placesOf(host),
    policy: { allowRoot: true, commands: ['/bin/true'] },
  })
  const ask = (method: string, params: Params, as = context(LOCAL_ADMIN)) =>
    dispatcher.dispatch(method, params, as)
  const secrets = { command: '/bin/echo hidden-word', env: { KEY: 'a-secret-value' } }
  const entry = definition({ id: 'job', user: 'root', ...secrets })
  await ask('crontab.put', { entry, idempotencyKey: 'key-000001' })
  const panel = context(somebody({ scopes: new Set(SCOPES), users: ['*'] }))
  const denied = { code: 'POLICY_DENIED', message: /hidden-word/ }
  for (const [method, params] of [
    ['crontab.put', { entry }],
    ['crontab.plan', { entry }],
    ['crontab.enable', { id: 'job' }],
    ['crontab.run', { id: 'job' }],
  ] as const) {
    const key = METHODS[method].mutating ? { idempotencyKey: `key-of-${method}` } : {}
    t.match(await failure(ask(method, { ...params, ...key }, panel)), denied, method)
  }
  const folder = join(dirname(tokensFile), 'audit')
  const audit = readdirSync(folder)
    .map((name) => readFileSync(join(folder, name), 'utf8'))
    .join('')
  t.match(audit, 'crontab.put')
  t.match(audit, /"crontab\.run".*"rule":"policy\.commands"/)
  t.notMatch(audit, /hidden-word|a-secret-value/)
})

await t.test(
  'the last entry that a host allows is made once, and its repeat gets that',
  { skip: noCron() },
  async (t) => {
    const host = await CronHost.start(t)
    const { dispatcher, context } = await parts(t, {
      cron: placesOf(host),
      policy: { users: ['root'], allowRoot: true, maxCronEntries: 1 },
    })
    const panel = context(somebody({ scopes: new Set(['read', 'cron']), users: ['*'] }))
    const params = { entry: definition({ user: 'root' }) }
    const put = (idempotencyKey: string) =>
      dispatcher.dispatch('crontab.put', { ...params, idempotencyKey }, panel)
    const first = await put('key-of-one')
    t.strictSame(await put('key-of-one'), { ...first, replayed: true })
    const over = { code: 'POLICY_DENIED', facts: { rule: 'policy.maxCronEntries', replayed: undefined } }
    for (let n = 0; n < 2; n++) t.match(await failure(put('key-of-two')), over)
    t.match(await dispatcher.dispatch('policy.explain', { method: 'crontab.put', params }, panel), {
      allowed: false,
      rule: 'policy.maxCronEntries',
    })
    t.match(await dispatcher.dispatch('crontab.list', { user: 'root' }, panel), { entries: { length: 1 } })
    const end = { id: (first['entry'] as { id: string }).id, idempotencyKey: 'key-of-the-end' }
    await dispatcher.dispatch('crontab.delete', end, panel)
    const both = ['key-of-three', 'key-of-four'].map((key) =>
      put(key).then(
        () => 'done',
        ({ facts }: { facts: { rule: string } }) => facts.rule,
      ),
    )
    t.strictSame((await Promise.all(both)).toSorted(), ['done', 'policy.maxCronEntries'], 'at one moment too')
  },
)

/** What was told, by type and by whom. */
function eventsOf(bus: EventBus): { type: string; actor: string | undefined }[] {
  const events: { type: string; actor: string | undefined }[] = []
  for (let seq = bus.oldestSeq; seq <= bus.seq; seq++) {
    const stored = bus.at(seq)
    if (stored instanceof StoredEvent) events.push({ type: stored.type, actor: stored.event.actor })
  }
  return events
}
