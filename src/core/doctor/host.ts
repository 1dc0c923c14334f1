import type { CronDaemon } from '../host/cron-daemon.ts'
import type { Discovery } from '../supervisor/discovery.ts'
import type { SupervisorRpc } from '../supervisor/rpc.ts'

/** The keys of the config that checks look at. */
export interface DoctorConfig {
  stateDir: string
  spoolDir: string
  tokensFile: string
  supervisor: { url: string; username: string }
  listen: { runDir: string; tls: { cert: string } }
  panel: { url: string; tokenFile: string; joinTokenFile: string }
  policy: { logDirectories: readonly string[]; allowUserLogDirectories: boolean }
}

/** A process as checks see it. */
export interface SeenProcess {
  name: string
  program: string
  state: string
  pid: number | null
  spawnError: string | null
  isCrashLoop: boolean
  /** The end of what it wrote last. */
  logTail(): string | null
}

/** This host, with or without a running agent. Each look is taken once for all checks of a run. */
export interface DoctorHost {
  config: DoctorConfig
  /** Where the config is from, for the fixes that change it. */
  configFile: string
  rpc: Pick<SupervisorRpc, 'call'>
  /** Of the supervisord that answers; null when none does. */
  pid: () => Promise<number | null>
  discover: () => Promise<Discovery>
  /** @throws what the look at them met */
  processes: () => Promise<readonly SeenProcess[]>
  cron: () => CronDaemon
}

/** What only the running agent knows. */
export interface DoctorAgent {
  listener: () => { connected: boolean; lost: number }
  hasExitStatuses: () => boolean
  orphans: () => readonly { process: string; pid: number }[]
  panel: () => {
    state: 'off' | 'connecting' | 'connected'
    since: string
    lastClose?: { at: string; code?: number; reason: string }
  }
  isJournalBehind: () => boolean
}

/** Looks once, when somebody asks first. */
export function once<T>(look: () => T): () => T {
  let seen: { value: T } | null = null
  return () => {
    seen ??= { value: look() }
    return seen.value
  }
}

/** A word of a command line, for fixes: in quotes where it needs them. */
export function word(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", String.raw`'\''`)}'`
}
