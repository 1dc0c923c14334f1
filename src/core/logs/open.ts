/**
 * Opens log files without being led elsewhere: never a link, a device, a pipe or another name of a file.
 * A path from supervisord is foreign text; what its folder holds may belong to the program's user.
 */
import {
  type BigIntStats,
  closeSync,
  constants,
  fstatSync,
  lstatSync,
  openSync,
  readlinkSync,
  realpathSync,
} from 'node:fs'
import { basename, dirname, isAbsolute, join, normalize } from 'node:path'
import { AgentError } from '../../protocol/errors.ts'

export type LogUnavailable =
  | 'no-file'
  | 'invalid-path'
  | 'device'
  | 'symbolic-link'
  | 'hard-link'
  | 'not-regular'
  | 'not-there-yet'
  | 'permission'
  | 'moved'
  | 'input-output'

const { O_RDONLY, O_WRONLY, O_NOFOLLOW, O_NONBLOCK, O_NOCTTY } = constants
const WORDS = new Set(['', 'none', 'off', 'auto', 'syslog'])
const DEVICES = ['/dev', '/proc', '/sys']
/** A rotation between open and check renames the file under us; the next look finds its successor. */
const ATTEMPTS = 8
const ADVICE =
  'set stdout_logfile (or stderr_logfile) of the program to a plain file, such as /var/log/supervisor/NAME.log'

export interface OpenLog {
  fd: number
  stat: BigIntStats
}

/**
 * Opens a regular file with a single name for reading, or for writing when `write` is set.
 * The caller owns the descriptor.
 * @throws {AgentError} LOG_UNAVAILABLE, with `facts.reason` a {@link LogUnavailable}
 */
export function openLogFile(path: string, options: { write?: boolean } = {}): OpenLog {
  const flags = (options.write ? O_WRONLY : O_RDONLY) | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY
  for (let attempt = 1; ; attempt++) {
    const real = realLogPath(path)
    refuseKind(
      path,
      translated(path, () => lstatSync(real, { bigint: true })),
    )
    const fd = translated(path, () => openSync(real, flags))
    try {
      const stat = fstatSync(fd, { bigint: true })
      refuseKind(path, stat)
      if (stat.nlink === 1n && nameOf(path, fd) === real) return { fd, stat }
      if (stat.nlink > 1n)
        throw unavailable(
          'hard-link',
          path,
          `${path} has ${stat.nlink} names; a log file must have one. Remove the others`,
        )
      if (attempt === ATTEMPTS)
        throw unavailable('moved', path, `${path} is renamed faster than it can be opened; ask again`)
    } catch (error) {
      closeSync(fd)
      throw error
    }
    closeSync(fd)
  }
}

/**
 * The path with its folder resolved, so that `/var/run/x.log` and `/run/x.log` are one file.
 * @throws {AgentError} LOG_UNAVAILABLE for what is no file's path, and for devices
 */
export function realLogPath(path: string): string {
  if (WORDS.has(path.toLowerCase())) {
    const what =
      path === '' ? 'supervisord writes no such log for this process' : `the log is ${path}, not a file`
    throw unavailable(
      'no-file',
      path,
      `${what}; ${ADVICE}. With redirect_stderr=true all output is in stdout`,
    )
  }
  if (!isAbsolute(path) || path.includes('\0'))
    throw unavailable('invalid-path', path, `the log path ${JSON.stringify(path)} is not absolute; ${ADVICE}`)
  refuseDevice(path, normalize(path))
  const real = join(
    translated(path, () => realpathSync.native(dirname(path))),
    basename(path),
  )
  refuseDevice(path, real)
  return real
}

export function notThereYet(path: string): AgentError {
  return unavailable(
    'not-there-yet',
    path,
    `${path} is not there; supervisord creates it when the process first starts`,
  )
}

/** True for the refusal of a file that may still appear. */
export function isNotThereYet(error: unknown): boolean {
  return error instanceof AgentError && error.facts['reason'] === 'not-there-yet'
}

/** An error of the file system as a LOG_UNAVAILABLE; what is no such error is passed on unchanged. */
export function toUnavailable(path: string, error: unknown): unknown {
  if (!(error instanceof Error) || !('code' in error) || error instanceof AgentError) return error
  switch (error.code) {
    case 'ENOENT':
    case 'ENOTDIR':
      return notThereYet(path)
    case 'EACCES':
    case 'EPERM':
      return unavailable(
        'permission',
        path,
        `the agent may not open ${path}; run it as root, or give its group the right`,
      )
    case 'ELOOP':
      return symbolicLink(path)
    case 'EISDIR':
    case 'ENXIO':
      return notRegular(path)
    default:
      return unavailable('input-output', path, `${path}: ${error.message}`, error)
  }
}

function refuseDevice(path: string, resolved: string): void {
  if (!DEVICES.some((folder) => resolved === folder || resolved.startsWith(`${folder}/`))) return
  throw unavailable(
    'device',
    path,
    `${path} is a device and keeps nothing that could be read again; ${ADVICE}`,
  )
}

function refuseKind(path: string, stat: BigIntStats): void {
  if (stat.isSymbolicLink()) throw symbolicLink(path)
  if (!stat.isFile()) throw notRegular(path)
}

function nameOf(path: string, fd: number): string {
  return translated(path, () => readlinkSync(`/proc/self/fd/${fd}`))
}

function symbolicLink(path: string): AgentError {
  return unavailable(
    'symbolic-link',
    path,
    `${path} is a symbolic link; set the program's log to the file itself`,
  )
}

function notRegular(path: string): AgentError {
  return unavailable('not-regular', path, `${path} is not a regular file; ${ADVICE}`)
}

function translated<T>(path: string, task: () => T): T {
  try {
    return task()
  } catch (error) {
    throw toUnavailable(path, error)
  }
}

export function unavailable(
  reason: LogUnavailable,
  path: string,
  message: string,
  cause?: unknown,
): AgentError {
  return new AgentError('LOG_UNAVAILABLE', message, {
    facts: path === '' ? { reason } : { path, reason },
    cause,
  })
}
