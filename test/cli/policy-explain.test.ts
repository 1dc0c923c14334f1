import { readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { agentProcess, launch } from '../fixtures/agent-process.ts'
import { supervisord } from '../fixtures/supervisord.ts'

await t.test('agent policy explain says what would happen, and does nothing', async (t) => {
  const host = await supervisord(t, { programs: { web: { command: 'sleep 300' } } })
  const agent = await agentProcess(t, host, { config: 'policy: { readOnly: true }\n' })
  const explain = (...args: string[]) => agent.run('policy', 'explain', '--', ...args)
  const before = { children: host.children(), config: readFileSync(agent.configFile, 'utf8') }

  await t.test('on admin.sock, with what the policy denies to others', async (t) => {
    const told = await explain('process.stop', '{"select":["web"]}')
    t.match(told, { code: 0, stdout: /^allowed on admin\.sock alone\npolicy\.readOnly: .*read-only/ })
    t.match(told.stdout, agent.configFile, 'and names the file to change')
    t.match(await explain('process.list'), { code: 0, stdout: 'allowed\n' })
    const json = JSON.parse((await agent.run('--json', 'policy', 'explain', 'process.list')).stdout) as object
    t.same(json, { allowed: true, rule: null, text: 'allowed', violations: [] })
  })

  await t.test('for a token: 11 when it is denied', async (t) => {
    const file = join(host.folder, 'panel.token')
    writeFileSync(file, (await agent.run('token', 'create', 'panel', '--role', 'operator')).stdout)
    const url = await agent.address()
    const remote = (...args: string[]) => launch(['--url', url, '--token-file', file, ...args]).outcome
    t.match(await remote('policy', 'explain', 'process.stop', '{"select":["web"]}'), {
      code: 11,
      stdout: /^denied\npolicy\.readOnly: /,
    })
    t.match(await remote('policy', 'explain', 'token.list'), { code: 11, stdout: /^denied\nscope: / })
    t.match(await remote('policy', 'explain', 'supervisor.info'), { code: 0, stdout: 'allowed\n' })
    t.match(await remote('stop', 'web'), { code: 11, stderr: /policy\.readOnly in / })
  })

  await t.test('what is wrong in the question is wrong usage', async (t) => {
    t.match(await explain('no.such'), { code: 2, stderr: /there is no method no\.such/ })
    t.match(await explain('process.stop', '{"select":"web"}'), { code: 2, stderr: /select/ })
    t.match(await explain('process.stop', '[1]'), { code: 2, stderr: /a JSON object/ })
    t.match(await explain('process.stop', '{'), { code: 2, stderr: /a JSON object/ })
    t.match(await explain(), { code: 2, stderr: /missing required argument/ })
  })

  t.same({ children: host.children(), config: readFileSync(agent.configFile, 'utf8') }, before)
  t.match(await agent.run('stop', 'web'), {
    code: 0,
    stdout: 'web: done\n',
    stderr: /^warning: policy\.readOnly: /,
  })
  t.match(await agent.run('-q', 'start', 'web'), { code: 0, stderr: '' }, 'quiet says no remarks')
  const job = ['--options', 'php=/bin/cat', '--options', 'timeout=120', '--stdout-logfile', 'NONE']
  const planned = await agent.run('program', 'plan', 'mail', '--preset', 'laravel-queue', ...job)
  t.match(planned, { code: 10, stdout: /warning: timeout \(120\) is not below/ })
  t.equal(planned.stderr, '', 'a plan prints its warnings once')
  t.match(JSON.parse((await agent.run('--json', 'stop', 'web')).stdout), {
    results: [{ ok: true }],
    warnings: [/^policy\.readOnly: process\.stop changes something/],
  })
  t.equal(statSync(agent.configFile).size, before.config.length, 'no method writes the policy')
})
