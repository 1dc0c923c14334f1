import type { Policy } from '../core/access/policy.ts'
import type { Principal } from '../core/access/principal.ts'
import type { TokenService } from '../core/access/token-service.ts'
import type { EventBus } from '../core/events/bus.ts'
import type { CronDaemon } from '../core/host/cron-daemon.ts'
import type { ProcessLogs } from '../core/supervisor/process-logs.ts'
import type { ProcessService } from '../core/supervisor/process-service.ts'
import type { SupervisorService } from '../core/supervisor/supervisor-service.ts'
import type { RequestId } from '../protocol/frames.ts'

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
}

/** Everything that methods work with, built once by daemon.ts. */
export interface Services {
  agent: AgentFacts
  bus: EventBus
  processes: ProcessService
  logs: ProcessLogs
  supervisor: SupervisorService
  tokens: TokenService
  policy: Policy
}

export interface EventFilter {
  types: readonly string[] | undefined
  programs: readonly string[] | undefined
  since: { epoch: string; seq: number } | undefined
}

export interface LogStreamRequest {
  select: readonly string[]
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

/** What one call gets. */
export interface Context extends Services {
  principal: Principal
  /** Aborts when the caller cancels, leaves, or the agent stops. */
  signal: AbortSignal
  streams: Streams
  progress: (done: number, total: number, text: string) => void
  /** The OpenRPC document of this agent. */
  describe: () => Record<string, unknown>
  /** Cancels another call of the same session. */
  cancel: (id: RequestId) => boolean
}
