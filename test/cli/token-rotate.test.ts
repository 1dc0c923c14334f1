import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { type AgentProcess, agentProcess, launch } from '../fixtures/agent-process.ts'
import { type Supervisord, supervisord } from '../fixtures/supervisord.ts'
import { until } from '../fixtures/wait.ts'

const TOKEN = /^agt_\w{10}_\w{49}\n$/

/** Runs commands from elsewhere, with a token made now. */
async function remote(agent: AgentProcess, host: Supervisord, name: string, ...rights: string[]) {
  const url = await agent.address()
  const { stdout } = await agent.run('token', 'create', name, ...rights)
  const file = join(host.folder, `${name}.token`)
  writeFileSync(file, stdout)
  const begin = (...args: string[]) => launch(['--url', url, '--token-file', file, ...args])
  return { file, begin, run: (...args: string[]) => begin(...args).outcome }
}

await t.test('a token is rotated on the host', async (t) => {
  const host = await supervisord(t)
  const agent = await agentProcess(t, host)
  const panel = await remote(agent, host, 'panel-1', '--role', 'operator')
  t.match(await panel.run('info'), { code: 0 })

  const { code, stdout } = await agent.run('token', 'rotate', 'panel-1')
  t.equal(code, 0)
  t.match(stdout, TOKEN, 'the token alone')
  t.match(await panel.run('info'), { code: 0 }, 'the old text is good for a while')
  const { stdout: last } = await agent.run('token', 'rotate', 'panel-1', '--grace-ms', '0')
  t.match(await panel.run('info'), { code: 4, stderr: /401/ }, 'the old text opens no session')
  writeFileSync(panel.file, last)
  t.match(await panel.run('info'), { code: 0 })
  t.match(await agent.run('token', 'rotate', 'panel-1', '--grace-ms', '604800001'), { code: 2 })
  t.notMatch(agent.read('tokens.json'), stdout.trim().slice(-40), 'its text is nowhere kept')

  const json = JSON.parse((await agent.run('--json', 'token', 'rotate', 'panel-1')).stdout) as object
  t.match(json, { token: /^agt_/, record: { name: 'panel-1', role: 'operator' } })
  t.match(await agent.run('token', 'rotate', 'nobody'), { code: 2, stderr: /there is no token nobody/ })
  const watching = panel.begin('--json', 'events')
  await until(() => watching.stdout().includes('snapshot'), 'the first item')
  await agent.run('token', 'revoke', 'panel-1')
  const ended = await watching.outcome
  t.match(ended, { code: 4, stderr: /4401: the token was revoked/ })
  t.match(JSON.parse(ended.stdout.trim().split('\n').at(-1) ?? ''), {
    error: { data: { name: 'FORBIDDEN', closeCode: 4401, retry: false } },
  })
  t.match(await agent.run('token', 'rotate', 'panel-1'), { code: 2, stderr: /has ended/ })
})

await t.test('from elsewhere only the own one, unless the policy says more', async (t) => {
  const host = await supervisord(t)
  const agent = await agentProcess(t, host)
  const boss = await remote(agent, host, 'boss', '--role', 'admin')
  await remote(agent, host, 'panel-1', '--role', 'operator')
  t.match(await boss.run('token', 'rotate', 'panel-1'), { code: 11, stderr: /allowRemoteTokens/ })
  const { code, stdout } = await boss.run('token', 'rotate', 'boss', '--grace-ms', '0')
  t.equal(code, 0)
  t.match(stdout, TOKEN, 'the answer arrives before the session ends')
  writeFileSync(boss.file, stdout)
  t.match(await boss.run('info'), { code: 0 })
})

await t.test('nobody gets more than they have by rotating the token of another', async (t) => {
  const host = await supervisord(t)
  const agent = await agentProcess(t, host, { config: 'policy: { allowRemoteTokens: true }\n' })
  const boss = await remote(agent, host, 'boss', '--role', 'admin', '--programs', 'web')
  const brief = await remote(
    agent,
    host,
    'brief',
    '--role',
    'admin',
    '--expires-at',
    new Date(Date.now() + 3_600_000).toISOString(),
  )
  await remote(agent, host, 'wide', '--role', 'viewer')
  await remote(agent, host, 'narrow', '--role', 'viewer', '--programs', 'web')
  t.match(await boss.run('token', 'rotate', 'wide'), { code: 4, stderr: /cannot have more than its creator/ })
  t.match(await brief.run('token', 'rotate', 'wide'), { code: 4, stderr: /cannot outlive/ })
  t.match(await boss.run('token', 'rotate', 'narrow'), { code: 0, stdout: TOKEN })
})
