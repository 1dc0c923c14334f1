import type { Scope } from '../../protocol/scopes.ts'
import type { Principal } from './principal.ts'
import type { TokenRecord } from './token-file.ts'

/** The principal of a token; its rights are read from `current` each time they are asked for, none when it is gone. */
export function tokenPrincipal({ id, name }: TokenRecord, current: () => TokenRecord | undefined): Principal {
  return {
    actor: `token:${name}`,
    id,
    isAbovePolicy: false,
    isRemote: true,
    get scopes(): ReadonlySet<Scope> {
      return new Set(current()?.scopes)
    },
    get programs() {
      return current()?.programs ?? []
    },
    get users() {
      return current()?.users ?? []
    },
  }
}
