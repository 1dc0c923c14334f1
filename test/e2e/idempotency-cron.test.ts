// The methods that change crontabs, with the four questions of idempotency.test.ts, by the built agent beside a cron of
// its own. Each has a user to itself, so that none waits for the second of another's write.
import { chmodSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { type AgentClient, connect } from '../../src/client/index.ts'
import { METHODS, type MethodName } from '../../src/methods/index.ts'
import { AgentError } from '../../src/protocol/errors.ts'
import { AgentProcess } from '../fixtures/agent-process.ts'
import { CronHost, noCron } from '../fixtures/crontab.ts'
import { Supervisord } from '../fixtures/supervisord.ts'
import { until } from '../fixtures/wait.ts'

type Params = Record<string, unknown>

/** One for the calls that come to an end, and one for those that do not. */
const ROUNDS = ['whole', 'killed'] as const

/** What a row is made with: its own user, and its own entry where it needs one. */
interface Place {
  client: AgentClient
  host: CronHost
  user: string
  id: string
  round: (typeof ROUNDS)[number]
  put: (more?: Params) => Promise<void>
}

interface Row {
  /** Makes what the call needs. @returns its parameters */
  prepare: (place: Place) => Promise<Params>
  /** Another call, for the same key. */
  other: Params
  /** What a call that was cut short is told of. */
  observed: 'entries' | 'runs'
  /** It is over too soon to be cut short: the record of its outcome is taken away instead. */
  isInstant?: true
}

const FOREIGN = '1 1 * * * /bin/echo mine\n'
/** It hears no TERM. */
const DEAF = `trap '' TERM; while :; do sleep 0.1; done`
const byId = (more?: Params) => ({
  prepare: async ({ put, id }: Place) => {
    await put(more)
    return { id }
  },
  other: { id: 'another' },
  observed: 'entries' as const,
})

const ROWS: Partial<Record<MethodName, Row>> = {
  'crontab.put': {
    prepare: async ({ id, user }) => ({ entry: definition({ id, user, env: { KEY: 'a-secret-value' } }) }),
    other: { entry: definition({ id: 'another', user: 'nobody-here' }) },
    observed: 'entries',
  },
  'crontab.delete': byId(),
  'crontab.disable': byId(),
  'crontab.enable': byId({ enabled: false }),
  'crontab.eject': byId(),
  'crontab.import': {
    prepare: async ({ client, host, user }) => {
      await host.install(user, FOREIGN)
      const [line] = (await client.call('crontab.list', { user })).entries
      return { user, key: line?.key }
    },
    other: { user: 'another', key: `${'0'.repeat(16)}-1` },
    observed: 'entries',
  },
  'crontab.repair': {
    prepare: async ({ host, user, put }) => {
      await put()
      await host.install(user, String(host.spooled(user)).replace('# <<<', '# <<'))
      return { user }
    },
    other: { user: 'another' },
    observed: 'entries',
  },
  'crontab.restoreBackup': {
    prepare: async ({ client, host, user, put }) => {
      await host.install(user, FOREIGN)
      await put()
      const [copy] = (await client.call('crontab.backups', { user })).backups
      return { user, backup: copy?.backup }
    },
    other: { user: 'another', backup: '2020-01-01T00-00-00-000Z' },
    observed: 'entries',
  },
  'crontab.run': { ...byId({ command: 'exec sleep 300' }), observed: 'runs', isInstant: true },
  'crontab.kill': {
    prepare: async ({ client, put, id, round }) => {
      await put({ command: round === 'killed' ? DEAF : 'exec sleep 300' })
      return { run: (await client.call('crontab.run', { id }, { mutates: true })).run.run }
    },
    other: { run: 'another.run' },
    observed: 'runs',
  },
}
const rows = Object.entries(ROWS) as [MethodName, Row][]
const nameOf = (method: string, round: string) =>
  `${method.slice('crontab.'.length).toLowerCase()}-${round}`.slice(0, 31)

function definition(more: Params & { id: string; user: string }) {
  return { name: 'Job', schedule: '5 4 1 1 *', command: '/bin/true', ...more }
}

const failure = (call: Promise<unknown>): Promise<unknown> =>
  call.then(
    (result) => ({ succeeded: result }),
    (error: unknown) => error,
  )

await t.test('every method that changes a crontab is tried here', (t) => {
  const mutating = Object.entries(METHODS).flatMap(([name, { mutating: is }]) => (is ? [name] : []))
  t.strictSame(
    Object.keys(ROWS).toSorted(),
    mutating.filter((name) => name.startsWith('crontab.')).toSorted(),
  )
  t.end()
})

await t.test('keyed calls of crontabs', { skip: noCron() }, async (t) => {
  const names = rows.flatMap(([method]) => ROUNDS.map((round) => nameOf(method, round)))
  const host = await CronHost.start(
    t,
    names.map((name, i) => ({ name, uid: 1501 + i })),
  )
  await host.startCron()
  const place = new Supervisord({})
  t.teardown(() => rmSync(place.folder, { recursive: true, force: true, maxRetries: 5 }))
  chmodSync(place.folder, 0o755)
  const agent = new AgentProcess(place)
  const open: AgentClient[] = []
  const start = async () => {
    await agent.start({ under: host.under() })
    const client = await connect({ url: `unix://${agent.runDir}/admin.sock`, reconnect: false })
    open.push(client)
    return client
  }
  // nsenter only waits for it
  const kill = async () => {
    process.kill(Number(readFileSync(`/proc/${agent.pid}/task/${agent.pid}/children`, 'utf8')), 'SIGKILL')
    await agent.daemon.outcome
  }
  t.teardown(async () => {
    for (const client of open) await client.close()
    if (agent.isRunning) await kill()
  })
  const client = await start()
  const prepared = new Map<string, Params>()
  await Promise.all(
    rows.flatMap(([method, { prepare }]) =>
      ROUNDS.map(async (round) => {
        const name = nameOf(method, round)
        const put = async (more: Params = {}) => {
          const entry = definition({ id: name, user: name, ...more })
          await client.call('crontab.put', { entry }, { mutates: true })
        }
        prepared.set(name, await prepare({ client, host, user: name, id: name, round, put }))
      }),
    ),
  )
  const ask = (one: AgentClient, method: MethodName, round: (typeof ROUNDS)[number]) =>
    one.call(method, {
      ...prepared.get(nameOf(method, round)),
      idempotencyKey: `key-${round}-${method}`,
    }) as Promise<Params>
  const conflict = (one: AgentClient, method: MethodName, round: (typeof ROUNDS)[number]) =>
    failure(one.call(method, { ...ROWS[method]?.other, idempotencyKey: `key-${round}-${method}` }))
  const spooled = () => names.map((name) => String(host.spooled(name)))

  const firsts = new Map<MethodName, Params>()
  await t.test('calls at the same time, and another body', async (t) => {
    await Promise.all(
      rows.map(async ([method]) => {
        const answers = await Promise.all(Array.from({ length: 5 }, () => ask(client, method, 'whole')))
        const [first, ...more] = answers.filter(({ replayed }) => replayed !== true)
        t.ok(first && more.length === 0, `one ${method} ran`)
        firsts.set(method, first ?? {})
        for (const answer of answers.filter((one) => one !== first))
          t.strictSame(answer, { ...first, replayed: true })
        t.match(await conflict(client, method, 'whole'), { code: 'IDEMPOTENCY_CONFLICT' })
      }),
    )
    const { runs } = await client.call('crontab.runs', { id: nameOf('crontab.run', 'whole') })
    t.equal(runs.length, 1, 'a repeat runs nothing')
  })

  const results = join(place.folder, 'state', 'results')
  const journal = () =>
    readdirSync(results)
      .map((name) => readFileSync(join(results, name), 'utf8'))
      .join('')
  const before = spooled()
  await t.test('SIGKILL in the middle', async (t) => {
    for (const [method, { isInstant }] of rows) if (isInstant) await ask(client, method, 'killed')
    // no crontab comes to its end, and what it was given is lost
    const crontab = host.inside('/usr/local/sbin/crontab')
    const real = host.inside('/usr/local/sbin/crontab.real')
    const hold = join(host.folder, 'hold')
    renameSync(crontab, real)
    writeFileSync(hold, '')
    writeFileSync(
      crontab,
      `#!/bin/sh\n[ "$1" = -V ] && exec crontab.real -V\nwhile [ -e ${hold} ]; do sleep 0.05; done; exit 1\n`,
      { mode: 0o755 },
    )
    const lasting = rows.filter(([, { isInstant }]) => !isInstant)
    const calls = lasting.map(([method]) => failure(ask(client, method, 'killed')))
    await until(
      () => lasting.every(([method]) => journal().includes(`"key-killed-${method}"`)),
      'all calls to have begun',
    )
    await kill()
    for (const outcome of await Promise.all(calls)) t.notOk(outcome instanceof AgentError, 'nobody was told')
    rmSync(hold)
    renameSync(real, crontab)
    const instant = rows.flatMap(([method, { isInstant }]) => (isInstant ? [`key-killed-${method}`] : []))
    forgetOutcomes(results, instant)
    t.strictSame(spooled(), before, 'no crontab was written')
  })

  const again = await start()
  for (const [method, { observed }] of rows)
    await t.test(`${method}, after that`, async (t) => {
      t.strictSame(await ask(again, method, 'whole'), { ...firsts.get(method), replayed: true })
      t.match(await conflict(again, method, 'whole'), { code: 'IDEMPOTENCY_CONFLICT' })
      const cut = await failure(ask(again, method, 'killed'))
      t.match(cut, { code: 'OUTCOME_UNKNOWN', facts: { observed: { at: String } } })
      const { facts } = cut as AgentError
      t.ok(Array.isArray((facts['observed'] as Params)[observed]), JSON.stringify(facts))
      t.match(await conflict(again, method, 'killed'), { code: 'IDEMPOTENCY_CONFLICT' })
    })
  t.strictSame(spooled(), before, 'nothing was done twice, and nothing afterwards')
  const deaf = nameOf('crontab.kill', 'killed')
  const { runs } = await again.call('crontab.runs', { id: deaf })
  t.match(runs, [{ verdict: 'running' }])
})

/** As if the agent had been killed between an effect and the record of its outcome. */
function forgetOutcomes(folder: string, keys: readonly string[]): void {
  const files = readdirSync(folder).map((name) => {
    const path = join(folder, name)
    return { path, lines: readFileSync(path, 'utf8').trim().split('\n') }
  })
  const records = files.flatMap(({ lines }) => lines.map((line) => JSON.parse(line) as Params))
  const calls = records.flatMap(({ n, key }) => (keys.includes(String(key)) ? [n] : []))
  for (const { path, lines } of files) {
    const kept = lines.filter((line) => !calls.includes((JSON.parse(line) as Params)['of']))
    writeFileSync(path, kept.map((line) => `${line}\n`).join(''))
  }
}
