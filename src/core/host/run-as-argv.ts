// How a program is started as another user. Under systemd the service manager does it, which gives it a cgroup of its own and
// nothing of the agent's confinement; elsewhere setpriv, which brings the user's groups (spawn's `uid` leaves them out).
// An environment that somebody else chose is never that of a process of root, nor does it show in a command line.

/** What is to be run. No shell comes into it. */
export interface Task {
  user: { name: string; uid: number; gid: number }
  /** The program by its absolute path, and its arguments. */
  argv: readonly [string, ...string[]]
  /** All of it, and nothing else. */
  env: Readonly<Record<string, string>>
  directory: string
  /** TERM to all of it then, and KILL ten seconds later, whether the agent is there or not. */
  deadlineMs?: number
}

/** A command of root that starts a task. */
export interface Launch {
  argv: readonly [string, ...string[]]
  env: Readonly<Record<string, string>>
  /** What is to be written to its descriptor 3; null when there is none. */
  handed: string | null
}

const TIMEOUT = '/usr/bin/timeout'
const KILL_AFTER = '10'
const CLEAN = { PATH: '/usr/bin:/bin', LC_ALL: 'C' }
/** No library acts on these in a way that would matter to root. */
const PLAIN = new Set(['HOME', 'LOGNAME', 'PATH', 'PWD', 'SHELL', 'USER'])
/** What systemd sets by itself. */
const OF_SYSTEMD = [
  'HOME',
  'INVOCATION_ID',
  'JOURNAL_STREAM',
  'LANG',
  'LOGNAME',
  'PATH',
  'SHELL',
  'SYSTEMD_EXEC_PID',
  'USER',
]
/** Takes the environment from descriptor 3 once it is that user. */
const WITH_ENVIRONMENT = `import json, os, sys
with os.fdopen(3, 'rb') as handed:
    env = {name.encode(): value.encode() for name, value in json.load(handed).items()}
os.execve(sys.argv[1], sys.argv[1:], env)`

/**
 * Starts a task as a transient service.
 * @param options.environmentFile holds {@link environmentFile}, until it has started
 * @param options.isAttached its output goes where that of this command goes, which waits for its end
 */
export function systemdLaunch(
  task: Task,
  options: { unit: string; environmentFile: string; isAttached: boolean },
): Launch {
  const { user, env, directory } = task
  const unset = OF_SYSTEMD.filter((name) => !(name in env))
  const output = options.isAttached
    ? ['--pipe']
    : ['--property=StandardOutput=null', '--property=StandardError=null']
  return {
    argv: [
      '/usr/bin/systemd-run',
      '--quiet',
      '--collect',
      '--no-ask-password',
      `--unit=${options.unit}`,
      `--uid=${user.name}`,
      `--working-directory=${directory}`,
      `--property=EnvironmentFile=${options.environmentFile}`,
      ...(unset.length === 0 ? [] : [`--property=UnsetEnvironment=${unset.join(' ')}`]),
      // what it leaves behind lives on, as it does after cron
      '--property=KillMode=process',
      ...output,
      '--',
      // systemd puts in variables of its own
      ...withDeadline(task).map((word) => word.replaceAll('$', '$$$$')),
    ],
    env: CLEAN,
    handed: null,
  }
}

/** Variables as systemd reads them, in every version: it takes a backslash away before these four alone. */
export function environmentFile(env: Readonly<Record<string, string>>): string {
  const quoted = (value: string) => `"${value.replaceAll(/["\\`$]/g, '\\$&')}"`
  return Object.entries(env)
    .map(([name, value]) => `${name}=${quoted(value)}\n`)
    .join('')
}

/**
 * Starts a task with setpriv, or as it is for one who runs as that user.
 * @param options.python what hands over an environment that root should not have; null when there is none
 * @returns null when it would take python, and there is none
 */
export function setprivLaunch(
  task: Task,
  options: { setpriv: string; python: string | null; ownUid: number },
): Launch | null {
  const { user, env } = task
  const argv = withDeadline(task)
  if (options.ownUid !== 0) return { argv, env, handed: null }
  const as = [`--reuid=${user.uid}`, `--regid=${user.gid}`, '--init-groups', '--'] as const
  if (Object.keys(env).every((name) => PLAIN.has(name)))
    return { argv: [options.setpriv, ...as, ...argv], env, handed: null }
  if (options.python === null) return null
  return {
    argv: [options.setpriv, ...as, options.python, '-I', '-S', '-c', WITH_ENVIRONMENT, ...argv],
    env: CLEAN,
    handed: JSON.stringify(env),
  }
}

function withDeadline({ argv, deadlineMs }: Task): [string, ...string[]] {
  if (deadlineMs === undefined) return [...argv]
  return [TIMEOUT, `--kill-after=${KILL_AFTER}`, String(deadlineMs / 1000), ...argv]
}
