import { spawn } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { join } from 'node:path'
import t from 'tap'
import { AgentProcess, launch } from '../fixtures/agent-process.ts'
import { supervisorCommand } from '../fixtures/supervisor-command.ts'
import { supervisord } from '../fixtures/supervisord.ts'

await t.test('with supervisord down', async (t) => {
  const host = await supervisord(t)
  const agent = new AgentProcess(host)
  const withFiles = join(host.folder, 'with-files.yaml')
  const text = readFileSync(agent.configFile, 'utf8')
  writeFileSync(withFiles, text.replace(`url: '`, `configFile: ${host.configFile}, url: '`))
  const listener = (verb: string) => launch(['--config', withFiles, 'listener', verb]).outcome
  const file = join(host.programDir, 'agent-listener.conf')

  await t.test('status leaves the spool as it is', async (t) => {
    t.match(await listener('status'), { code: 3, stdout: /not installed/ })
    t.notOk(existsSync(join(host.folder, 'spool')))
    mkdirSync(join(host.folder, 'spool'), { mode: 0o700 })
    await listener('status')
    t.equal(statSync(join(host.folder, 'spool')).mode & 0o777, 0o700)
  })

  t.match(await listener('install'), { code: 0 })
  await host.kill('SIGKILL')

  await t.test('status reads the files', async (t) => {
    t.match(await listener('status'), { code: 3, stdout: /installed in .*agent-listener.conf, not loaded/ })
  })

  await t.test('what to set is said where the files are not known', async (t) => {
    for (const verb of ['status', 'remove'])
      t.match(
        await agent.run('listener', verb),
        { code: 4, stdout: '', stderr: /set supervisor.configFile in the agent config to its main file/ },
        verb,
      )
  })

  await t.test('install says that it must run', async (t) => {
    for (const config of [agent.configFile, withFiles])
      t.match(await launch(['--config', config, 'listener', 'install']).outcome, {
        code: 4,
        stderr: /supervisord must run/,
      })
  })

  await t.test('remove works from the files', async (t) => {
    t.ok(existsSync(file))
    t.match(await listener('remove'), { code: 0, stdout: /is removed/ })
    t.notOk(existsSync(file))
    t.match(await listener('status'), { code: 3, stdout: /not installed/ })
  })
})

await t.test(
  'the pid of a supervisord elsewhere is not taken for the process of that number here',
  async (t) => {
    const host = await supervisord(t)
    // a process with arguments as supervisord has them: taken for one, it would lead to that file
    const script = join(host.folder, 'other.py')
    writeFileSync(script, 'import time; time.sleep(600)')
    writeFileSync(join(host.folder, 'other.conf'), '[include]\nfiles=conf.d/*.conf\n')
    const other = spawn(supervisorCommand().python, [script, '-c', join(host.folder, 'other.conf')])
    t.teardown(() => other.kill('SIGKILL'))
    const answer = `<methodResponse><params><param><value><int>${other.pid}</int></value></param></params></methodResponse>`
    const socket = join(host.folder, 'elsewhere.sock')
    const server = createServer((_request, response) => response.end(answer)).listen(socket)
    t.teardown(() => server.close())
    const agent = new AgentProcess(host)
    const text = readFileSync(agent.configFile, 'utf8')
    writeFileSync(agent.configFile, text.replace(host.url, `unix://${socket}`))
    t.match(await agent.run('listener', 'status'), {
      code: 1,
      stderr: /files of supervisord are not known; set supervisor.configFile/,
    })
  },
)
