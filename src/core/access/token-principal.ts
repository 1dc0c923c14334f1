import type { Scope } from '../../protocol/scopes.ts'
import type { Principal } from './principal.ts'
import type { TokenRecord } from './token-file.ts'

/** The principal of a token; its rights are read from `current` each time they are asked for, none when it is gone. */
export function tokenPrincipal({ id, name }: TokenRecord, current: () => TokenRecord | undefined): Principal {
  let known: { record: TokenRecord | undefined; scopes: ReadonlySet<Scope> } | null = null
  return {
    actor: `token:${name}`,
    id,
    isAbovePolicy: false,
    isRemote: true,
    get scopes(): ReadonlySet<Scope> {
      const record = current()
      if (known?.record !== record || !known) known = { record, scopes: new Set(record?.scopes) }
      return known.scopes
    },
    get programs() {
      return current()?.programs ?? []
    },
    get users() {
      return current()?.users ?? []
    },
  }
}
