import { readTokenFile, type TokenRecord } from '../access/token-file.ts'
import { isInForce } from '../access/token-set.ts'
import type { Check, Fault } from './check.ts'
import { type DoctorHost, word } from './host.ts'

const DAY_MS = 24 * 3_600_000
const SOON_MS = 7 * DAY_MS
const UNUSED_MS = 90 * DAY_MS

export const tokensFile = ({ config }: DoctorHost): Check => ({
  name: 'tokens-file',
  question: 'Can the tokens be read by the agent alone, and are all of them in use?',
  audience: 'admin',
  async run() {
    const path = config.tokensFile
    const tokens = await readTokenFile(path).catch((error: unknown) =>
      error instanceof Error ? error.message : String(error),
    )
    if (typeof tokens === 'string')
      return {
        severity: 'failure',
        message: `${tokens}; the agent does not start with it, and one that runs keeps the tokens as they were`,
        fix: `chown root ${word(path)}; chmod 600 ${word(path)}; ls -l ${word(path)}; editor ${word(path)}`,
      }
    const now = Date.now()
    return (tokens ?? []).flatMap((token) => faultOf(token, now) ?? [])
  },
})

function faultOf(token: TokenRecord, now: number): Fault | null {
  const { name, id, expiresAt, revokedAt } = token
  if (revokedAt !== undefined) return null
  if (!isInForce(token, now))
    return {
      severity: 'warning',
      message: `the token ${name} ended at ${expiresAt}: who still uses it is refused`,
      fix: `agent token revoke ${id}`,
    }
  if (expiresAt !== undefined && Date.parse(expiresAt) - now < SOON_MS)
    return {
      severity: 'warning',
      message: `the token ${name} ends at ${expiresAt}, and rotating it does not make it last`,
      fix: `agent token ls`,
    }
  const used = [token.lastUsedAt, token.former?.lastUsedAt].flatMap((at) => (at ? [Date.parse(at)] : []))
  const idleMs = now - Math.max(Date.parse(token.createdAt), ...used)
  if (idleMs < UNUSED_MS) return null
  return {
    severity: 'warning',
    message: `nobody has used the token ${name} for ${Math.floor(idleMs / DAY_MS)} days`,
    fix: `agent token revoke ${id}`,
  }
}
