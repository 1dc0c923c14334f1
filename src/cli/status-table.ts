// One line a process, as supervisorctl prints it, so that what greps the one can grep the other.

interface StatusProcess {
  name: string
  state: string
  pid: number | null
  uptimeMs: number | null
  startedAt: string | null
  spawnError: string | null
  exitStatus: number | null
  lastExit: {
    at: string
    exitStatus?: number | undefined
    signal?: string | undefined
    expected: boolean
  } | null
  flags: readonly string[]
  restarts: number
}

/** What the table needs of a `process.list` answer. */
export interface StatusList {
  supervisor: { state: string; reason?: string | undefined }
  processes: readonly StatusProcess[]
}

const NAME_COLUMNS = 32

/** 0 all RUNNING, 3 some not, 4 supervisord cannot be asked. */
export function statusExit({ supervisor, processes }: StatusList): number {
  if (supervisor.state !== 'running') return 4
  return processes.every(({ state }) => state === 'RUNNING') ? 0 : 3
}

/** Why the list may be old, for people; null while supervisord can be asked. */
export function ageRemark({ supervisor: { state, reason } }: StatusList): string | null {
  return state === 'running' ? null : `supervisord is ${state}: ${reason ?? ''}`
}

export function renderStatus({ processes }: StatusList): string {
  const width = Math.max(NAME_COLUMNS, ...processes.map(({ name }) => name.length))
  return processes
    .map((process) =>
      `${process.name.padEnd(width)} ${process.state.padEnd(9)} ${describe(process)}`.trimEnd(),
    )
    .map((line) => `${line}\n`)
    .join('')
}

function describe(process: StatusProcess): string {
  const loop = process.flags.includes('crash-loop') ? [`crash loop, ${process.restarts} restarts`] : []
  const facts = [...factsOf(process), ...loop]
  return facts.join(', ')
}

function factsOf({ state, pid, uptimeMs, startedAt, spawnError, lastExit, flags }: StatusProcess): string[] {
  switch (state) {
    case 'RUNNING':
      if (flags.includes('running-without-pid')) return ['no pid: supervisord has lost this process']
      return [`pid ${pid ?? '?'}`, `uptime ${clock(uptimeMs ?? 0)}`]
    case 'STARTING':
    case 'STOPPING':
      return pid === null ? [] : [`pid ${pid}`]
    case 'BACKOFF':
    case 'FATAL':
      return [...(spawnError ? [spawnError] : []), ...exitOf(lastExit)]
    case 'EXITED':
      return [...exitOf(lastExit), ...atOf(lastExit)]
    case 'STOPPED':
      return startedAt === null ? ['not started'] : atOf(lastExit)
    default:
      return []
  }
}

function exitOf(exit: StatusProcess['lastExit']): string[] {
  if (exit?.signal !== undefined) return [`ended by ${exit.signal}`]
  return exit?.exitStatus === undefined ? [] : [`exit status ${exit.exitStatus}`]
}

function atOf(exit: StatusProcess['lastExit']): string[] {
  return exit ? [exit.at.slice(0, 19).replace('T', ' ')] : []
}

/** `1:02:03`, days in front. */
export function clock(ms: number): string {
  const seconds = Math.floor(ms / 1000)
  const two = (value: number) => String(value).padStart(2, '0')
  const time = `${Math.floor((seconds % 86_400) / 3600)}:${two(Math.floor((seconds % 3600) / 60))}:${two(seconds % 60)}`
  const days = Math.floor(seconds / 86_400)
  return days === 0 ? time : `${days} day${days === 1 ? '' : 's'}, ${time}`
}
