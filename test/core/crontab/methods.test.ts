// Every method that changes a crontab, through the dispatcher and against a real cron: a repeat of its key gets the first
// outcome and does nothing more, another body conflicts, and what a secret is stands in no record.
import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import t from 'tap'
import { LOCAL_ADMIN } from '../../../src/core/access/local-principals.ts'
import { METHODS } from '../../../src/methods/index.ts'
import { CronHost, noCron } from '../../fixtures/crontab.ts'
import { parts } from '../../server/support.ts'
import { definition, placesOf } from './service-harness.ts'

type Params = Record<string, unknown>

await t.test('keyed calls', { skip: noCron() }, async (t) => {
  const host = await CronHost.start(t)
  const { dispatcher, context } = await parts(t, { cron: placesOf(host) })
  await host.install('alice', '1 1 * * * /bin/echo mine\n')
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
  for (const [method, params] of [
    ['crontab.run', { id: 'nothing' }],
    ['crontab.kill', { run: 'nothing' }],
    ['crontab.runs', { id: 'nothing' }],
  ] as const)
    await t.rejects(ask(method, params), { code: 'ENTRY_NOT_FOUND' }, method)
})

await t.test('commands and variables stand in no record of a call', { skip: noCron() }, async (t) => {
  const host = await CronHost.start(t)
  const { dispatcher, context, tokensFile } = await parts(t, { cron: placesOf(host) })
  const entry = definition({ command: '/bin/echo hidden-word', env: { KEY: 'a-secret-value' } })
  await dispatcher.dispatch('crontab.put', { entry, idempotencyKey: 'key-000001' }, context(LOCAL_ADMIN))
  const folder = join(dirname(tokensFile), 'audit')
  const audit = readdirSync(folder)
    .map((name) => readFileSync(join(folder, name), 'utf8'))
    .join('')
  t.match(audit, 'crontab.put')
  t.notMatch(audit, /hidden-word|a-secret-value/)
})
