import { loadConfig } from '../../config.ts'
import { auditPaths } from '../../core/audit/paths.ts'
import { verifyAudit } from '../../core/audit/verify.ts'
import type { ResultOf } from '../../methods/index.ts'
import { AgentError } from '../../protocol/errors.ts'
import { deadlineOf, type Globals, openClient } from '../globals.ts'
import { print } from '../print.ts'

type Verdict = ResultOf<'audit.verify'>

/**
 * Verifies the audit of this host as it is on disk, whether an agent runs or not, so that none can lie about it; that of
 * another agent by asking it. @returns 1 when a record is not what it was
 */
export async function verifyCommand(globals: Globals): Promise<number> {
  const isOther = globals.url !== undefined || globals.socket !== undefined
  const verdict: Verdict = isOther ? await asked(globals) : await read(globals)
  process.stdout.write(
    globals.json ? `${JSON.stringify(verdict)}\n` : await print('audit.verify', { ...verdict }),
  )
  return verdict.ok ? 0 : 1
}

async function read(globals: Globals): Promise<Verdict> {
  const paths = auditPaths(loadConfig(globals.config).stateDir)
  try {
    return await verifyAudit(paths)
  } catch (error) {
    if (!(error instanceof Error) || !('code' in error)) throw error
    const code = String(error.code)
    if (code === 'EACCES' || code === 'EPERM')
      throw new AgentError('FORBIDDEN', `${paths.folder} cannot be read (${code}): it is root's`)
    const path = 'path' in error ? String(error.path) : `${paths.folder} or ${paths.head}`
    throw new AgentError('INTERNAL', `the audit cannot be verified: ${path} cannot be read (${code})`)
  }
}

async function asked(globals: Globals): Promise<Verdict> {
  const client = await openClient(globals, { reconnect: false })
  try {
    return await client.call('audit.verify', {}, { mutates: false, ...deadlineOf(globals) })
  } finally {
    await client.close()
  }
}
