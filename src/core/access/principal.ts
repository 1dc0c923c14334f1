import { anyGlob } from '../../lib/glob.ts'
import type { Scope } from '../../protocol/scopes.ts'

/** Who is at the other end of a session, and what they may do. Rights may change while it lives. */
export interface Principal {
  /** `token:<name>`, `panel`, `local:admin` or `local:agent`: the actor of what it does. */
  readonly actor: string
  /** Owner of idempotency keys; for a token its record's id, so that a rotated secret keeps them. */
  readonly id: string
  readonly scopes: ReadonlySet<Scope>
  /** Globs on program names. */
  readonly programs: readonly string[]
  /** System users that its programs and cron entries may run as. */
  readonly users: readonly string[]
  /** True on admin.sock alone: policy warns instead of denying. */
  readonly isAbovePolicy: boolean
  /** True when it reached us over TCP or dial-out: idempotency keys are then required. */
  readonly isRemote: boolean
}

export function mayUseProgram(principal: Principal): (program: string) => boolean {
  return anyGlob(principal.programs)
}

export function seesAllPrograms(principal: Principal): boolean {
  return principal.programs.includes('*')
}
