import { auditPaths } from '../audit/paths.ts'
import { verifyAudit } from '../audit/verify.ts'
import type { Check } from './check.ts'
import { type DoctorHost, word } from './host.ts'

export const auditChain = ({ config }: DoctorHost): Check => ({
  name: 'audit-chain',
  question: 'Is every record of the audit as it was written?',
  audience: 'admin',
  async run() {
    const paths = auditPaths(config.stateDir)
    const { ok, brokenAt, reason, unwritten } = await verifyAudit(paths)
    if (!ok)
      return {
        severity: 'failure',
        message: `the audit is broken at record ${brokenAt}: ${reason}`,
        fix: `agent audit verify; ls -la ${word(paths.folder)}`,
      }
    if (unwritten === 0) return null
    return {
      severity: 'warning',
      message: `${unwritten} calls are not in the audit: the disk did not take their records`,
      fix: `df -h ${word(config.stateDir)}; agent audit ls`,
    }
  },
})
