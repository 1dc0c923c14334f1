import { AgentError } from '../protocol/errors.ts'

export function stopping(): AgentError {
  return new AgentError('SHUTTING_DOWN', 'the agent is stopping')
}

export function tooMany(what: string): AgentError {
  return new AgentError('TOO_MANY_REQUESTS', what)
}
