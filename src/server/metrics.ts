import type { EventBus } from '../core/events/bus.ts'
import type { SupervisorConnection } from '../core/supervisor/connection.ts'
import type { ProcessTable } from '../core/supervisor/process-table.ts'
import { PROCESS_STATES } from '../protocol/process.ts'
import type { SessionServer } from './session-server.ts'

type Labels = Record<string, string>
type Sample = [value: number, labels?: Labels]

/** Prometheus text: the agent, supervisord, and every process. */
export function renderMetrics(sources: {
  processes: ProcessTable
  connection: SupervisorConnection
  sessions: SessionServer
  bus: EventBus
  version: string
}): string {
  const { processes, connection, sessions, bus, version } = sources
  const views = processes.shown().map((entry) => processes.view(entry))
  const each = (value: (view: (typeof views)[number]) => number | null): Sample[] =>
    views.flatMap((view): Sample[] => {
      const number = value(view)
      return number === null ? [] : [[number, { name: view.name, group: view.group, program: view.program }]]
    })
  return [
    family('agent_info', 'gauge', 'Version of the agent.', [[1, { version }]]),
    family('agent_sessions', 'gauge', 'Sessions that are open.', [[sessions.count]]),
    family('agent_events_total', 'counter', 'Events since the agent started.', [[bus.seq]]),
    family('agent_supervisord_up', 'gauge', '1 while supervisord can be asked.', [[Number(connection.isUp)]]),
    family(
      'agent_processes',
      'gauge',
      'Processes by state.',
      PROCESS_STATES.map((state): Sample => [views.filter((view) => view.state === state).length, { state }]),
    ),
    family(
      'agent_process_up',
      'gauge',
      '1 while the process is RUNNING.',
      each(({ state }) => Number(state === 'RUNNING')),
    ),
    family(
      'agent_process_start_time_seconds',
      'gauge',
      'When the process started.',
      each(({ startedAt }) => (startedAt === null ? null : Date.parse(startedAt) / 1000)),
    ),
    family(
      'agent_process_restarts_total',
      'counter',
      'Times it came back by itself.',
      each(({ restarts }) => restarts),
    ),
    family(
      'agent_process_exit_status',
      'gauge',
      'Status of the last exit.',
      each(({ exitStatus }) => exitStatus),
    ),
    family(
      'agent_process_memory_bytes',
      'gauge',
      'Resident set.',
      each(({ memoryBytes }) => memoryBytes),
    ),
  ].join('')
}

function family(name: string, type: 'gauge' | 'counter', help: string, samples: readonly Sample[]): string {
  const lines = samples.map(([value, labels]) => `${name}${labels ? render(labels) : ''} ${value}\n`)
  return `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n${lines.join('')}`
}

function render(labels: Labels): string {
  const pairs = Object.entries(labels).map(([key, value]) => `${key}="${escapeLabel(value)}"`)
  return `{${pairs.join(',')}}`
}

function escapeLabel(value: string): string {
  return value.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n')
}
