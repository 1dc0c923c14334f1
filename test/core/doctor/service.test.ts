// How questions are asked, and who hears what of the answers.
import { writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import t from 'tap'
import { connect, type ResultOf } from '../../../src/client/index.ts'
import { parseConfig } from '../../../src/config.ts'
import { LOCAL_ADMIN } from '../../../src/core/access/local-principals.ts'
import type { Principal } from '../../../src/core/access/principal.ts'
import { type Check, UNASKED } from '../../../src/core/doctor/check.ts'
import { examine, findingsFor } from '../../../src/core/doctor/run.ts'
import { DoctorService } from '../../../src/core/doctor/service.ts'
import type { Finding } from '../../../src/protocol/doctor.ts'
import { formatToken } from '../../../src/protocol/token.ts'
import { startAgent, type TestAgent } from '../../fixtures/daemon.ts'
import { supervisord } from '../../fixtures/supervisord.ts'
import { until } from '../../fixtures/wait.ts'
import { parts } from '../../server/support.ts'

const check = (name: string, run: Check['run'], audience?: Check['audience']): Check => ({
  name,
  question: `Is ${name} well?`,
  run,
  ...(audience === undefined ? {} : { audience }),
})
const somebody = (more: Partial<Principal>): Principal => ({
  ...LOCAL_ADMIN,
  actor: 'token:x',
  isAbovePolicy: false,
  ...more,
})

await t.test('a check that fails or hangs is a finding, and takes no other with it', async (t) => {
  const checks = [
    check('well', () => null),
    check('odd', () => ({ severity: 'warning', message: 'odd', fix: 'do it' })),
    check('hung', () => new Promise(() => undefined)),
    check('thrown', () => {
      throw new Error('no such thing')
    }),
    check('rejected', async () => Promise.reject(new Error('not there'))),
    check('away', () => UNASKED),
    check('bad', async () => ({ severity: 'failure', message: 'bad' })),
  ]
  t.strictSame(findingsFor(await examine(checks, 100), LOCAL_ADMIN), [
    { check: 'bad', severity: 'failure', message: 'bad' },
    { check: 'odd', severity: 'warning', message: 'odd', fix: 'do it' },
    { check: 'hung', severity: 'warning', message: 'it was not found out within 0.1 s: Is hung well?' },
    {
      check: 'thrown',
      severity: 'warning',
      message: 'it cannot be found out: Is thrown well? no such thing',
    },
    {
      check: 'rejected',
      severity: 'warning',
      message: 'it cannot be found out: Is rejected well? not there',
    },
    { check: 'well', severity: 'ok', message: 'Is well well? Yes.' },
  ])
})

await t.test('everybody hears what they may', async (t) => {
  const one = (program: string) => ({
    severity: 'warning' as const,
    message: program,
    program,
    logTail: 'its log',
  })
  const examined = await examine([
    check('processes', () => [one('web'), one('mail')]),
    check('files', () => null, 'all-programs'),
    check('tokens', () => null, 'admin'),
  ])
  const heard = (more: Partial<Principal>) =>
    findingsFor(examined, somebody(more)).map(({ check: name, message, evidence }) =>
      [name, name === 'processes' ? message : '', evidence ?? ''].join(' ').trim(),
    )
  const [read, logs, admin] = [['read'], ['read', 'logs'], ['read', 'logs', 'admin']] as const
  t.same(heard({ scopes: new Set(admin) }), [
    'processes web its log',
    'processes mail its log',
    'files',
    'tokens',
  ])
  t.same(heard({ scopes: new Set(logs) }), ['processes web its log', 'processes mail its log', 'files'])
  t.same(heard({ scopes: new Set(read) }), ['processes web', 'processes mail', 'files'])
  t.same(heard({ scopes: new Set(admin), programs: ['m*'] }), ['processes mail its log'])
  t.same(heard({ scopes: new Set(read), programs: [] }), ['processes Is processes well? Yes.'])
})

await t.test('no answer is beyond a frame, and no token is in one', async (t) => {
  const token = formatToken('0123456789', 'x'.repeat(43))
  const faults = Array.from({ length: 1000 }, (_, n) => ({
    severity: n === 999 ? ('failure' as const) : ('warning' as const),
    message: `${n} ${token} ${'m'.repeat(9000)}`,
    evidence: `${'e'.repeat(9000)} end`,
  }))
  const findings = findingsFor(await examine([check('many', () => faults)]), LOCAL_ADMIN)
  t.equal(findings.length, 51)
  t.match(findings[0], { severity: 'failure', message: 'and 950 more like these' })
  t.match(findings[1], { message: /^0 agt_0123456789_\[secret\] m+…$/, evidence: /^…e+ end$/ })
  t.ok(JSON.stringify(findings).length < 500_000)
})

await t.test('calls at the same time are one look, later ones another', async (t) => {
  const { stack, tokensFile } = await parts(t)
  const config = parseConfig(JSON.stringify({ tokensFile, stateDir: dirname(tokensFile) }), 'a test')
  let looks = 0
  const service = new DoctorService({
    config,
    configFile: 'a test',
    supervisor: stack,
    panel: () => ({ state: 'off', since: '2026-11-22T09:00:00.000Z' }),
    isJournalBehind: () => false,
    cron: () => ({ alive: ++looks > 0, flavour: 'debian' }),
  })
  const answers = await Promise.all(Array.from({ length: 20 }, () => service.findings(LOCAL_ADMIN)))
  const once = looks
  t.ok(once > 0 && once < answers.length, 'one look asks for it a few times at most')
  for (const answer of answers) t.strictSame(answer, answers[0])
  await service.findings(LOCAL_ADMIN)
  t.equal(looks, 2 * once)
})

async function doctor(agent: TestAgent, token?: string): Promise<ResultOf<'agent.doctor'>['findings']> {
  const client = await connect({
    ...(token === undefined ? { url: agent.adminUrl } : { url: `${agent.url}/ws`, token }),
    reconnect: false,
  })
  try {
    return (await client.call('agent.doctor', {})).findings
  } finally {
    await client.close()
  }
}

await t.test('the agent is asked over its API', async (t) => {
  const host = await supervisord(t, {
    programs: {
      web: { command: 'sleep 300' },
      broken: { command: '/bin/sh -c "echo out of memory >&2; exit 12"', startretries: 0 },
    },
  })
  const nobody = join(host.folder, 'credential')
  const agent = await startAgent(t, {
    supervisor: host,
    listener: true,
    config: {
      panel: { url: 'ws://127.0.0.1:1/agents', tokenFile: nobody, joinTokenFile: join(host.folder, 'join') },
    },
  })
  writeFileSync(join(host.folder, 'join'), 'agj_not-a-panel-that-answers\n', { mode: 0o600 })
  await until(
    async () => (await doctor(agent)).some(({ check: name }) => name === 'panel-link'),
    'a first try',
  )
  const isTold = async () =>
    (await doctor(agent)).find(({ message }) => message.startsWith('broken is FATAL'))
  const fatal = await until(isTold, 'supervisord to give up')
  t.match(fatal, { check: 'processes', severity: 'failure', evidence: /out of memory/ })
  const panel = async () =>
    (await doctor(agent)).find(({ check: name, severity }) => name === 'panel-link' && severity !== 'ok')
  t.match(await until(panel, 'the panel to be missed'), { message: /the panel is not connected since/ })

  await t.test('each token hears of its own programs', async (t) => {
    const all = await doctor(agent, await agent.token('viewer'))
    t.ok(all.some(({ check: name }) => name === 'supervisor-files'))
    t.notOk(all.some(({ check: name }) => name === 'tokens-file' || name === 'audit-chain'))
    const own = await doctor(agent, await agent.token('admin', { programs: ['web'] }))
    t.match(
      own.find(({ check: name }) => name === 'processes'),
      { severity: 'ok' },
    )
    t.notMatch(JSON.stringify(own), /broken|conf\.d|tokens/)
  })

  await t.test('supervisord is gone: said at once, the rest goes on', async (t) => {
    await host.kill('SIGKILL')
    const isSeen = ({ check: name, severity }: Finding) =>
      name === 'supervisor-socket' && severity === 'failure'
    const findings = await until(async () => {
      const now = await doctor(agent)
      return now.some(isSeen) ? now : null
    }, 'the doctor to see it')
    t.ok(findings.some(({ check: name, severity }) => name === 'audit-chain' && severity === 'ok'))
  })
})
