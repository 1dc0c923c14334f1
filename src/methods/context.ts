import type { Principal } from '../core/access/principal.ts'
import type { TokenService } from '../core/access/token-service.ts'
import type { AuditService } from '../core/audit/service.ts'
import type { CronRunner } from '../core/crontab/runner.ts'
import type { CrontabService } from '../core/crontab/service.ts'
import type { DoctorService } from '../core/doctor/service.ts'
import type { EventBus } from '../core/events/bus.ts'
import type { CronDaemon } from '../core/host/cron-daemon.ts'
import type { Policy } from '../core/policy/policy.ts'
import type { Verdict } from '../core/policy/subject.ts'
import type { GracefulVerbs } from '../core/programs/graceful.ts'
import type { Quarantine } from '../core/programs/quarantine.ts'
import type { ProgramService } from '../core/programs/service.ts'
import type { ProcessLogs } from '../core/supervisor/process-logs.ts'
import type { ProcessService } from '../core/supervisor/process-service.ts'
import type { Entry } from '../core/supervisor/process-table.ts'
import type { SupervisorService } from '../core/supervisor/supervisor-service.ts'
import type { RequestId } from '../protocol/frames.ts'
import type { Violation } from '../protocol/policy.ts'
import type { ShownSchedule } from '../protocol/schedule.ts'

/** What the agent says of itself. */
export interface AgentFacts {
  name: string
  version: string
  startedAt: string
  listen(): { host: string; port: number; tls: boolean } | null
  /** The link to the panel that is dialled. */
  panel(): {
    state: 'off' | 'connecting' | 'connected'
    since: string
    lastClose?: { at: string; code?: number; reason: string }
  }
  cron(): CronDaemon
  /** Those of the config. */
  schedules(): ShownSchedule[]
}

/** Everything that methods work with, built once by daemon.ts. */
export interface Services {
  agent: AgentFacts
  bus: EventBus
  processes: ProcessService
  logs: ProcessLogs
  supervisor: SupervisorService
  programs: ProgramService
  graceful: GracefulVerbs
  quarantine: Quarantine
  crontabs: CrontabService
  cronRuns: CronRunner
  tokens: TokenService
  policy: Policy
  audit: AuditService
  doctor: DoctorService
}

export interface EventFilter {
  types: readonly string[] | undefined
  programs: readonly string[] | undefined
  since: { epoch: string; seq: number } | undefined
}

export interface LogStreamRequest {
  entries: readonly Entry[]
  channels: readonly ('stdout' | 'stderr')[]
  lines: number
  cursors: Readonly<Record<string, string>>
}

/** The streams of one session. They end with it. */
export interface Streams {
  subscribe(filter: EventFilter): {
    subscription: string
    mode: 'resumed' | 'snapshot'
    epoch: string
    seq: number
  }
  unsubscribe(subscription: string): void
  follow(request: LogStreamRequest): string
  unfollow(subscription: string): void
}

/** What a call comes with, from the session that it came over. */
export interface CallSource extends Services {
  principal: Principal
  /** Where it is from: an address, or the path of the socket. */
  remote: string
  /** Aborts when the caller cancels, leaves, or the agent stops. */
  signal: AbortSignal
  streams: Streams
  progress: (done: number, total: number, text: string) => void
  /** The OpenRPC document of this agent. */
  describe: () => Record<string, unknown>
  /** Cancels another call of the same session. */
  cancel: (id: RequestId) => boolean
}

/** What `policy.explain` says. */
export interface Explanation {
  allowed: boolean
  rule: string | null
  text: string
  violations: readonly Violation[]
}

/** What one call gets. */
export interface Context extends CallSource {
  /**
   * Refuses what a judgement of the policy does not allow. What it says on admin.sock, which it does not bind, becomes
   * a warning of the result.
   * @throws {AgentError} FORBIDDEN, POLICY_DENIED
   */
  enforce: <V extends Verdict>(judging: Promise<V>) => Promise<V>
  /** What would happen to the caller with another call. */
  explain: (method: string, params: Record<string, unknown>) => Promise<Explanation>
}
