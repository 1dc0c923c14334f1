import { AgentError } from '../../protocol/errors.ts'
import { ROLES, type Scope } from '../../protocol/scopes.ts'
import { mayUseProgram, type Principal, seesAllPrograms } from './principal.ts'
import type { TokenRecord } from './token-file.ts'
import type { TokenWish } from './token-wish.ts'
import type { TokenStore } from './tokens.ts'

/** A record without its hash. */
export type TokenView = Omit<TokenRecord, 'hash'>

/** Tokens as methods see them: nobody gives away more than they have, and no hash leaves. */
export class TokenService {
  readonly #store: TokenStore

  constructor(deps: { store: TokenStore }) {
    this.#store = deps.store
  }

  list(): TokenView[] {
    return this.#store.list().map(viewOf)
  }

  /**
   * Makes a token for somebody.
   * @throws {AgentError} FORBIDDEN (`facts.rule`) when it would exceed its creator; INVALID_PARAMS
   */
  async createFor(creator: Principal, wish: TokenWish): Promise<{ token: string; record: TokenView }> {
    const scopes: readonly Scope[] = wish.scopes ?? (wish.role ? ROLES[wish.role] : [])
    exceeds('token.scopes', scopes, (scope) => creator.scopes.has(scope))
    const programs = wish.programs ?? (seesAllPrograms(creator) ? ['*'] : [...creator.programs])
    const mayUse = mayUseProgram(creator)
    exceeds(
      'token.programs',
      programs,
      // whether one pattern lies within another is not judged: a name, or the very pattern
      (glob) => seesAllPrograms(creator) || creator.programs.includes(glob) || (isName(glob) && mayUse(glob)),
    )
    const users = wish.users ?? (wish.role === 'admin' ? [...creator.users] : [])
    exceeds('token.users', users, (user) => creator.users.includes('*') || creator.users.includes(user))
    const expiresAt = this.#expiry(creator, wish.expiresAt)
    const { token, record } = await this.#store.create({ ...wish, programs, users, expiresAt }, creator.actor)
    return { token, record: viewOf(record) }
  }

  /**
   * Ends a token; with `cascade` also those it created, and theirs.
   * @throws {AgentError} INVALID_PARAMS when there is no such token
   */
  async revoke(idOrName: string, options: { cascade?: boolean } = {}): Promise<TokenView> {
    return viewOf(await this.#store.revoke(idOrName, options))
  }

  #expiry(creator: Principal, wanted: string | undefined): string | undefined {
    const own = this.#store.list().find(({ id }) => id === creator.id)?.expiresAt
    if (own === undefined) return wanted
    if (wanted !== undefined && Date.parse(wanted) > Date.parse(own))
      throw new AgentError('FORBIDDEN', `a token cannot outlive its creator, which ends at ${own}`, {
        facts: { rule: 'token.expiresAt' },
      })
    return wanted ?? own
  }
}

function exceeds<T>(rule: string, wanted: readonly T[], isHeld: (one: T) => boolean): void {
  const beyond = wanted.filter((one) => !isHeld(one))
  if (beyond.length === 0) return
  throw new AgentError('FORBIDDEN', `a token cannot have more than its creator: ${beyond.join(', ')}`, {
    facts: { rule },
  })
}

function isName(glob: string): boolean {
  return !/[*?]/.test(glob)
}

function viewOf({ hash: _hash, ...view }: TokenRecord): TokenView {
  return view
}
