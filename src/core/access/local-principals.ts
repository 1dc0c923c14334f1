import { SCOPES, type Scope } from '../../protocol/scopes.ts'
import type { Principal } from './principal.ts'

/** Whoever can open admin.sock is the administrator. */
export const LOCAL_ADMIN: Principal = {
  actor: 'local:admin',
  id: 'local:admin',
  scopes: new Set(SCOPES),
  programs: ['*'],
  users: ['*'],
  isAbovePolicy: true,
  isRemote: false,
}

/** Whoever can open agent.sock may do what the config says. */
export function localAgent(rights: {
  localScopes: readonly Scope[]
  localPrograms: readonly string[]
  localUsers: readonly string[]
}): Principal {
  return {
    actor: 'local:agent',
    id: 'local:agent',
    scopes: new Set(rights.localScopes),
    programs: rights.localPrograms,
    users: rights.localUsers,
    isAbovePolicy: false,
    isRemote: false,
  }
}
