// Rights that end while something goes on with them: calls with a key, whose callers may have left.
import t from 'tap'
import type { TokenRecord } from '../../src/core/access/token-file.ts'
import type { Scope } from '../../src/protocol/scopes.ts'
import { rewriteToken } from '../fixtures/rewrite-token.ts'
import { supervisord } from '../fixtures/supervisord.ts'
import { until } from '../fixtures/wait.ts'
import { parts } from './support.ts'

type Assert = Pick<typeof t, 'not' | 'strictSame'>

await t.test('with a real supervisord', async (t) => {
  const host = await supervisord(t, {
    programs: {
      web: {
        command: 'sleep 300',
        numprocs: 3,
        process_name: '%(program_name)s_%(process_num)d',
        startsecs: 4,
      },
    },
  })
  const { open, store, stack, services, tokensFile } = await parts(t, { url: host.url })
  const names = [0, 1, 2].map((number) => `web:web_${number}`)
  const pids = () => names.map((name) => stack.table.get(name)?.pid)
  const allRun = () =>
    until(() => names.every((name) => stack.table.get(name)?.state === 'RUNNING'), 'all to run')
  /** What a token may do from now on, as somebody writes it into the file. */
  const rewrite = async ({ id, name }: TokenRecord, rights: { scopes?: Scope[]; programs?: string[] }) => {
    await rewriteToken(tokensFile, name, rights)
    const isInForce = () => {
      const { scopes, programs } = store.list().find((one) => one.id === id) ?? {}
      return JSON.stringify({ scopes, programs, ...rights }) === JSON.stringify({ scopes, programs })
    }
    await until(isInForce, 'the file to be in force')
  }
  /** A rolling restart, by a token of its own, with the first process stopped and started and not yet up. */
  const rolling = async (name: string, select = ['web:*']) => {
    await allRun()
    const { record } = await store.create({ name, role: 'operator' }, 'local:admin')
    const before = pids()
    const peer = open(store.toPrincipal(record))
    const params = { select, mode: 'rolling', idempotencyKey: `rolling-${name}` }
    const id = peer.ask('process.restart', params)
    const first = () => stack.table.get(names[0] ?? '')
    await until(() => first()?.state === 'STARTING' && first()?.pid !== before[0], 'the first to be starting')
    return { peer, id, params, record, before }
  }
  const restarts = async () => {
    const { records } = await services.audit.list({ limit: 1000 })
    return records.filter(({ method }) => method === 'process.restart')
  }
  const outcomeOf = async (actor: string) => {
    const own = async () => (await restarts()).find((one) => one.actor === `token:${actor}` && one.outcome)
    return (await until(own, 'the call to end')).outcome
  }
  /** What was begun is up again, and nothing else was touched. */
  const onlyFirst = async (t: Assert, before: (number | null | undefined)[]) => {
    await allRun()
    const after = pids()
    t.not(after[0], before[0], 'what was begun is finished')
    t.strictSame(after.slice(1), before.slice(1), 'nothing more was begun')
  }

  await t.test('a downgraded token: its rolling restart ends, with a row for each', async (t) => {
    const { peer, id, params, record, before } = await rolling('downgraded')
    await rewrite(record, { scopes: ['read'] })
    const { result } = await peer.answer(id)
    t.match(result, {
      results: [
        { process: 'web:web_0', ok: false, error: { name: 'FORBIDDEN', message: /goes on/ } },
        ...names.slice(1).map((process) => ({
          process,
          ok: false,
          error: { name: 'CANCELLED', message: 'left as it was: the right to process.restart has ended' },
        })),
      ],
    })
    await onlyFirst(t, before)
    t.equal(await outcomeOf('downgraded'), 'partial')
    await rewrite(record, { scopes: ['read', 'control'] })
    t.strictSame((await peer.call('process.restart', params)).result, { ...result, replayed: true })
    await onlyFirst(t, before)
  })

  await t.test('a revoked token, its caller gone: what goes on for it ends too', async (t) => {
    const { peer, before } = await rolling('revoked')
    peer.leave()
    await store.revoke('revoked')
    t.equal(await outcomeOf('revoked'), 'partial')
    await onlyFirst(t, before)
  })

  await t.test('a token that loses programs', async (t) => {
    const { peer, id, record, before } = await rolling('narrowed')
    await rewrite(record, { programs: ['db'] })
    t.match(await peer.answer(id), { result: { results: [{ error: { name: 'FORBIDDEN' } }] } })
    await onlyFirst(t, before)
  })

  await t.test('the rights of others, and what is left of the own: the call goes on', async (t) => {
    const { peer, id, record } = await rolling('kept', names.slice(0, 1))
    await store.create({ name: 'other', role: 'operator' }, 'local:admin')
    await store.revoke('other')
    await rewrite(record, { scopes: ['control'] })
    t.match(await peer.answer(id), { result: { results: [{ process: names[0], ok: true }] } })
  })
})
