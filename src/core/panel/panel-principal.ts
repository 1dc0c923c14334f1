import { ROLES, type Role, type Scope } from '../../protocol/scopes.ts'
import type { Principal } from '../access/principal.ts'

/** Who a panel is to this agent, once it has proved itself: what the config says. `scopes` stand for the role if given. */
export function panelPrincipal(rights: {
  role: Role
  scopes: readonly Scope[]
  programs: readonly string[]
  users: readonly string[]
}): Principal {
  const { role, scopes, programs, users } = rights
  return {
    actor: 'panel',
    id: 'panel',
    scopes: new Set(scopes.length > 0 ? scopes : ROLES[role]),
    programs,
    users,
    isAbovePolicy: false,
    isRemote: true,
  }
}
