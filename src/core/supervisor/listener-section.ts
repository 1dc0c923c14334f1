import { AgentError } from '../../protocol/errors.ts'
import type { ConfigSection } from './config-file.ts'

/** Group, section and process of our listener; hidden from every list of processes. */
export const LISTENER_GROUP = 'supervisor-agent'
export const HEAD_COMMENT = '; written by supervisor-agent, remove with: agent listener remove'
const FIRST_PRIORITY = -17
const DEFAULT_PRIORITY = '999'

export interface ListenerSection {
  python: string
  shimPath: string
  socketPath: string
  bufferSize: number
  priority: number
}

/**
 * The text of our section. supervisord delivers an event that a listener left unanswered again to every listener
 * of the same priority, so ours has one of its own. Its stdout is the protocol and is not kept.
 * @throws {AgentError} SUPERVISOR_FAULT for a path that supervisord's syntax cannot carry
 */
export function renderListenerSection(section: ListenerSection): string {
  const words = [section.python, section.shimPath, section.socketPath].map(commandWord)
  return `${HEAD_COMMENT}
[eventlistener:${LISTENER_GROUP}]
command=${words.join(' ')}
events=PROCESS_STATE,PROCESS_GROUP,SUPERVISOR_STATE_CHANGE,REMOTE_COMMUNICATION
buffer_size=${section.bufferSize}
priority=${section.priority}
autostart=true
autorestart=true
startsecs=0
stopwaitsecs=2
stdout_logfile=NONE
stderr_logfile=AUTO
stderr_logfile_maxbytes=256KB
stderr_logfile_backups=0
`
}

function commandWord(path: string): string {
  // White space and quotes split the word, `;` may begin a comment, %( is replaced before %% is read.
  if (!/^\/[\x21-\x7e]+$/.test(path) || /["'`\\;#]|%\(/.test(path))
    throw new AgentError(
      'SUPERVISOR_FAULT',
      `${path} cannot stand in a supervisord command: use an absolute path of plain characters`,
      {
        facts: { path },
      },
    )
  return path.replaceAll('%', '%%')
}

export function isOurs(text: string): boolean {
  return text.startsWith(HEAD_COMMENT)
}

export function findListener(sections: readonly ConfigSection[]): ConfigSection | undefined {
  return sections.find(({ type, name }) => type === 'eventlistener' && name === LISTENER_GROUP)
}

/** A priority that no other event listener has; the one we have stays when it is free. */
export function freePriority(sections: readonly ConfigSection[]): number {
  const others = sections.filter(({ type, name }) => type === 'eventlistener' && name !== LISTENER_GROUP)
  const taken = new Set(others.map(({ keys }) => Number(keys.get('priority') ?? DEFAULT_PRIORITY)))
  const own = Number(findListener(sections)?.keys.get('priority'))
  if (Number.isInteger(own) && own <= FIRST_PRIORITY && !taken.has(own)) return own
  let priority = FIRST_PRIORITY
  while (taken.has(priority)) priority--
  return priority
}
