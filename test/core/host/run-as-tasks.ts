// Tasks of another user, on a host with a passwd and a group file of the test's own. Prints what came of them.
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { RunAs, RunAsError, type Task } from '../../../src/core/host/run-as.ts'

const [folder = '', python = ''] = process.argv.slice(2)
const runAs = (known: string | null = python) =>
  new RunAs({ folder: join(folder, 'tasks'), python: () => known, isSystemd: false })
const task = (command: string, more: Partial<Task> = {}): Task => ({
  user: { name: 'worker', uid: 6001, gid: 6001 },
  argv: ['/bin/sh', '-c', command],
  env: { HOME: '/', LOGNAME: 'worker', PATH: '/usr/bin:/bin', SHELL: '/bin/sh' },
  directory: '/usr',
  ...more,
})
const never = new AbortController().signal
const run = async (command: string, more: Partial<Task> = {}) =>
  (await runAs().run(task(command, more), never)).output

const odd = { A: `two\nlines 'and' "quotes" $HOME \\`, LD_LIBRARY_PATH: '/nowhere', SECRET: 'geheim ✓' }
const ended = await runAs().run(task('echo out; echo err >&2; exit 3'), never)
const killed = await runAs().run(task('kill -9 $$'), never)
const late = await runAs().run(task('echo on; sleep 60', { deadlineMs: 1000 }), never)
const failure = (error: unknown) => (error instanceof RunAsError ? error.message : String(error))
const missing = await runAs()
  .run(task('true', { directory: '/nowhere' }), never)
  .catch(failure)
const noPython = await runAs(null)
  .run(task('true', { env: odd }), never)
  .catch(failure)
const commandLine = `tr '\\0' ' ' </proc/$$/cmdline`
const aborted = await runAs()
  .run(task('sleep 0.5; : >marker', { directory: join(folder, 'open') }), AbortSignal.timeout(100))
  .catch((error: unknown) => (error as Error).name)
await runAs().start(
  task('sleep 0.3; echo "$PPID $(id -u)" >started; ls -l /proc/self/fd >>started', {
    directory: join(folder, 'open'),
  }),
)
const waitFor = async (name: string) => {
  const path = join(folder, 'open', name)
  for (let tries = 0; tries < 1000 && !existsSync(path); tries++) await setTimeout(10)
  return existsSync(path)
}
process.stdout.write(
  JSON.stringify({
    id: await run('id -un; id -gn; id -Gn; pwd; umask; cat'),
    plainEnv: await run('env | sort'),
    oddEnv: JSON.parse(
      await run(`exec "${process.execPath}" -e 'process.stdout.write(JSON.stringify(process.env))'`, {
        env: odd,
      }),
    ) as unknown,
    commandLine: await run(commandLine, { env: odd }),
    ended,
    killed,
    late,
    missing,
    noPython,
    aborted,
    outlivesWaiting: await waitFor('marker'),
    started:
      (await waitFor('started')) && readFileSync(join(folder, 'open', 'started'), 'utf8').split('\n')[0],
    long: (await run('head -c 3000000 /dev/zero | tr "\\\\0" x; sleep 2.5; echo; echo end')).slice(-9),
    signals: await run('grep -e SigIgn -e SigBlk /proc/self/status'),
  }),
)
