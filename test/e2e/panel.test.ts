// The agent and the reference panel of examples/, each what it is in service: real TLS, real files, a real supervisord.
import { X509Certificate } from 'node:crypto'
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { connect, type ResultOf } from '../../src/client/index.ts'
import { agentProcess } from '../fixtures/agent-process.ts'
import { startAgent, type TestAgent } from '../fixtures/daemon.ts'
import { startPanel, type TestPanel } from '../fixtures/panel.ts'
import { supervisord } from '../fixtures/supervisord.ts'
import { until } from '../fixtures/wait.ts'
import { certificate } from '../transports/support.ts'

interface Test {
  teardown(task: () => unknown): void
}

const NAME = 'test-host'
const PROGRAMS = { web: { command: 'sleep 600' }, db: { command: 'sleep 600' } }

/** A panel that knows nobody, and the `panel:` section of an agent that is to join it. */
async function panelFor(t: Test) {
  const tls = await certificate(t)
  const panel = await startPanel(t, tls)
  const [tokenFile, joinTokenFile] = [join(panel.folder, 'credential.json'), join(panel.folder, 'join')]
  const giveJoinToken = async () => {
    const token = await panel.joinToken()
    writeFileSync(joinTokenFile, `${token}\n`, { mode: 0o600 })
    return token
  }
  return {
    panel,
    giveJoinToken,
    section: {
      url: panel.url,
      pin: new X509Certificate(tls.cert).fingerprint256,
      tokenFile,
      joinTokenFile,
      role: 'operator' as const,
    },
  }
}

async function panelState(agent: TestAgent): Promise<ResultOf<'agent.info'>['panel']> {
  const admin = await connect({ url: agent.adminUrl, reconnect: false })
  try {
    return (await admin.call('agent.info', {})).panel
  } finally {
    await admin.close()
  }
}

async function inState(agent: TestAgent, reason: RegExp, timeoutMs = 30_000) {
  return await until(
    async () => {
      const state = await panelState(agent)
      return state.state === 'connecting' && reason.test(state.lastClose?.reason ?? '') ? state : null
    },
    `the agent to say ${reason}`,
    timeoutMs,
  )
}

async function up(panel: TestPanel): Promise<void> {
  await panel.said('up', NAME)
}

await t.test('an agent joins, is commanded, tells what happens, and comes back', async (t) => {
  const host = await supervisord(t, { programs: PROGRAMS })
  const { panel, section, giveJoinToken } = await panelFor(t)
  const joinToken = await giveJoinToken()
  const agent = await startAgent(t, {
    supervisor: host,
    config: { panel: { ...section, programs: ['web'] } },
  })

  await t.test('it joins', async (t) => {
    await panel.said('joined', NAME)
    await up(panel)
    t.equal((await panelState(agent)).state, 'connected')
    await until(() => !existsSync(section.joinTokenFile), 'the join token to be removed')
    const { token } = JSON.parse(readFileSync(section.tokenFile, 'utf8')) as { token: string }
    t.notMatch(panel.state, token, 'the panel keeps a hash')
    t.notMatch(panel.state, joinToken)
    t.notMatch(JSON.stringify(agent.logged), joinToken)
    t.notMatch(JSON.stringify(agent.logged), token)
  })

  await t.test('it is listed', async (t) => {
    panel.type('list')
    const { text } = await panel.said('agent', NAME)
    t.match(JSON.parse(text), { name: NAME, connected: true })
  })

  await t.test('a command runs, and its events name the panel', async (t) => {
    await until(async () => {
      const { processes } = (await panel.call(NAME, 'process.list', {})) as ResultOf<'process.list'>
      return processes.some(({ state }) => state === 'RUNNING')
    }, 'web to run')
    const restarted = await panel.call(NAME, 'process.restart', { select: ['web'] })
    t.match(restarted, { results: [{ process: 'web', ok: true, changed: true }] })
    const { text } = await panel.said(
      'event',
      NAME,
      (event) => event.includes('"to":"RUNNING"') && event.includes('"actor":"panel"'),
    )
    t.match(JSON.parse(text), { type: 'process.state', actor: 'panel', payload: { process: 'web' } })
  })

  await t.test('it has the rights of the config and no more', async (t) => {
    const { processes } = (await panel.call(NAME, 'process.list', {})) as ResultOf<'process.list'>
    t.strictSame(
      processes.map(({ name }) => name),
      ['web'],
      'programs',
    )
    await t.rejects(panel.call(NAME, 'token.list', {}), /needs the scope admin/)
    await t.rejects(panel.call(NAME, 'process.stop', { select: ['db'] }), /nothing matches|FORBIDDEN|program/)
    await t.rejects(panel.call(NAME, 'panel.login', {}), /there is no method/)
  })

  await t.test('it is back after the panel restarts', async (t) => {
    await panel.stop('SIGKILL')
    await inState(agent, /broke|ECONNREFUSED|closed/)
    await panel.start()
    await up(panel)
    t.equal((await panelState(agent)).state, 'connected')
    t.match(await panel.call(NAME, 'agent.info', {}), { name: NAME })
  })

  await t.test('it is back after it restarted itself, without a join token', async (t) => {
    const before = panel.lines().filter(({ word }) => word === 'up').length
    await agent.restart()
    await until(() => panel.lines().filter(({ word }) => word === 'up').length > before, 'it to be back')
    t.notOk(panel.lines().some(({ word }) => word === 'joined'))
    t.ok(panel.lines().some(({ word, text }) => word === 'down' && text.includes('1012')))
  })

  await t.test('a revoked credential ends it at once, and a new join token brings it back', async (t) => {
    panel.type(`revoke ${NAME}`)
    await panel.said('revoked', NAME)
    const state = await inState(agent, /the credential is unknown|credential revoked/)
    t.equal(state.lastClose?.code, 4401)
    await panel.said('refused')
    const before = panel.lines().filter(({ word }) => word === 'up').length
    await giveJoinToken()
    await panel.said('joined', NAME)
    await until(() => panel.lines().filter(({ word }) => word === 'up').length > before, 'it to be back')
    await until(async () => (await panelState(agent)).state === 'connected', 'the agent to say so')
  })

  await t.test('a join token is good once', async (t) => {
    await agent.stop()
    rmSync(section.tokenFile)
    writeFileSync(section.joinTokenFile, joinToken, { mode: 0o600 })
    await agent.start()
    const state = await inState(agent, /the credential is unknown, used, expired or revoked/)
    t.equal(state.lastClose?.code, 4401)
    t.ok(existsSync(section.joinTokenFile), 'kept: it was not used')
  })
})

await t.test('a panel with another key than the pinned one gets nothing', async (t) => {
  const host = await supervisord(t, { programs: PROGRAMS })
  const { panel, section, giveJoinToken } = await panelFor(t)
  await giveJoinToken()
  const config = { panel: { ...section, role: 'admin' as const }, policy: { readOnly: true } }
  const agent = await startAgent(t, { supervisor: host, config })
  await up(panel)
  const refused = panel.call(NAME, 'process.stop', { select: ['web'] })
  await t.rejects(refused, /read-only/, 'and its own panel no more than the policy allows')
  await panel.stop()
  rmSync(join(panel.folder, 'panel.json')) // it makes itself a new key
  await panel.start()
  await inState(agent, /the panel has another key than the one pinned when this agent joined/)
  await panel.said('refused')
  t.notOk(panel.lines().some(({ word }) => word === 'up'))
})

await t.test('another certificate than the pinned one: the reason is shown by agent info', async (t) => {
  const host = await supervisord(t, { programs: PROGRAMS })
  const { panel, section, giveJoinToken } = await panelFor(t)
  await giveJoinToken()
  const { url, tokenFile, joinTokenFile } = section
  const config = `panel: { url: '${url}', tokenFile: ${tokenFile}, joinTokenFile: ${joinTokenFile}, pin: sha256:${'0'.repeat(64)} }`
  const agent = await agentProcess(t, host, { config })
  const said = await until(async () => {
    const { stdout } = await agent.run('info')
    return stdout.includes('certificate') && stdout
  }, 'agent info to say why')
  t.match(
    said,
    /^panel +connecting since .*; last: its certificate is not the one that panel\.pin names \(no code, /m,
  )
  t.ok(existsSync(joinTokenFile))
  t.notOk(existsSync(tokenFile))
  t.notOk(
    panel.lines().some(({ word }) => word === 'joined' || word === 'refused'),
    'the panel saw no WebSocket',
  )
  const { stdout } = await agent.run('--json', 'info')
  t.match(JSON.parse(stdout), {
    panel: { state: 'connecting', since: String, lastClose: { at: String, reason: String } },
  })
})

await t.test(
  'a panel that stops without a word is found within a minute, and is back when it goes on',
  async (t) => {
    const host = await supervisord(t, { programs: PROGRAMS })
    const { panel, section, giveJoinToken } = await panelFor(t)
    await giveJoinToken()
    const agent = await startAgent(t, { supervisor: host, config: { panel: section } })
    await up(panel)
    panel.signal('SIGSTOP')
    const stoppedAtMs = performance.now()
    t.teardown(() => panel.signal('SIGCONT'))
    const { lastClose } = await inState(agent, /no sign of life/, 90_000)
    const tookMs = performance.now() - stoppedAtMs
    t.ok(tookMs <= 60_000, `found after ${Math.round(tookMs)} ms`)
    t.equal(lastClose?.code, 1006)
    const before = panel.lines().filter(({ word }) => word === 'up').length
    panel.signal('SIGCONT')
    await until(
      () => panel.lines().filter(({ word }) => word === 'up').length > before,
      'it to be back',
      90_000,
    )
  },
)
