import { join } from 'node:path'

export interface AuditPaths {
  /** Of the records. */
  folder: string
  /** The anchor beside it. */
  head: string
}

export function auditPaths(stateDir: string): AuditPaths {
  return { folder: join(stateDir, 'audit'), head: join(stateDir, 'audit.head') }
}
