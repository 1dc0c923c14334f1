// What the judge is asked about, and what it answers.
import type { PolicySwitch, Violation } from '../../protocol/policy.ts'

/** The host's own rules; the keys of `policy:` in the config. */
export interface PolicyRules {
  readonly users: readonly string[]
  readonly allowRoot: boolean
  readonly directories: readonly string[]
  readonly executables: readonly string[]
  readonly commands: readonly string[]
  readonly logDirectories: readonly string[]
  readonly allowUserLogDirectories: boolean
  readonly maxProcesses: number
  readonly maxPrograms: number
  readonly maxCronEntries: number
  readonly allowReboot: boolean
  readonly cronDrift: 'report' | 'enforce'
  readonly allowRemoteProgram: boolean
  readonly allowRemoteCron: boolean
  readonly allowRemoteTokens: boolean
  readonly allowStdin: boolean
  readonly allowSupervisorShutdown: boolean
  readonly readOnly: boolean
}

/** A call of a method, before anything is known of what it is about. */
export interface CallSubject {
  kind: 'call'
  method: string
  mutating: boolean
  switches: readonly PolicySwitch[]
}

/**
 * The keys of a program definition that bear on policy, as they will stand in its file: `%(process_num)02d` is an
 * expansion, `%%` a percent sign.
 */
export interface ProgramDefinition {
  name: string
  command: string
  directory?: string | undefined
  user?: string | undefined
  /** Only the names are judged. */
  environment?: Readonly<Record<string, string>> | undefined
  processes?: number | undefined
  numprocsStart?: number | undefined
  redirectStderr?: boolean | undefined
  stdoutLogfile?: string | undefined
  stderrLogfile?: string | undefined
}

export interface ProgramSubject {
  kind: 'program'
  definition: ProgramDefinition
  /** How many programs there will be with this one; absent when their number does not grow. */
  count?: number
}

/** A program that others wrote and supervisord has read: only its user and its logs are judged. */
export interface ForeignSubject {
  kind: 'foreign'
  definition: ProgramDefinition
}

export interface CronSubject {
  kind: 'cron'
  entry: {
    user: string
    schedule: string
    command: string
    /** Only the names are judged. */
    env?: Readonly<Record<string, string>> | undefined
  }
  /** How many entries there will be with this one; absent when their number does not grow. */
  count?: number
}

export type PolicySubject = CallSubject | ProgramSubject | ForeignSubject | CronSubject

/** A path that was judged, with what it was at that moment. */
export interface Place {
  /** What must be used: as written where root alone can turn it elsewhere, else the real path. */
  path: string
  real: string
  /** `device:inode` of what lies there. */
  identity: string
}

export interface ResolvedProgram {
  /** As whom it will run. */
  user: { uid: number; name: string }
  /** With an absolute executable. */
  command: string
  directory: string | null
  /** A file, or `NONE` or `syslog`; a default below the first of `logDirectories` when the definition names none. */
  stdoutLogfile: string
  /** Null when stderr goes into stdout. */
  stderrLogfile: string | null
}

export interface ResolvedEntry {
  user: { uid: number; name: string }
  command: string
}

/** What the judge says. */
export interface Verdict<R = unknown> {
  /** What may be done: nothing speaks against it, or only rules of the policy on admin.sock, which it does not bind. */
  allowed: boolean
  /** All that speaks against it, the token's rights first. */
  violations: readonly Violation[]
  /** What to use in place of what was asked for; null when that cannot be told. */
  resolved: R | null
  /** Every path that was judged. */
  places: readonly Place[]
  /** What was decided for the caller and may surprise. */
  notes: readonly string[]
}

/** What the judge must know of the running supervisord. */
export interface SupervisordFacts {
  /** As whom it runs; null when it cannot be seen. */
  uid: number | null
  /** The folders of its PATH; null when its environment cannot be read. */
  searchPath: readonly string[] | null
}
