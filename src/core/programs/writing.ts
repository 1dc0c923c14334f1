import { getSystemErrorMap } from 'node:util'
import { AgentError } from '../../protocol/errors.ts'

/**
 * Writes something that a change of a program needs.
 * @throws {AgentError} SUPERVISOR_FAULT with `fault` NOT_WRITTEN when the disk is full or does not take it
 */
export async function writing(path: string, task: (path: string) => Promise<void>): Promise<void> {
  try {
    await task(path)
  } catch (error) {
    if (!(error instanceof Error) || !('errno' in error) || typeof error.errno !== 'number') throw error
    const [code, why] = getSystemErrorMap().get(error.errno) ?? ['', error.message]
    throw new AgentError('SUPERVISOR_FAULT', `${path} cannot be written: ${why} (${code})`, {
      facts: { fault: 'NOT_WRITTEN', file: path, reason: code, begun: false },
      cause: error,
    })
  }
}
