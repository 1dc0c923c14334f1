import * as z from 'zod'

/** The answer to one question about this host. */
export const Finding = z.strictObject({
  check: z.string(),
  severity: z.enum(['ok', 'warning', 'failure']),
  message: z.string(),
  evidence: z.string().optional().describe('what was seen; it may have several lines'),
  fix: z.string().optional().describe('commands that cure it, to paste on the host as root'),
})
export type Finding = z.infer<typeof Finding>
