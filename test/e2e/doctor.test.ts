// `agent doctor` as an administrator types it: with the daemon, without it, and on a host where all is well.
import { spawn } from 'node:child_process'
import { chmodSync, copyFileSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import type { Finding } from '../../src/protocol/doctor.ts'
import { AgentProcess, type Outcome } from '../fixtures/agent-process.ts'
import { noNamespace } from '../fixtures/namespace.ts'
import { supervisord } from '../fixtures/supervisord.ts'

const SKIP = process.getuid?.() === 0 ? noNamespace() : 'only root sees all that the doctor looks at'

/** Words that give the command behind them a cron of their own to see: its pid file, and its command. */
function withCron(pid: number): string[] {
  const mounts = `mount -t tmpfs tmpfs /run && echo "$0" > /run/crond.pid &&
mount -t tmpfs -o mode=755 tmpfs /usr/local/sbin && cp /bin/true /usr/local/sbin/crontab && exec "$@"`
  return ['unshare', '-m', 'sh', '-c', mounts, String(pid)]
}

function findings({ stdout }: Outcome): Finding[] {
  return (JSON.parse(stdout) as { findings: Finding[] }).findings
}

function wrong(outcome: Outcome): string[] {
  return findings(outcome).flatMap(({ check, severity }) => (severity === 'ok' ? [] : [check]))
}

await t.test('agent doctor', { skip: SKIP }, async (t) => {
  const host = await supervisord(t, { programs: { web: { command: 'sleep 600' } } })
  const cron = join(host.folder, 'cron')
  copyFileSync('/bin/sleep', cron)
  chmodSync(cron, 0o755)
  const daemon = spawn(cron, ['600'])
  t.teardown(() => daemon.kill('SIGKILL'))
  const agent = new AgentProcess(host, `policy: { logDirectories: ['${host.logDir}'] }\n`)
  t.teardown(async () => {
    if (agent.isRunning) await agent.stop('SIGKILL')
  })
  await agent.run('listener', 'install')
  const start = () => agent.start({ under: withCron(daemon.pid ?? 0) })
  await start()

  await t.test('all is well: exit 0, a line, and every question with --verbose', async (t) => {
    const outcome = await agent.run('--json', 'doctor')
    t.same(wrong(outcome), [])
    t.equal(outcome.code, 0)
    const asked = new Set(findings(outcome).map(({ check }) => check))
    t.ok(asked.size >= 20, `${asked.size} questions`)
    for (const check of ['agent', 'config-file', 'supervisor-socket', 'listener-connected', 'audit-chain'])
      t.ok(asked.has(check), check)
    t.match(await agent.run('doctor'), { code: 0, stdout: /^\d+ questions asked: 0 failures, 0 warnings\n$/ })
    t.match(await agent.run('doctor', '-v'), { code: 0, stdout: /^OK {7}cron: .*\? Yes\.$/m })
  })

  await t.test('something is wrong: exit 1, what was seen, and what cures it', async (t) => {
    chmodSync(join(host.folder, 'state'), 0o755)
    const { code, stdout } = await agent.run('doctor')
    t.equal(code, 1)
    t.match(stdout, /^FAILURE {2}state-folder: .*\n {9}\| mode 0755\n {9}fix: chmod 700 .*\n/)
    t.match(stdout, /1 failure, 0 warnings\n$/)
    chmodSync(join(host.folder, 'state'), 0o700)
    writeFileSync(join(host.programDir, 'half.conf'), '[program:half]\nstartsecs=1\n')
    t.same(wrong(await agent.run('--json', 'doctor')), ['supervisor-files'])
    writeFileSync(join(host.programDir, 'half.conf'), '')
  })

  await t.test('one socket is asked, and no more of this host is looked at', async (t) => {
    const outcome = await agent.run('--socket', join(agent.runDir, 'admin.sock'), '--json', 'doctor')
    t.equal(outcome.code, 0)
    t.notOk(findings(outcome).some(({ check }) => check === 'agent'))
    const nobody = await agent.run('--socket', join(host.folder, 'no.sock'), 'doctor')
    t.match(nobody, { code: 4, stderr: /no agent answers/ })
  })

  await t.test('without the daemon it says so, and asks what it can', async (t) => {
    await agent.run('stop', 'web')
    await agent.stop()
    const [audit = ''] = readdirSync(join(host.folder, 'state/audit'))
    const record = join(host.folder, 'state/audit', audit)
    writeFileSync(record, readFileSync(record, 'utf8').replace('process.stop', 'process.stab'))
    const outcome = await agent.run('--json', 'doctor')
    t.equal(outcome.code, 1)
    t.strictSame(
      wrong(outcome).filter((check) => check !== 'cron'),
      ['agent', 'audit-chain'],
    )
    const asked = new Set(findings(outcome).map(({ check }) => check))
    for (const check of [
      'supervisor-socket',
      'supervisor-files',
      'processes',
      'listener-installed',
      'tokens-file',
    ])
      t.ok(asked.has(check), check)
    t.notOk(asked.has('listener-connected'))
  })

  await t.test('nor with supervisord, nor with a config that can be read', async (t) => {
    await host.kill('SIGKILL')
    t.same(
      wrong(await agent.run('--json', 'doctor')).filter((check) => check !== 'cron'),
      ['agent', 'supervisor-socket', 'audit-chain'],
    )
    mkdirSync(join(host.folder, 'other'))
    const config = join(host.folder, 'other/agent.yaml')
    writeFileSync(config, 'listen: { port: never }\n')
    const broken = await agent.run('--config', config, '--json', 'doctor')
    t.equal(broken.code, 1)
    t.match(findings(broken), [
      { check: 'config-file', severity: 'failure', message: /agent\.yaml:1: listen\.port/ },
    ])
  })
})
