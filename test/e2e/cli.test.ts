import { appendFileSync, existsSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import t from 'tap'
import { onTerminal } from '../cli/terminal.ts'
import { AgentProcess, agentProcess, launch } from '../fixtures/agent-process.ts'
import { supervisord } from '../fixtures/supervisord.ts'
import { until } from '../fixtures/wait.ts'

const NAP = { command: 'sleep 300', startsecs: 0 }
const LINES = `/bin/sh -c "i=0; while :; do i=$((i+1)); echo line $i; sleep 0.05; done"`
const WRITER = { command: LINES.replaceAll('%', '%%'), startsecs: 0 }

await t.test('the command line against a running agent', async (t) => {
  const host = await supervisord(t, {
    programs: {
      web: NAP,
      worker: { ...NAP, numprocs: 2, process_name: '%(program_name)s_%(process_num)02d' },
      writer: WRITER,
      rude: { command: `/bin/sh -c "printf '\\033[31mred\\033[0m \\007\\n'; exec sleep 300"` },
      broken: { command: `/bin/sh -c "echo out of memory >&2; exit 12"`, autostart: false, startretries: 0 },
      slow: { command: 'sleep 300', autostart: false, startsecs: 60 },
      silent: { ...NAP, stdout_logfile: 'NONE', stderr_logfile: 'NONE' },
    },
  })
  const agent = await agentProcess(t, host, { listener: true })
  await until(async () => (await agent.run('status', 'writer', 'web', 'silent')).code === 0, 'all to run')

  await t.test(
    'status prints a line a process, as supervisorctl does, and exits 3 when some are down',
    async (t) => {
      const { code, stdout } = await agent.run('status')
      t.equal(code, 3)
      t.match(stdout, /^web +RUNNING +pid \d+, uptime \d:\d\d:\d\d$/m)
      t.match(stdout, /^broken +STOPPED +not started$/m)
      const names = (text: string) => text.split('\n').flatMap((line) => line.split(' ')[0] || [])
      const theirs = await host.ctl('status')
      t.same(
        names(stdout),
        names(theirs.stdout).filter((name) => name !== 'supervisor-agent'),
      )
    },
  )

  await t.test(
    'status exits 0 when all that were asked for run, and 4 for one that is unknown',
    async (t) => {
      t.match(await agent.run('status', 'web', 'worker:*'), { code: 0 })
      t.match(await agent.run('status', 'nobody'), { code: 4, stderr: /nothing matches nobody/ })
    },
  )

  await t.test('the fast way and the full way print the same', async (t) => {
    const fast = await launch(['--socket', join(agent.runDir, 'admin.sock'), 'status', 'worker:*', '--json'])
      .outcome
    const full = await agent.run('--json', 'status', 'worker:*')
    const strip = (text: string) => text.replaceAll(/"(?:uptimeMs|cpuPercent|memoryBytes|seq)":[^,}]+/g, '')
    t.equal(strip(fast.stdout), strip(full.stdout))
  })

  await t.test('restart says what it did, for people and for programs', async (t) => {
    t.match(await agent.run('restart', 'worker:*'), {
      code: 0,
      stdout: 'worker:worker_00: done\nworker:worker_01: done\n',
    })
    const { stdout } = await agent.run('--json', 'restart', 'web')
    t.same(JSON.parse(stdout), { results: [{ process: 'web', ok: true, changed: true }] })
  })

  await t.test('stop and start; what is done already is no failure', async (t) => {
    t.match(await agent.run('stop', 'web'), { code: 0, stdout: 'web: done\n' })
    t.match(await agent.run('stop', 'web'), { code: 0, stdout: 'web: nothing to do\n' })
    t.match(await agent.run('start', 'web'), { code: 0, stdout: 'web: done\n' })
  })

  await t.test('a start that fails says why and exits 1', async (t) => {
    const { code, stdout } = await agent.run('start', 'broken')
    t.equal(code, 1)
    t.match(stdout, /broken: START_FAILED broken is (?:FATAL|BACKOFF): .*exit status 12/)
    await until(
      async () => /broken +FATAL/.test((await agent.run('status', 'broken')).stdout),
      'the last try',
    )
    t.match(await agent.run('status', 'broken'), { code: 3, stdout: /broken +FATAL/ })
  })

  const usage = [
    { args: ['restart'], stderr: /missing required argument 'select'/ },
    { args: ['restart', 'web', '--mode', 'gentle'], stderr: /Allowed choices are hard, graceful, rolling/ },
    { args: ['restart', 'web', '--timeout-ms', 'soon'], stderr: /a whole number is needed/ },
    { args: ['restart', 'web', '--timeout-ms', '5'], stderr: /timeoutMs/ },
    { args: ['fly'], stderr: /unknown command 'fly'/ },
    { args: ['status', '--fly'], stderr: /unknown option '--fly'/ },
    { args: ['token', 'create', 'x'], stderr: /--role is needed/ },
    { args: ['token', 'create', 'x', '--role', 'king'], stderr: /one of viewer, operator, deployer, admin/ },
    { args: ['logs', 'web', '--err', '--both'], stderr: /either --err or --both/ },
    { args: ['events', '--since', 'yesterday'], stderr: /EPOCH:SEQ/ },
    { args: ['--url', 'ws://127.0.0.1:1/ws', 'info'], stderr: /--url needs --token-file/ },
    { args: ['--url', 'garbage', '--token-file', '/dev/null', 'info'], stderr: /expected wss:/ },
    { args: ['completion', 'tcsh'], stderr: /bash, zsh or fish/ },
  ]
  for (const { args, stderr } of usage)
    await t.test(`agent ${args.join(' ')} is wrong usage, said in words and as JSON`, async (t) => {
      const said = await agent.run(...args, '--json')
      t.match(said, { code: 2, stderr })
      const { error } = JSON.parse(said.stdout) as { error: { message: string } }
      t.match(error, {
        message: stderr,
        data: { name: /^(?:INVALID_PARAMS|METHOD_NOT_FOUND)$/, retry: false },
      })
    })

  await t.test('without --json an error is on stderr alone, and behind -- it is no option', async (t) => {
    t.match(await agent.run('fly'), { code: 2, stdout: '', stderr: /unknown command/ })
    t.match(await agent.run('token'), { code: 2, stdout: '' })
    t.match(await agent.run('fly', '--', '--json'), { code: 2, stdout: '' })
    t.match(JSON.parse((await agent.run('token', '--json')).stdout), {
      error: { message: /command is missing/ },
    })
  })

  await t.test('logs prints the end of a log; -n how much', async (t) => {
    const { code, stdout } = await agent.run('logs', '-n', '3', 'writer')
    t.equal(code, 0)
    t.match(stdout, /^(?:line \d+\n){3}$/)
  })

  await t.test('logs -f follows until it is interrupted, each line once', async (t) => {
    const following = launch(['--config', agent.configFile, 'logs', '-f', '-n', '1', 'writer'])
    await until(() => following.stdout().split('\n').length > 20, 'twenty lines')
    following.child.kill('SIGINT')
    const { code, stdout } = await following.outcome
    t.equal(code, 0)
    const numbers = stdout
      .split('\n')
      .flatMap((line) => (/^line \d+$/.test(line) ? [Number(line.slice(5))] : []))
    t.same(
      numbers,
      numbers.map((_number, index) => Number(numbers[0]) + index),
    )
  })

  await t.test('logs of several processes have a prefix each', async (t) => {
    const { stdout } = await agent.run('logs', '-n', '1', 'writer', 'rude')
    t.match(stdout, /^writer \| line \d+$/m)
    t.match(stdout, /^rude {3}\| /m)
  })

  await t.test('a process without a log is told with what to set', async (t) => {
    t.match(await agent.run('logs', 'silent'), {
      code: 1,
      stderr: /silent has no stdout log: set stdout_logfile/,
    })
    t.match(await agent.run('logs', '-f', 'silent'), { code: 1, stderr: /silent has no stdout log/ })
  })

  await t.test('logs -f --both ends with its last log, and tells which there are not', async (t) => {
    host.writeProgram('short', { ...WRITER, stderr_logfile: 'NONE' })
    t.match(await agent.run('supervisor', 'update', 'short'), { code: 0 })
    await until(async () => (await agent.run('status', 'short')).code === 0, 'short to run')
    const tokenFile = join(host.folder, 'reader')
    writeFileSync(tokenFile, (await agent.run('token', 'create', 'reader', '--role', 'viewer')).stdout)
    const remote = ['--url', await agent.address(), '--token-file', tokenFile]
    const following = launch([...remote, 'logs', '-f', '--both', 'short'])
    t.teardown(() => following.child.kill('SIGKILL'))
    await until(() => following.stdout().includes('line'), 'its line')
    const tokens = join(host.folder, 'tokens.json')
    writeFileSync(tokens, readFileSync(tokens, 'utf8').replaceAll('"*"', '"web"'))
    t.match(await following.outcome, {
      code: 1,
      stderr: /left out, they have no log file: short stderr\n[^]*the right to read this log has ended/,
    })
    await agent.run('stop', 'short')
  })

  await t.test('logs -f goes on over an update of its group, and ends when that is removed', async (t) => {
    const update = () => agent.run('supervisor', 'update', 'leaver')
    host.writeProgram('leaver', WRITER)
    t.match(await update(), { code: 0 })
    await until(async () => (await agent.run('status', 'leaver')).code === 0, 'leaver to run')
    const following = launch(['--config', agent.configFile, 'logs', '-f', '--both', 'leaver'])
    t.teardown(() => following.child.kill('SIGKILL'))
    await until(() => following.stdout().includes('line'), 'its line')
    host.writeProgram('leaver', { ...WRITER, priority: 5 })
    t.match(await update(), { code: 0, stdout: /leaver: changed/ })
    const { length } = following.stdout()
    await until(() => following.stdout().length > length + 500, 'more lines')
    t.equal(following.child.exitCode, null)
    rmSync(join(host.programDir, 'leaver.conf'))
    t.match(await update(), { code: 0, stdout: /leaver: removed/ })
    t.match(await following.outcome, { code: 1, stderr: /^agent: leaver: it was removed \S+ \S+\n$/ })
  })

  await t.test(
    '--timeout-ms before and after the command: for each process, or for the answer',
    async (t) => {
      for (const args of [
        ['--timeout-ms', '300', 'start', 'slow'],
        ['start', 'slow', '--timeout-ms', '300'],
        ['--timeout-ms', '90000', 'start', 'slow', '--timeout-ms', '300'],
      ]) {
        t.match(await agent.run(...args), { code: 1, stdout: /slow: TIMEOUT/ }, args.join(' '))
        await agent.run('stop', 'slow')
      }
      t.match(await agent.run('--timeout-ms', '60000', 'info'), { code: 0 })
      t.match(await agent.run('info', '--timeout-ms', '0'), { code: 2, stderr: /1 or more is needed/ })
      const silent = createServer(() => undefined).listen(join(host.folder, 'silent.sock'))
      t.teardown(() => silent.close())
      for (const command of ['info', 'status'])
        t.match(
          await launch(['--socket', join(host.folder, 'silent.sock'), command, '--timeout-ms', '200'])
            .outcome,
          { code: 4, stdout: '', stderr: /no agent answered within 200 ms/ },
          command,
        )
    },
  )

  await t.test('the log of supervisord is raw in a pipe and harmless on a terminal', async (t) => {
    appendFileSync(host.mainLog, 'odd \u001b[31m line\n')
    t.match((await agent.run('supervisor', 'log')).stdout, 'odd \u001b[31m line')
    const { stdout } = await onTerminal(['--config', agent.configFile, 'supervisor', 'log'])
    t.match(stdout, 'odd ^[[31m line')
    t.notMatch(stdout, '\u001b[31m')
  })

  await t.test('control characters are raw in a pipe', async (t) => {
    t.match((await agent.run('logs', 'rude')).stdout, '\u001b[31mred')
  })

  await t.test('clear empties a log, also of a process that is down', async (t) => {
    await agent.run('stop', 'writer')
    const path = join(host.logDir, 'writer.out')
    t.ok(statSync(path).size > 0)
    t.match(await agent.run('clear', 'writer'), { code: 0 })
    t.equal(statSync(path).size, 0)
    await agent.run('start', 'writer')
  })

  await t.test('events are printed as they happen, with the actor', async (t) => {
    const events = launch(['--config', agent.configFile, 'events'])
    await until(() => events.stdout().includes('processes at event'), 'the snapshot')
    await agent.run('restart', 'web')
    await until(() => /web STARTING -> RUNNING .*by local:admin/.test(events.stdout()), 'the restart')
    events.child.kill('SIGTERM')
    const { code, stdout } = await events.outcome
    t.equal(code, 0)
    t.match(stdout, /web RUNNING -> STOPPING \(pid \d+\) by local:admin/)
    t.match(stdout, /web STOPPING -> STOPPED \(pid \d+, SIGTERM\) by local:admin/)
  })

  await t.test('events --json are lines that tell their position, and --since goes on from it', async (t) => {
    const read = async (...more: string[]) => {
      const events = launch(['--config', agent.configFile, '--json', 'events', ...more])
      await until(
        () => events.stdout().includes('"RUNNING","pid"') || events.stdout().includes('"kind":"event"'),
        'events',
      )
      events.child.kill('SIGTERM')
      return (await events.outcome).stdout
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line) as { epoch: string; seq: number; kind: string })
    }
    const { epoch, seq } = JSON.parse((await agent.run('--json', 'status')).stdout) as {
      epoch: string
      seq: number
    }
    await agent.run('restart', 'worker:worker_00')
    const items = await read('--since', `${epoch}:${seq}`, '--types', 'process.*')
    t.equal(items[0]?.kind, 'event')
    t.equal(items[0]?.seq, seq + 1)
  })

  await t.test('info and supervisor info', async (t) => {
    t.match(await agent.run('info'), { code: 0, stdout: /events from +the event listener/ })
    t.match(await agent.run('supervisor', 'info'), {
      code: 0,
      stdout: /listener +connected, buffer 2000, 0 events lost/,
    })
    t.match(await agent.run('supervisor', 'log', '--bytes', '500'), { code: 0, stdout: /spawned: / })
  })

  await t.test('supervisor reread and update touch what was changed and nothing else', async (t) => {
    const pid = async (name: string) =>
      (JSON.parse((await agent.run('--json', 'status', name)).stdout) as { processes: { pid: number }[] })
        .processes[0]?.pid
    const before = await pid('web')
    host.writeProgram('fresh', NAP)
    t.match(await agent.run('supervisor', 'reread'), { code: 0, stdout: 'fresh: added\n' })
    t.match(await agent.run('supervisor', 'update', 'fresh'), { code: 0, stdout: 'fresh: added\n' })
    await until(async () => (await agent.run('status', 'fresh')).code === 0, 'fresh to run')
    t.equal(await pid('web'), before)
  })

  await t.test('a remote agent by --url and a token; a revoked token ends what runs', async (t) => {
    const url = await agent.address()
    const made = await agent.run('token', 'create', 'panel-1', '--role', 'operator')
    t.match(made, { code: 0, stdout: /^agt_\w{10}_\w{49}\n$/ })
    const tokenFile = join(host.folder, 'token')
    writeFileSync(tokenFile, made.stdout)
    const remote = (...args: string[]) => launch(['--url', url, '--token-file', tokenFile, ...args])
    t.match(await remote('status', 'web').outcome, { code: 0, stdout: /^web +RUNNING/ })
    t.match(await remote('restart', 'web').outcome, { code: 0, stdout: 'web: done\n' })
    t.match(await remote('token', 'ls').outcome, { code: 4, stderr: /needs the scope admin/ })
    t.match(await agent.run('token', 'ls'), { code: 0, stdout: /panel-1 +operator/ })

    const following = remote('logs', '-f', 'writer')
    await until(() => following.stdout().includes('line'), 'the first line')
    t.match(await agent.run('token', 'revoke', 'panel-1'), { code: 0 })
    t.match(await following.outcome, { code: 4, stderr: /revoked|4401/ })
    t.match(await remote('status').outcome, { code: 4, stderr: /401/ })
    t.notMatch(agent.read('tokens.json'), made.stdout.trim().slice(-40), 'its text is nowhere kept')
    t.notMatch(agent.daemon.stderr(), made.stdout.trim().slice(-40))
  })
})

await t.test('without a running agent', async (t) => {
  const host = await supervisord(t, { programs: { web: NAP } })
  const agent = new AgentProcess(host)

  await t.test('status says so and exits 4', async (t) => {
    t.match(await agent.run('status'), {
      code: 4,
      stderr: /no agent answers on .*systemctl status supervisor-agent/,
    })
    t.match(await launch(['--socket', join(host.folder, 'none.sock'), 'status']).outcome, {
      code: 4,
      stderr: /no agent answers/,
    })
  })

  await t.test('a token is made all the same, and is in force when the agent starts', async (t) => {
    const { stdout } = await agent.run('token', 'create', 'early', '--role', 'viewer')
    t.match(stdout, /^agt_/)
    t.equal(statSync(join(host.folder, 'tokens.json')).mode & 0o777, 0o600)
    await agent.start()
    t.teardown(() => agent.stop('SIGKILL'))
    const tokenFile = join(host.folder, 'token')
    writeFileSync(tokenFile, stdout)
    const url = await agent.address()
    t.match(await launch(['--url', url, '--token-file', tokenFile, 'status', 'web']).outcome, { code: 0 })
    t.match(await launch(['--url', url, '--token-file', tokenFile, 'restart', 'web']).outcome, {
      code: 4,
      stderr: /needs the scope control/,
    })
    await agent.stop()
  })

  await t.test('the listener is installed, looked at and removed', async (t) => {
    t.match(await agent.run('listener', 'status'), { code: 3, stdout: /not installed/ })
    t.match(await agent.run('listener', 'install'), { code: 0, stdout: /is installed in/ })
    t.match(await agent.run('listener', 'status'), { code: 0, stdout: /RUNNING, buffer 2000, up to date/ })
    t.match(await agent.run('listener', 'remove'), { code: 0, stdout: /is removed/ })
    t.match(await agent.run('listener', 'status'), { code: 3, stdout: /not installed/ })
  })

  await t.test(
    'init makes a host ready, twice without harm, and --remove takes the listener out',
    async (t) => {
      const before = (await host.ctl('pid', 'web')).stdout
      t.match(await agent.run('init'), { code: 0, stdout: /kept .*agent.yaml[\s\S]*installed/ })
      t.match(await agent.run('init'), { code: 0, stdout: /was there already/ })
      t.match(await agent.run('init', '--remove'), { code: 0, stdout: /removed from supervisord/ })
      t.notOk(existsSync(join(host.programDir, 'agent-listener.conf')))
      t.equal((await host.ctl('pid', 'web')).stdout, before, 'no worker was touched')
    },
  )

  await t.test('init --json prints one object and nothing else', async (t) => {
    const made = await agent.run('--json', 'init')
    t.match(JSON.parse(made.stdout), {
      config: agent.configFile,
      configWritten: false,
      listener: { changed: true, groupState: 'RUNNING' },
    })
    const removed = await agent.run('--json', 'init', '--remove')
    t.match(JSON.parse(removed.stdout), { config: agent.configFile, listener: { changed: true } })
  })

  await t.test('config check names file, line and key', async (t) => {
    t.match(await agent.run('config', 'check'), { code: 0, stdout: /is right/ })
    const file = join(host.folder, 'bad.yaml')
    writeFileSync(file, 'name: x\nlisten:\n  prot: 9877\n')
    t.match(await launch(['--config', file, 'config', 'check']).outcome, {
      code: 2,
      stderr: `agent: ${file}:3: listen.prot: there is no such key\n`,
    })
    t.match(await launch(['--config', file, 'daemon']).outcome, { code: 2 })
  })
})
