// Every method that changes something, each with the same four questions: does a repeat after a restart of the agent
// get the first outcome, does another body conflict, do calls at the same time share one run, and what does a call say
// that SIGKILL cut short.
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { userInfo } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { type AgentClient, type AgentEvent, connect } from '../../src/client/index.ts'
import { withFileLock } from '../../src/core/access/file-lock.ts'
import { METHODS, type MethodName } from '../../src/methods/index.ts'
import { AgentError } from '../../src/protocol/errors.ts'
import { type AgentProcess, agentProcess } from '../fixtures/agent-process.ts'
import { type Settings, type Supervisord, supervisord } from '../fixtures/supervisord.ts'
import { until } from '../fixtures/wait.ts'
import { watchedEvents } from '../fixtures/watched-events.ts'
import { found, ROWS, type Row, sleeper } from './idempotency-rows.ts'

type Params = Record<string, unknown>

const rows = Object.entries(ROWS) as [MethodName, Row][]

const CONFIG =
  'allowRemoteTokens: true, allowStdin: true, allowSupervisorShutdown: true, allowRemoteProgram: true'
const PROGRAMS = {
  web: { command: 'sleep 300', startsecs: 0 },
  echo: { command: 'cat', startsecs: 0 },
  hand: { command: '/bin/sleep 600', startsecs: 0 },
}
/** It hears no SIGTERM. */
const SLOW = {
  slow: { command: `sh -c "trap '' TERM; while :; do sleep 0.1; done"`, stopwaitsecs: 300, startsecs: 0 },
}

interface Scope {
  teardown(task: () => unknown): void
}

class Host {
  readonly host: Supervisord
  readonly agent: AgentProcess
  #token = ''
  #open: AgentClient[] = []

  constructor(host: Supervisord, agent: AgentProcess) {
    this.host = host
    this.agent = agent
  }

  async prepare(): Promise<this> {
    const { stdout } = await this.agent.run('token', 'create', 'panel', '--role', 'admin')
    this.#token = stdout.trim()
    for (const name of ['first', 'second']) await this.agent.run('token', 'create', name, '--role', 'viewer')
    return this
  }

  /** As the panel's token, or on admin.sock, of the agent that runs now. */
  async client(isLocal = false): Promise<AgentClient> {
    const url = isLocal ? this.adminUrl : await this.agent.address()
    const client = await connect({ url, reconnect: false, ...(isLocal ? {} : { token: this.#token }) })
    this.#open.push(client)
    return client
  }

  get adminUrl(): string {
    return `unix://${join(this.agent.runDir, 'admin.sock')}`
  }

  get results(): string {
    return join(this.host.folder, 'state', 'results')
  }

  journal(): string {
    return readdirSync(this.results)
      .toSorted()
      .map((name) => readFileSync(join(this.results, name), 'utf8'))
      .join('')
  }

  async closeAll(): Promise<void> {
    for (const client of this.#open.splice(0)) await client.close()
  }
}

async function started(t: Scope, programs: Record<string, Settings> = PROGRAMS): Promise<Host> {
  const host = await supervisord(t, { programs })
  found.blocking = join(host.programDir, 'blocking.conf')
  const config = `policy: { ${CONFIG}, logDirectories: ['${host.logDir}'], users: ['${userInfo().username}'], allowRoot: true }\n`
  const agent = await agentProcess(t, host, { config })
  const made = await new Host(host, agent).prepare()
  t.teardown(() => made.closeAll())
  return made
}

/** The programs that the rows are about. */
async function putPrograms(local: AgentClient): Promise<void> {
  const put = (name: string, more?: object) =>
    local.call('program.put', sleeper(name, more), { mutates: true })
  for (const name of ['p-put', 'p-delete', 'p-scale', 'p-disable']) await put(name)
  await put('p-enable', { autostart: false })
  found.revision = (await put('p-restore')).program.revision
  await put('p-restore', { command: '/bin/sleep 601' })
}

const keyOf = (method: string) => `the-key-of-${method}`
const failure = (call: Promise<unknown>): Promise<unknown> =>
  call.then(
    (result) => ({ succeeded: result }),
    (error: unknown) => error,
  )

await t.test('every method that changes something is tried here', (t) => {
  const mutating = Object.entries(METHODS).flatMap(([name, { mutating: is }]) => (is ? [name] : []))
  // those of crontabs need a cron of their own: idempotency-cron.test.ts
  const here = mutating.filter((name) => !name.startsWith('crontab.'))
  t.strictSame(Object.keys(ROWS).toSorted(), here.toSorted())
  t.end()
})

await t.test('calls at the same time, another body, and a repeat after a restart', async (t) => {
  const made = await started(t)
  const { agent } = made
  const remote = await made.client()
  const local = await made.client(true)
  const firsts = new Map<MethodName, Params>()
  const seen = watchedEvents(local)
  await putPrograms(local)
  const isUp = async () => (await local.call('supervisor.info', {})).state === 'running'
  for (const [method, { params, other, before, prepare, isLocal }] of rows)
    await t.test(method, async (t) => {
      await until(isUp, 'supervisord')
      const client = isLocal ? local : remote
      if (before) await client.call(before[0], before[1], { mutates: true })
      prepare?.()
      const key = { idempotencyKey: keyOf(method) }
      const answers = await Promise.all(
        Array.from({ length: 5 }, () => client.call(method, { ...params, ...key }) as Promise<Params>),
      )
      const [first, ...more] = answers.filter(({ replayed }) => replayed !== true)
      t.ok(first && more.length === 0, 'one of them ran')
      firsts.set(method, first ?? {})
      const secrets = Object.fromEntries((METHODS[method].secretResults ?? []).map((name) => [name, null]))
      for (const answer of answers.filter((one) => one !== first))
        t.strictSame(answer, { ...first, ...secrets, replayed: true })
      // with no parameters there is no other body, but another method
      const conflict = Object.keys(other).length > 0 ? method : 'process.signal'
      const body = Object.keys(other).length > 0 ? other : { select: ['web'], signal: 'CONT' }
      t.match(await failure(client.call(conflict, { ...body, ...key })), { code: 'IDEMPOTENCY_CONFLICT' })
    })
  const isEnd = (one: AgentEvent) => one.type === 'supervisor.state' && one.payload.state === 'unreachable'
  await until(() => seen.findLastIndex(isEnd) === seen.length - 1, 'the last event')
  await t.test('every event that a call caused says whose it was', (t) => {
    t.strictSame(
      seen.filter(({ actor }) => actor === undefined),
      [],
    )
    for (const [method, { params, causes, isLocal }] of rows)
      for (const type of causes) {
        const { name, definition } = params as { name?: string; definition?: { name: string } }
        const program = name ?? definition?.name
        const isOf = (one: AgentEvent) =>
          one.type === type &&
          (program === undefined || ('program' in one.payload && one.payload.program === program))
        const actor = isLocal ? 'local:admin' : 'token:panel'
        t.ok(
          seen.some((one) => isOf(one) && one.actor === actor),
          `${method}: ${type}`,
        )
      }
    t.end()
  })
  const tokens = async (client: AgentClient) => (await client.call('token.list', {})).tokens
  const before = await tokens(local)
  await made.closeAll()
  t.equal((await agent.stop()).code, 0)
  t.notMatch(made.journal(), /agt_[0-9A-Za-z]{10}_/, 'no token is kept')
  await agent.start()
  const again = { remote: await made.client(), local: await made.client(true) }
  for (const [method, { params, other, isLocal }] of rows)
    await t.test(`${method}, after a restart`, async (t) => {
      const client = isLocal ? again.local : again.remote
      const key = { idempotencyKey: keyOf(method) }
      const secrets = Object.fromEntries((METHODS[method].secretResults ?? []).map((name) => [name, null]))
      t.strictSame(await client.call(method, { ...params, ...key }), {
        ...firsts.get(method),
        ...secrets,
        replayed: true,
      })
      if (Object.keys(other).length > 0)
        t.match(await failure(client.call(method, { ...other, ...key })), { code: 'IDEMPOTENCY_CONFLICT' })
    })
  const names = (list: typeof before) => list.map(({ name, revokedAt }) => [name, revokedAt])
  t.strictSame(names(await tokens(again.local)), names(before), 'nothing was done twice')
})

await t.test('SIGKILL in the middle', async (t) => {
  const made = await started(t)
  const { agent, host } = made
  const lasting = rows.filter(([, { isInstant }]) => !isInstant)
  const instant = rows.filter(([, { isInstant }]) => isInstant)
  const local = await made.client(true)
  await putPrograms(local)
  const programs = async (client: AgentClient) =>
    (await client.call('program.list', {})).programs.map((one) => [one.name, one.file, one.revision])
  const [programsBefore, { processes: processesBefore }] = [
    await programs(local),
    await local.call('process.list', {}),
  ]
  for (const [method, { params, prepare }] of instant) {
    prepare?.()
    await local.call(method, { ...params, idempotencyKey: keyOf(method) })
  }

  // nothing that is asked of supervisord or of the tokens comes to an end
  await host.kill('SIGSTOP')
  const calls = await withFileLock(`${join(host.folder, 'tokens.json')}.lock`, async () => {
    const running = lasting.map(([method, { params }]) =>
      failure(local.call(method, { ...params, idempotencyKey: keyOf(method) })),
    )
    await until(
      () => lasting.every(([method]) => made.journal().includes(`"${keyOf(method)}"`)),
      'all calls to have begun',
    )
    await agent.stop('SIGKILL')
    return running
  })
  for (const outcome of await Promise.all(calls)) t.notOk(outcome instanceof AgentError, 'nobody was told')
  forgetOutcomes(made.results)
  const orphans = host.children()
  await host.kill('SIGKILL')
  for (const pid of orphans) process.kill(pid, 'SIGKILL')
  await host.start()
  await agent.start()

  const after = await made.client(true)
  await until(
    async () => (await after.call('process.list', {})).processes.length === processesBefore.length,
    'the processes',
  )
  await until(
    async () => JSON.stringify(await programs(after)) === JSON.stringify(programsBefore),
    'the programs to be as they were',
  )
  for (const [method, { params, other, observed }] of rows)
    await t.test(method, async (t) => {
      const key = { idempotencyKey: keyOf(method) }
      const unknown = await failure(after.call(method, { ...params, ...key }))
      t.match(unknown, { code: 'OUTCOME_UNKNOWN', facts: { observed: { at: String } } })
      const { facts } = unknown as AgentError
      const seen = (facts['observed'] as Params)[observed]
      t.ok(seen, `${observed}: ${JSON.stringify(facts)}`)
      if (observed === 'processes') t.match(seen, [{ name: String, state: String }])
      if (Object.keys(other).length > 0)
        t.match(await failure(after.call(method, { ...other, ...key })), { code: 'IDEMPOTENCY_CONFLICT' })
    })
  const { tokens } = await after.call('token.list', {})
  t.strictSame(
    tokens.map(({ name, revokedAt }) => [name, revokedAt]),
    [
      ['panel', undefined],
      ['first', undefined],
      ['second', undefined],
    ],
    'none of them ran afterwards',
  )
})

await t.test('SIGKILL while a process stops slowly: its caller finds out by itself', async (t) => {
  const made = await started(t, SLOW)
  const { agent } = made
  const client = await connect({ url: made.adminUrl, reconnect: { minMs: 20, maxMs: 100 } })
  t.teardown(() => client.close())
  const call = failure(client.call('process.stop', { select: ['slow'], idempotencyKey: keyOf('slow') }))
  await until(async () => (await made.host.ctl('status', 'slow')).stdout.includes('STOPPING'), 'STOPPING')
  await agent.stop('SIGKILL')
  await agent.start()
  const unknown = await call
  t.match(unknown, {
    code: 'OUTCOME_UNKNOWN',
    facts: { observed: { processes: [{ name: 'slow', state: 'STOPPING' }] } },
  })
  const remote = await made.client()
  t.match(await failure(remote.call('process.stop', { select: ['slow'] }, { mutates: false })), {
    code: 'INVALID_PARAMS',
  })
})

/** As if the agent had been killed between an effect and the record of its outcome. */
function forgetOutcomes(folder: string): void {
  for (const name of readdirSync(folder)) {
    const path = join(folder, name)
    const lines = readFileSync(path, 'utf8').trim().split('\n')
    writeFileSync(path, lines.flatMap((line) => (line.includes('"outcome"') ? [] : [`${line}\n`])).join(''))
  }
}
