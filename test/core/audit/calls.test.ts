// What a real agent leaves in the audit, and whose name its events carry.
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { type AgentClient, type AgentError, connect } from '../../../src/client/index.ts'
import { AgentProcess, agentProcess } from '../../fixtures/agent-process.ts'
import { startAgent } from '../../fixtures/daemon.ts'
import { fillDisk, noNamespace, onSmallDisk } from '../../fixtures/namespace.ts'
import { supervisord } from '../../fixtures/supervisord.ts'
import { until } from '../../fixtures/wait.ts'
import { watchedEvents } from '../../fixtures/watched-events.ts'

const failed = (call: Promise<unknown>) =>
  call.then(
    () => 'nothing',
    (error: { code: string }) => error.code,
  )

await t.test(
  'every call that changes something and every refused one is in the audit, reads are not',
  async (t) => {
    const host = await supervisord(t, { programs: { web: { command: 'sleep 300', startsecs: 0 } } })
    const agent = await startAgent(t, { supervisor: host, config: { policy: { allowStdin: false } } })
    const admin = await connect({ url: agent.adminUrl, reconnect: false })
    const dial = async (token: string) => await connect({ url: agent.url, token, reconnect: false })
    const panel = await dial(await agent.token('admin', { name: 'panel-1' }))
    const narrow = await dial(await agent.token('admin', { name: 'narrow', programs: ['web'] }))
    const viewer = await dial(await agent.token('viewer', { name: 'eyes' }))
    const clients: AgentClient[] = [admin, panel, narrow, viewer]
    t.teardown(() => Promise.all(clients.map((client) => client.close())))

    await panel.call('process.list', {})
    await panel.call('process.restart', { select: ['web'], idempotencyKey: 'deploy-1' })
    await panel.call('process.restart', { select: ['web'], idempotencyKey: 'deploy-1' })
    const secret = 'a-secret-that-nobody-shows'
    t.equal(await failed(panel.call('process.stdin', { process: 'web', text: secret })), 'POLICY_DENIED')
    t.equal(await failed(viewer.call('process.stop', { select: ['web'] })), 'FORBIDDEN')
    t.equal(await failed(narrow.call('audit.list', {})), 'FORBIDDEN')
    t.equal(await failed(narrow.call('audit.verify', {})), 'FORBIDDEN')
    t.equal(await failed(viewer.call('token.revoke', { token: secret, oops: secret } as never)), 'FORBIDDEN')

    const { records } = await panel.call('audit.list', {})
    const of = (method: string) => records.filter((record) => record.method === method)
    t.strictSame(of('process.list'), [])
    t.match(of('process.restart'), [
      {
        actor: 'token:panel-1',
        remote: '127.0.0.1',
        subject: ['web'],
        params: { mode: 'hard', select: ['web'] },
        outcome: 'ok',
        durationMs: Number,
      },
      { actor: 'token:panel-1', outcome: 'ok', replayed: true },
    ])
    t.match(of('process.stdin'), [
      { outcome: 'POLICY_DENIED', rule: 'policy.allowStdin', params: { text: '[secret]' } },
    ])
    t.match(of('process.stop'), [{ actor: 'token:eyes', outcome: 'FORBIDDEN', rule: 'scope' }])
    t.match(of('audit.list'), [{ actor: 'token:narrow', outcome: 'FORBIDDEN', rule: 'token.programs' }])
    t.match(of('token.create')[0], { actor: 'local:admin', remote: agent.adminSocket, outcome: 'ok' })
    t.notOk(of('token.revoke')[0]?.params, 'what does not fit the schema is not kept')
    t.notMatch(JSON.stringify(records), secret)
    const text = readdirSync(join(agent.folder, 'state', 'audit'))
      .map((name) => readFileSync(join(agent.folder, 'state', 'audit', name), 'utf8'))
      .join('')
    t.notMatch(text, secret)
    t.notMatch(text, /agt_[0-9A-Za-z]{10}_[0-9A-Za-z]/)

    const newest = await panel.call('audit.list', { limit: 2 })
    t.strictSame(newest.records, records.slice(-2))
    t.equal(newest.more, true)
    const third = records[2]
    const from = await panel.call('audit.list', { since: third?.at ?? '', limit: 3 })
    t.match(from.records[0], { at: third?.at })
    t.match(await panel.call('audit.verify', {}), { ok: true, torn: 0, unwritten: 0 })
  },
)

await t.test('events carry the name of whoever caused them', async (t) => {
  const sleeper = { command: 'sleep 300', startsecs: 0 }
  const manual = { ...sleeper, autostart: false }
  const host = await supervisord(t, { programs: { web: sleeper, ran: manual, idle: manual } })
  const agent = await startAgent(t, { supervisor: host, listener: true })
  const admin = await connect({ url: agent.adminUrl, reconnect: false })
  const panel = await connect({
    url: agent.url,
    token: await agent.token('operator', { name: 'panel-1' }),
    reconnect: false,
  })
  t.teardown(() => Promise.all([admin.close(), panel.close()]))
  const seen = watchedEvents(admin)
  const actors = (type: string, process: string) =>
    seen.flatMap((event) =>
      event.type === type && 'process' in event.payload && event.payload.process === process
        ? [event.actor]
        : [],
    )

  await panel.call('process.restart', { select: ['web'] })
  await until(() => actors('process.state', 'web').length >= 4, 'the events of a restart')
  t.strictSame(new Set(actors('process.state', 'web')), new Set(['token:panel-1']))

  host.writeProgram('fresh', { command: 'sleep 300', startsecs: 0 })
  await admin.call('supervisor.update', {}, { mutates: true })
  await until(() => actors('process.state', 'fresh').length >= 2, 'fresh to run')
  t.strictSame(actors('process.added', 'fresh'), ['local:admin'])
  t.strictSame(new Set(actors('process.state', 'fresh')), new Set(['local:admin']))

  host.writeProgram('fresh', { command: 'sleep 301', startsecs: 0 })
  await admin.call('supervisor.update', { groups: ['fresh'] }, { mutates: true })
  await until(() => actors('process.added', 'fresh').length === 2, 'fresh to be added again')
  t.strictSame(actors('process.removed', 'fresh'), ['local:admin'])
  await until(() => actors('process.state', 'fresh').length >= 6, 'fresh to run again')
  t.strictSame(new Set(actors('process.state', 'fresh')), new Set(['local:admin']))

  const [entry] = (await admin.call('process.list', { select: ['fresh'] })).processes
  const before = actors('process.state', 'fresh').length
  process.kill(entry?.pid ?? 0, 'SIGKILL')
  await until(() => actors('process.state', 'fresh').length >= before + 3, 'a crash and the return')
  t.strictSame(
    new Set(actors('process.state', 'fresh').slice(before)),
    new Set([undefined]),
    'nobody did that',
  )

  await admin.call('token.revoke', { token: 'panel-1' }, { mutates: true })
  await until(() => seen.some(({ type }) => type === 'token.revoked'), 'token.revoked')
  t.equal(seen.find(({ type }) => type === 'token.revoked')?.actor, 'local:admin')

  await host.ctl('start', 'ran')
  await until(() => actors('process.state', 'ran').length >= 2, 'ran to run')
  await admin.call('supervisor.restart', {}, { mutates: true })
  const states = () => seen.filter(({ type }) => type === 'supervisor.state')
  await until(() => {
    const last = states().at(-1)
    return last?.type === 'supervisor.state' && last.payload.state === 'running' && states().length >= 2
  }, 'supervisord to be back')
  t.strictSame(new Set(states().map(({ actor }) => actor)), new Set(['local:admin']))
  const statesOf = (process: string) =>
    seen.flatMap(({ type, payload, actor }) =>
      type === 'process.state' && payload.process === process ? [`${payload.to} ${actor ?? 'nobody'}`] : [],
    )
  await until(() => statesOf('web').at(-1) === 'RUNNING local:admin', 'web to come by it')
  t.equal(statesOf('ran').at(-1), 'STOPPED local:admin')
  const others = ['web', 'ran', 'idle'].map((name) => ({ name, told: statesOf(name).length }))
  t.match(await host.ctl('stop', 'web'), { code: 0 })
  for (const { name, told } of others) {
    t.match(await host.ctl('start', name), { code: 0 })
    const since = () => statesOf(name).slice(told)
    await until(
      () => since().some((text) => text.startsWith('RUNNING')),
      `${name} to be started by somebody else`,
    )
    t.strictSame(
      since().filter((text) => !text.endsWith('nobody')),
      [],
      `${name}: what others do is not its`,
    )
  }
})

await t.test('agent audit ls and verify, the latter with no agent too', async (t) => {
  const host = await supervisord(t, { programs: { web: { command: 'sleep 300', startsecs: 0 } } })
  const agent = await agentProcess(t, host)
  await agent.run('restart', 'web')
  const listed = await agent.run('audit', 'ls')
  t.match(listed.stdout, /local:admin +.*admin\.sock +process\.restart +web +ok/)
  t.match(await agent.run('audit', 'verify'), { code: 0, stdout: /^ok: records 1 to 2/ })
  await agent.stop()
  t.match(await agent.run('audit', 'verify'), { code: 0, stdout: /^ok: records 1 to 2/ })
  const folder = join(host.folder, 'state', 'audit')
  const [file = ''] = readdirSync(folder)
  const text = readFileSync(join(folder, file), 'utf8')
  writeFileSync(join(folder, file), text.replace('"web"', '"db"'))
  t.match(await agent.run('audit', 'verify'), { code: 1, stdout: /^BROKEN at record 1/ })
  t.match(JSON.parse((await agent.run('--json', 'audit', 'verify')).stdout), { ok: false, brokenAt: 1 })
})

await t.test('where the disk of the audit is full', { skip: noNamespace() }, async (t) => {
  const host = await supervisord(t, { programs: { web: { command: 'sleep 300', startsecs: 0 } } })
  const agent = new AgentProcess(host)
  t.teardown(async () => {
    if (agent.isRunning) await agent.stop('SIGKILL')
  })
  const folder = join(host.folder, 'state', 'audit')
  await agent.start({ under: onSmallDisk(folder, '64k') })
  const admin = await connect({ url: `unix://${agent.runDir}/admin.sock`, reconnect: false })
  const { token } = await admin.call('token.create', { name: 'panel-1', role: 'admin' }, { mutates: true })
  const panel = await connect({ url: await agent.address(), token: token ?? '', reconnect: false })
  t.teardown(() => Promise.all([admin.close(), panel.close()]))
  const pids = () => host.children()
  await until(() => pids().length === 1, 'web to run')
  const ballast = join(`/proc/${agent.pid}/root${folder}`, 'ballast')
  fillDisk(ballast)
  let calls = 0
  const start = () => panel.call('process.start', { select: ['web'], idempotencyKey: `fill-up-${calls++}` })
  const full = await until(
    () =>
      start().then(
        () => null,
        (error: AgentError) => error,
      ), // what is left of a block takes some
    'a call to be refused',
  )
  t.match(full, { code: 'INTERNAL', facts: { rule: 'audit', reason: 'ENOSPC' } })
  t.ok(calls > 1, `${calls} calls`)

  const [before] = pids()
  const stop = () => panel.call('process.stop', { select: ['web'], idempotencyKey: 'stop-web-1' })
  for (let n = 0; n < 2; n++)
    t.match(await stop().catch((error: unknown) => error), {
      code: 'INTERNAL',
      message: /^nothing was done: the disk does not take a record/,
      facts: { rule: 'audit', reason: 'ENOSPC', replayed: undefined },
    })
  t.strictSame(pids(), [before], 'nothing was done')
  t.match(await panel.call('process.list', {}), { processes: [{ state: 'RUNNING' }] }, 'reads go on')

  const told = [/^audit: the disk takes no record: this call is missing in the audit$/]
  t.match(await admin.call('process.restart', { select: ['web'] }), {
    results: [{ ok: true }],
    warnings: told,
  })
  t.not(pids()[0], before, 'who sits at the host acts all the same')
  const keyed = { select: ['web'], idempotencyKey: 'restart-1' }
  t.match(await admin.call('process.restart', keyed), { warnings: told })
  t.match(await admin.call('process.restart', keyed), { replayed: true })

  rmSync(ballast)
  t.match(await stop(), { results: [{ process: 'web', ok: true, changed: true }], replayed: undefined })
  t.strictSame(pids(), [])
  const { ok, unwritten } = await admin.call('audit.verify', {})
  t.ok(ok, 'no hole in the chain')
  t.ok(unwritten >= 5, `${unwritten} calls are known to be missing`)
})
