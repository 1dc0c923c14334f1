import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { parse } from 'yaml'
import { agentProcess } from '../fixtures/agent-process.ts'
import { supervisord } from '../fixtures/supervisord.ts'

await t.test('programs on the command line, from a YAML file and back', async (t) => {
  const host = await supervisord(t, { programs: { web: { command: 'sleep 300' } } })
  const agent = await agentProcess(t, host, { listener: true })
  const program = (...args: string[]) => agent.run('program', ...args)
  const file = join(host.folder, 'mail.yaml')
  writeFileSync(file, `command: /bin/sleep 300\nstartSecs: 0\nstdoutLogfile: ${host.logDir}/mail.log\n`)

  t.match(await program('plan', 'mail', '--file', file), { code: 10, stdout: /\+command=\/bin\/sleep 300/ })
  t.match(await program('put', 'mail', '--file', file, '--start-retries', '2'), { code: 0 })
  const shown = await program('show', 'mail')
  t.match(shown, { code: 0, stderr: '', stdout: /^mail: 1 of 1 running, managed, / })
  const [, yaml = ''] = shown.stdout.split('\n\n')
  t.match(parse(yaml), { command: '/bin/sleep 300', startRetries: 2, startSecs: 0 }, 'its definition as YAML')
  t.match(await program('show', 'web'), { code: 0, stdout: /command: sleep 300/ })
  t.match(await program('ls'), { code: 0, stdout: /^mail +managed +- +1\/1 /m })
  t.match(await program('show', 'none'), { code: 1, stderr: /no program none/ })

  writeFileSync(file, 'command: /bin/true\n  name: x\n')
  t.match(await program('put', 'mail', '--file', file), {
    code: 2,
    stderr: /mail\.yaml: .* at line 1, column/,
  })
  t.match(await program('rm', 'mail'), { code: 0 })
})
