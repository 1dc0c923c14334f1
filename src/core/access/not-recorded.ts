import { AgentError } from '../../protocol/errors.ts'

/** The disk does not take a record of the call, so that nothing was done. */
export class NotRecorded extends AgentError {
  constructor(rule: 'idempotency' | 'audit', cause: unknown) {
    const reason = cause instanceof Error && 'code' in cause ? String(cause.code) : 'unwritable'
    super('INTERNAL', `nothing was done: the disk does not take a record of the call (${reason})`, {
      facts: { rule, reason },
      cause,
    })
  }
}
