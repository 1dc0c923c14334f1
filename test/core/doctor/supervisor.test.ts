// Each check with the fault that it is to find, made for real, and silent where all is well: those of supervisord.
import { execFileSync } from 'node:child_process'
import { appendFileSync, chmodSync, mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { UNASKED } from '../../../src/core/doctor/check.ts'
import { exitStatuses } from '../../../src/core/doctor/exit-statuses.ts'
import { journal } from '../../../src/core/doctor/journal.ts'
import { listenerConnected } from '../../../src/core/doctor/listener-connected.ts'
import { listenerInstalled } from '../../../src/core/doctor/listener-installed.ts'
import { orphans } from '../../../src/core/doctor/orphans.ts'
import { processes } from '../../../src/core/doctor/processes.ts'
import { programDuplicates } from '../../../src/core/doctor/program-duplicates.ts'
import { programFolder } from '../../../src/core/doctor/program-folder.ts'
import { supervisorDescriptors } from '../../../src/core/doctor/supervisor-descriptors.ts'
import { supervisorDoors } from '../../../src/core/doctor/supervisor-doors.ts'
import { supervisorFiles } from '../../../src/core/doctor/supervisor-files.ts'
import { supervisorSocket } from '../../../src/core/doctor/supervisor-socket.ts'
import { supervisorVersion } from '../../../src/core/doctor/supervisor-version.ts'
import { systemdStop } from '../../../src/core/doctor/systemd-stop.ts'
import { ListenerInstall } from '../../../src/core/supervisor/listener-install.ts'
import { supervisord } from '../../fixtures/supervisord.ts'
import { until } from '../../fixtures/wait.ts'
import { AGENT, found, host } from './support.ts'

const SHIM = join(import.meta.dirname, '../../../assets/event-listener.py')

await t.test('no supervisord: one failure says so, and what depends on it is not asked', async (t) => {
  const { at } = host(t)
  t.match(await found(supervisorSocket(at())), [
    { severity: 'failure', message: /no such socket/, fix: /systemctl start supervisor/ },
  ])
  const away = [supervisorVersion, supervisorFiles, programFolder, programDuplicates, supervisorDoors]
  for (const check of [...away, supervisorDescriptors, listenerInstalled, processes, systemdStop])
    t.equal(await found(check(at())), UNASKED, check.name)
  t.equal(await found(listenerConnected(at(), AGENT)), UNASKED)
  t.equal(await found(exitStatuses(at(), AGENT)), UNASKED)
  t.match(await found(supervisorFiles(at({ supervisor: { configFile: '/nowhere.conf' } }))), [
    { severity: 'failure', message: /nowhere\.conf cannot be read \(ENOENT\)/ },
  ])
})

await t.test('a real supervisord', async (t) => {
  const sd = await supervisord(t, {
    programs: {
      web: { command: 'sleep 300' },
      broken: { command: '/bin/sh -c "echo out of memory >&2; exit 12"', startretries: 0 },
    },
  })
  const { at, path } = host(t, sd.url)
  const write = (name: string, text: string) => writeFileSync(join(sd.programDir, name), text)
  const drop = (name: string) => rmSync(join(sd.programDir, name))

  await t.test('it answers, in a version that is known', async (t) => {
    t.same(await found(supervisorSocket(at())), [])
    t.same(await found(supervisorVersion(at())), [])
    t.same(await found(supervisorDescriptors(at())), [])
    const old = { ...at(), rpc: { call: async () => '3.3.1' } }
    t.match(await found(supervisorVersion(old)), [{ severity: 'warning', message: /3\.3\.1/ }])
  })

  await t.test('files that it would refuse, with the line', async (t) => {
    t.same(await found(supervisorFiles(at())), [])
    write('bad.conf', '[program:bad]\ncommand=/bin/true\nstartsecs=soon\n')
    t.match(await found(supervisorFiles(at())), [
      { severity: 'failure', message: /conf\.d\/bad\.conf:3: .*startsecs/, fix: /^editor \+3 .*bad\.conf$/ },
    ])
    write('bad.conf', 'command=/bin/true\n')
    t.match(await found(supervisorFiles(at())), [{ severity: 'failure', message: /bad\.conf:1: / }])
    drop('bad.conf')
  })

  await t.test('no folder for programs', async (t) => {
    t.same(await found(programFolder(at())), [])
    const main = path('alone.conf')
    writeFileSync(main, '[supervisord]\n')
    t.match(await found(programFolder(at({ supervisor: { configFile: main } }))), [
      { severity: 'warning', message: /includes no folder/, fix: /\[include\]/ },
    ])
    const gone = at({ supervisor: { programDir: path('gone') } })
    t.match(await found(programFolder(gone)), [{ severity: 'warning', message: /ENOENT/ }])
  })

  await t.test('a program in two files', async (t) => {
    t.same(await found(programDuplicates(at())), [])
    write('twin.conf', '[program:web]\ncommand=/bin/sleep 5\n')
    t.match(await found(programDuplicates(at())), [
      {
        severity: 'warning',
        message: /\[program:web\] is written 2 times/,
        evidence: /twin\.conf:1\n.*web\.conf:1/,
      },
    ])
    drop('twin.conf')
  })

  await t.test('doors that are open', async (t) => {
    t.same(await found(supervisorDoors(at())), [])
    const cases = [
      { port: '0.0.0.0:9001', login: '', severity: 'failure', message: /everybody who reaches/ },
      { port: '9001', login: '', severity: 'failure', message: /everybody who reaches/ },
      { port: '127.0.0.1:9001', login: '', severity: 'warning', message: /every user of this host/ },
      {
        port: '*:9001',
        login: 'username=u\npassword=hush-hush\n',
        severity: 'warning',
        message: /without TLS/,
      },
    ] as const
    for (const { port, login, severity, message } of cases) {
      write('door.conf', `[inet_http_server]\nport=${port}\n${login}`)
      const faults = await found(supervisorDoors(at()))
      t.match(faults, [{ severity, message, evidence: /door\.conf:2/ }], port)
      t.notMatch(JSON.stringify(faults), 'hush')
    }
    write('door.conf', '[inet_http_server]\nport=127.0.0.1:9001\nusername=u\npassword=p\n')
    t.same(await found(supervisorDoors(at())), [])
    drop('door.conf')
    chmodSync(sd.socket, 0o777)
    t.match(await found(supervisorDoors(at())), [
      { severity: 'failure', message: /open to all/, fix: /chmod 0700/ },
    ])
    chmodSync(sd.socket, 0o700)
  })

  await t.test('descriptors that do not suffice', async (t) => {
    execFileSync('prlimit', ['--nofile=48:1048', '--pid', String(sd.pid)])
    t.match(await found(supervisorDescriptors(at())), [
      { severity: 'failure', message: /2 processes can need 50 .* may open 48/, fix: /minfds=/ },
    ])
    execFileSync('prlimit', ['--nofile=1048:1048', '--pid', String(sd.pid)])
    t.same(await found(supervisorDescriptors(at())), [])
  })

  await t.test('the event listener', async (t) => {
    t.match(await found(listenerInstalled(at())), [
      { severity: 'warning', message: /is not installed/, fix: 'agent listener install' },
    ])
    const { rpc, discover } = at()
    const install = (bufferSize?: number) =>
      new ListenerInstall({
        rpc,
        discover,
        shimSource: SHIM,
        shimPath: path('spool/.bin/event-listener.py'),
        socketPath: path('run/listener.sock'),
        ...(bufferSize === undefined ? {} : { bufferSize }),
      }).install()
    await install(10)
    t.match(await found(listenerInstalled(at())), [
      { message: /keeps 10 events/, evidence: 'buffer_size=10' },
    ])
    await install()
    t.same(await found(listenerInstalled(at())), [])
    appendFileSync(path('spool/.bin/event-listener.py'), '# older\n')
    t.match(await found(listenerInstalled(at())), [{ severity: 'warning', message: /another version/ }])
    await install()
    await sd.ctl('stop', 'supervisor-agent')
    t.match(await found(listenerInstalled(at())), [{ severity: 'failure', message: /STOPPED/ }])
  })

  await t.test('processes', async (t) => {
    const isFatal = async () => (await sd.ctl('status', 'broken')).stdout.includes('FATAL')
    await until(isFatal, 'supervisord to give up')
    t.match(await found(processes(at())), [
      {
        severity: 'failure',
        message: /^broken is FATAL/,
        program: 'broken',
        evidence: /Exited too quickly/,
        logTail: /out of memory/,
        fix: /agent logs .* broken; agent start broken/,
      },
    ])
    const row = { program: 'x', spawnError: null, logTail: () => null, isCrashLoop: false, pid: 7 }
    const rows = [
      { ...row, name: 'a', state: 'RUNNING' },
      { ...row, name: 'b', state: 'RUNNING', pid: null },
      { ...row, name: 'c', state: 'RUNNING', isCrashLoop: true },
      { ...row, name: 'd', state: 'BACKOFF', pid: null },
      { ...row, name: 'e', state: 'STOPPED', pid: null },
    ]
    t.match(await found(processes({ ...at(), processes: async () => rows })), [
      { severity: 'failure', message: /^b .* no process/ },
      { severity: 'failure', message: /^c crashes/ },
      { severity: 'warning', message: /^d .*BACKOFF/ },
    ])
    await sd.ctl('remove', 'broken')
    t.same(await found(processes(at())), [])
  })

  await t.test('systemd', async (t) => {
    const systemctl = path('systemctl')
    const shown = (lines: string) => {
      writeFileSync(systemctl, `#!/bin/sh\nprintf 'MainPID=${sd.pid}\\n${lines}\\n'\n`, { mode: 0o755 })
      return found(systemdStop(at(), { proc: path('proc'), systemctl }))
    }
    t.equal(await shown('KillMode=mixed'), UNASKED, 'it is no service')
    mkdirSync(path(`proc/${sd.pid}`), { recursive: true })
    writeFileSync(path(`proc/${sd.pid}/cgroup`), '0::/system.slice/supervisor.service\n')
    t.same(await shown('KillMode=process\\nTimeoutStopUSec=1min 30s'), [])
    t.same(await shown('KillMode=mixed\\nTimeoutStopUSec=infinity'), [])
    t.match(await shown('KillMode=control-group\\nTimeoutStopUSec=5s'), [
      { message: /KillMode=control-group/, fix: /KillMode=mixed/ },
      { message: /5 s to end, .* stopwaitsecs=10/, fix: /TimeoutStopSec=40/ },
    ])
  })

  await t.test('what the agent knows', async (t) => {
    t.same(await found(listenerConnected(at(), AGENT)), [])
    const lost = { ...AGENT, listener: () => ({ connected: true, lost: 3 }) }
    t.match(await found(listenerConnected(at(), lost)), [{ message: /dropped 3 events/ }])
    const away = { ...AGENT, listener: () => ({ connected: false, lost: 0 }) }
    t.match(await found(listenerConnected(at(), away)), [{ message: /no event listener is connected/ }])
    t.same(await found(exitStatuses(at(), AGENT)), [])
    t.match(await found(exitStatuses(at(), { ...AGENT, hasExitStatuses: () => false })), [
      { message: new RegExp(sd.mainLog), fix: /^ls -l / },
    ])
    t.same(await found(orphans(AGENT)), [])
    const left = { ...AGENT, orphans: () => [{ process: 'web', pid: 4711 }] }
    t.match(await found(orphans(left)), [{ severity: 'failure', fix: 'kill 4711' }])
    t.same(await found(journal(at(), AGENT)), [])
    t.match(await found(journal(at(), { ...AGENT, isJournalBehind: () => true })), [{ severity: 'failure' }])
  })

  await t.test('a socket that a killed supervisord left', async (t) => {
    await sd.kill('SIGKILL')
    t.match(await found(supervisorSocket(at())), [{ severity: 'failure', message: /nobody listens there/ }])
  })
})
