import type { Principal } from '../core/access/principal.ts'
import { AgentError } from '../protocol/errors.ts'
import { TABLE } from './judgement.ts'

/**
 * Keeps in mind the rights that a call begins with. Of programs and users it is not known which of them the call needs:
 * one that changes something ends as soon as any was taken away.
 * @returns why it may not go on; null while it may
 */
export function heldRights(name: string, principal: Principal): () => AgentError | null {
  const method = TABLE.get(name)
  const { programs, users } = principal
  return () => {
    if (!method || method.scope === 'any') return null
    const { scope, mutating } = method
    if (!principal.scopes.has(scope)) return ended(name, { rule: 'scope', scope })
    if (!mutating) return null
    if (isLess(programs, principal.programs)) return ended(name, { rule: 'token.programs' })
    // what is there already is started and stopped whoever it runs as
    if (scope !== 'control' && isLess(users, principal.users)) return ended(name, { rule: 'token.users' })
    return null
  }
}

function ended(name: string, facts: { rule: string; scope?: string }): AgentError {
  return new AgentError('FORBIDDEN', `the right to ${name} has ended`, { facts })
}

function isLess(before: readonly string[], now: readonly string[]): boolean {
  return !now.includes('*') && before.some((one) => !now.includes(one))
}
