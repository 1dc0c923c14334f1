import { chmodSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { cronEnvironment } from '../../../src/core/crontab/cron-environment.ts'
import {
  environmentFile,
  setprivLaunch,
  systemdLaunch,
  type Task,
} from '../../../src/core/host/run-as-argv.ts'
import { noNamespace } from '../../fixtures/namespace.ts'
import { supervisorCommand } from '../../fixtures/supervisor-command.ts'
import { run, scratch } from '../crontab/shim-harness.ts'

const task: Task = {
  user: { name: 'worker', uid: 6001, gid: 6002 },
  argv: ['/usr/bin/php', 'artisan', 'queue:restart'],
  env: { HOME: '/home/worker', PATH: '/usr/bin' },
  directory: '/srv/shop',
}

await t.test('how systemd is asked', async (t) => {
  const options = { unit: 'task-1', environmentFile: '/var/lib/x/env', isAttached: true }
  const { argv, env, handed } = systemdLaunch(task, options)
  t.strictSame(argv, [
    '/usr/bin/systemd-run',
    '--quiet',
    '--collect',
    '--no-ask-password',
    '--unit=task-1',
    '--uid=worker',
    '--working-directory=/srv/shop',
    '--property=EnvironmentFile=/var/lib/x/env',
    '--property=UnsetEnvironment=INVOCATION_ID JOURNAL_STREAM LANG LOGNAME SHELL SYSTEMD_EXEC_PID USER',
    '--property=KillMode=process',
    '--pipe',
    '--',
    '/usr/bin/php',
    'artisan',
    'queue:restart',
  ])
  t.strictSame(env, { PATH: '/usr/bin:/bin', LC_ALL: 'C' }, 'nothing of the task is in its own environment')
  t.equal(handed, null)

  const detached = systemdLaunch({ ...task, deadlineMs: 1500 }, { ...options, isAttached: false }).argv
  t.notOk(detached.includes('--pipe'))
  t.strictSame(detached.slice(10), [
    '--property=StandardOutput=null',
    '--property=StandardError=null',
    '--',
    '/usr/bin/timeout',
    '--kill-after=10',
    '1.5',
    '/usr/bin/php',
    'artisan',
    'queue:restart',
  ])
  const dollars = systemdLaunch({ ...task, argv: ['/bin/sh', '-c', 'echo $HOME ${x} $$'] }, options).argv
  t.equal(
    dollars.at(-1),
    'echo $$HOME $${x} $$$$',
    'systemd makes one of two, and would put in variables else',
  )
  t.equal(
    environmentFile({ A: 'b c', B: `"quotes" \`and\` $HOME \\ 'x'\nline`, C: '' }),
    `A="b c"\nB="\\"quotes\\" \\\`and\\\` \\$HOME \\\\ 'x'\nline"\nC=""\n`,
  )
})

await t.test('how setpriv is asked', async (t) => {
  const options = { setpriv: '/usr/bin/setpriv', python: '/usr/bin/python3', ownUid: 0 }
  t.strictSame(setprivLaunch(task, options), {
    argv: [
      '/usr/bin/setpriv',
      '--reuid=6001',
      '--regid=6002',
      '--init-groups',
      '--',
      '/usr/bin/php',
      'artisan',
      'queue:restart',
    ],
    env: task.env,
    handed: null,
  })
  for (const name of ['LD_PRELOAD', 'APP_KEY', 'LANG', 'TZ', 'OPENSSL_CONF', 'PYTHONPATH']) {
    const launch = setprivLaunch({ ...task, env: { ...task.env, [name]: 'secret' } }, options)
    t.strictSame(launch?.env, { PATH: '/usr/bin:/bin', LC_ALL: 'C' }, `root does not get ${name}`)
    t.notMatch(launch?.argv.join(' '), 'secret')
    t.strictSame(launch?.argv.slice(5, 9), ['/usr/bin/python3', '-I', '-S', '-c'])
    t.strictSame(JSON.parse(launch?.handed ?? ''), { ...task.env, [name]: 'secret' })
    t.equal(setprivLaunch({ ...task, env: { [name]: 'x' } }, { ...options, python: null }), null)
  }
  t.strictSame(
    setprivLaunch({ ...task, env: { LD_PRELOAD: 'x' }, deadlineMs: 60_000 }, { ...options, ownUid: 6001 }),
    {
      argv: ['/usr/bin/timeout', '--kill-after=10', '60', ...task.argv],
      env: { LD_PRELOAD: 'x' },
      handed: null,
    },
    'who is that user already changes nothing',
  )
})

await t.test('the environment of a cron job', async (t) => {
  const user = { name: 'alice', home: '/home/alice' }
  t.strictSame(cronEnvironment(user, 'debian'), {
    HOME: '/home/alice',
    LOGNAME: 'alice',
    PATH: '/usr/bin:/bin',
    SHELL: '/bin/sh',
  })
  t.match(cronEnvironment(user, 'cronie'), { USER: 'alice', PATH: '/usr/bin:/bin:/usr/sbin:/sbin' })
})

const skip = process.getuid?.() !== 0 ? 'only root can become another user' : noNamespace()
await t.test('tasks of another user', { skip }, async (t) => {
  const folder = scratch(t)
  mkdirSync(join(folder, 'open'))
  chmodSync(join(folder, 'open'), 0o777)
  writeFileSync(join(folder, 'passwd'), 'root:x:0:0::/root:/bin/sh\nworker:x:6001:6001::/:/bin/false\n')
  writeFileSync(
    join(folder, 'group'),
    'root:x:0:\nworker:x:6001:\nweb:x:6100:worker\nlogs:x:6200:other,worker\n',
  )
  const script =
    'mount --bind "$1/passwd" /etc/passwd && mount --bind "$1/group" /etc/group && exec env -i "$2" --import tsx "$3" "$1" "$4"'
  const probe = join(import.meta.dirname, 'run-as-tasks.ts')
  const { stdout, stderr } = await run([
    'unshare',
    '-m',
    'sh',
    '-c',
    script,
    'sh',
    folder,
    process.execPath,
    probe,
    supervisorCommand().python,
  ])
  t.equal(stderr.toString(), '')
  const told = JSON.parse(stdout.toString()) as Record<string, unknown>
  t.equal(told['id'], 'worker\nworker\nworker web logs\n/usr\n0022\n', 'its groups too, and no input')
  t.equal(told['plainEnv'], 'HOME=/\nLOGNAME=worker\nPATH=/usr/bin:/bin\nPWD=/usr\nSHELL=/bin/sh\n')
  t.match(told['oddEnv'], {
    A: `two\nlines 'and' "quotes" $HOME \\`,
    LD_LIBRARY_PATH: '/nowhere',
    SECRET: 'geheim ✓',
  })
  t.notMatch(told['commandLine'], 'geheim')
  t.match(told['ended'], { exitStatus: 3, signal: null, isLate: false, output: 'out\nerr\n' })
  t.match(told['killed'], { exitStatus: null, signal: 'SIGKILL' })
  t.match(told['late'], { exitStatus: 124, isLate: true, output: 'on\n' })
  t.match(told['missing'], '/nowhere')
  t.match(told['noPython'], 'Python 3')
  t.equal(told['aborted'], 'TimeoutError')
  t.equal(told['outlivesWaiting'], true, 'who waits no more does not end it')
  t.match(told['started'], /^\d+ 6001$/)
  t.equal(told['long'], 'xxxx\nend\n', 'the end of much output')
  t.match(told['signals'], /SigBlk:\t0{16}\nSigIgn:\t0{16}\n/)
  t.strictSame(readdirSync(join(folder, 'tasks')), [], 'nothing is left')
})
