// supervisor.update by somebody who is bound by policy: files that others wrote are judged as supervisord reads them.
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { LOCAL_ADMIN } from '../../src/core/access/local-principals.ts'
import type { Principal } from '../../src/core/access/principal.ts'
import { SCOPES } from '../../src/protocol/scopes.ts'
import { supervisord } from '../fixtures/supervisord.ts'
import { until } from '../fixtures/wait.ts'
import { parts, somebody } from './support.ts'

const UID = process.getuid?.() ?? 0
const MY_USER = String(UID)

await t.test('groups are applied within the rights of the token and the policy', async (t) => {
  const host = await supervisord(t, { programs: { web: { command: 'sleep 300' } } })
  const logs = join(host.folder, 'judged')
  mkdirSync(logs)
  const policy = { allowRoot: UID === 0, users: UID === 0 ? [] : [MY_USER], logDirectories: [logs] }
  const { dispatcher, context, stack } = await parts(t, { url: host.url, policy })
  await until(() => stack.table.get('web'), 'web to be known')
  let keys = 0
  const update = (groups: string[] | undefined, who: Principal) => {
    const idempotencyKey = `update-${++keys}-key`
    return dispatcher.dispatch(
      'supervisor.update',
      { ...(groups ? { groups } : {}), idempotencyKey },
      context(who),
    )
  }
  const token = somebody({ scopes: new Set(SCOPES), users: ['*'] })
  const good = { command: 'sleep 300', stdout_logfile: join(logs, 'a.log'), stderr_logfile: 'NONE' }
  const before = host.children()

  await t.test('a program that may run is started', async (t) => {
    host.writeProgram('good', good)
    t.match(await update(['good'], token), { added: ['good'] })
    await until(() => stack.table.get('good')?.pid, 'good to run')
  })

  const rows = [
    { it: 'a log elsewhere', keys: { stdout_logfile: '/etc/agent-test-log' }, rule: 'policy.logDirectories' },
    {
      it: 'a log wherever supervisord likes',
      keys: { stdout_logfile: 'AUTO' },
      rule: 'policy.logDirectories',
    },
    { it: 'another user', keys: { user: 'daemon' }, rule: 'policy.users', skip: UID !== 0 },
  ]
  for (const { it, keys: more, rule, skip = false } of rows)
    await t.test(`${it} is refused, and nothing is touched`, { skip }, async (t) => {
      const children = host.children()
      host.writeProgram('bad', { ...good, ...more })
      host.writeProgram('good', { ...good, priority: 5 + keys })
      await t.rejects(update(['good', 'bad'], token), {
        code: 'POLICY_DENIED',
        message: /^bad: /,
        facts: { rule },
      })
      t.strictSame(host.children(), children)
      t.equal(stack.table.get('bad'), undefined)
    })

  await t.test('the user that it runs as must be one of the token', async (t) => {
    host.writeProgram('bad', good)
    await t.rejects(update(['bad'], { ...token, users: [] }), {
      code: 'FORBIDDEN',
      facts: { rule: 'token.users' },
    })
  })

  await t.test('programs outside the token are refused before and after the files are read', async (t) => {
    const narrow = { ...token, programs: ['bad', 'box'] }
    await t.rejects(update(['web'], narrow), { code: 'FORBIDDEN', facts: { rule: 'token.programs' } })
    host.writeProgram('group:box', { programs: 'bad,hidden' })
    host.writeProgram('hidden', good)
    await t.rejects(update(['box'], narrow), { code: 'FORBIDDEN', facts: { rule: 'token.programs' } })
    t.match(await update(['box'], { ...token, programs: ['bad', 'hidden', 'box'] }), { added: ['box'] })
  })

  await t.test(
    'without groups it is for admin.sock, which is told what the policy denies to others',
    async (t) => {
      await t.rejects(update(undefined, token), { code: 'INVALID_PARAMS' })
      host.writeProgram('loose', { command: 'sleep 300', stdout_logfile: join(host.folder, 'loose.log') })
      const result = await update(undefined, LOCAL_ADMIN)
      t.ok((result['added'] as string[]).includes('loose'))
      t.match(result['warnings'], [/^policy\.logDirectories: loose: .*lies in none of the roots/])
    },
  )
  t.ok(
    before.every((pid) => host.children().includes(pid)),
    'web was left alone',
  )
})
