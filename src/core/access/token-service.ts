import { AgentError } from '../../protocol/errors.ts'
import { ROLES, type Scope } from '../../protocol/scopes.ts'
import { mayUseProgram, type Principal, seesAllPrograms } from './principal.ts'
import type { TokenRecord } from './token-file.ts'
import { findToken } from './token-set.ts'
import type { TokenWish } from './token-wish.ts'
import type { TokenStore } from './tokens.ts'

/** The end of a token that has none. */
const FOREVER = '9999-12-31T23:59:59.999Z'

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
    const programs = wish.programs ?? (seesAllPrograms(creator) ? ['*'] : [...creator.programs])
    const users = wish.users ?? (wish.role === 'admin' ? [...creator.users] : [])
    requireWithin(creator, { scopes, programs, users })
    const expiresAt = this.#expiry(creator, wish.expiresAt)
    const { token, record } = await this.#store.create({ ...wish, programs, users, expiresAt }, creator.actor)
    return { token, record: viewOf(record) }
  }

  /** True for the token that the principal itself came with. */
  isOwn({ id }: Principal, idOrName: string): boolean {
    return this.#find(idOrName)?.id === id
  }

  /**
   * Gives a token a new text; the old one opens no session any more, sessions that live go on.
   * @throws {AgentError} FORBIDDEN (`facts.rule`) when it has more than who asks; INVALID_PARAMS when none such is in force
   */
  async rotateFor(principal: Principal, idOrName: string): Promise<{ token: string; record: TokenView }> {
    const old = this.#find(idOrName)
    if (old && old.id !== principal.id) {
      requireWithin(principal, old)
      this.#expiry(principal, old.expiresAt ?? FOREVER)
    }
    const { token, record } = await this.#store.rotate(old?.id ?? idOrName)
    return { token, record: viewOf(record) }
  }

  #find(idOrName: string): TokenRecord | undefined {
    return findToken(this.#store.list(), idOrName, Date.now())
  }

  /**
   * Ends a token; with `cascade` also those it created, and theirs.
   * @throws {AgentError} INVALID_PARAMS when there is no such token
   */
  async revoke(idOrName: string, options: { cascade?: boolean; by?: string } = {}): Promise<TokenView> {
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

/** Nobody gives away more than they have. */
function requireWithin(
  giver: Principal,
  { scopes, programs, users }: Record<'programs' | 'users', readonly string[]> & { scopes: readonly Scope[] },
): void {
  const mayUse = mayUseProgram(giver)
  exceeds('token.scopes', scopes, (scope) => giver.scopes.has(scope))
  exceeds(
    'token.programs',
    programs,
    // whether one pattern lies within another is not judged: a name, or the very pattern
    (glob) => seesAllPrograms(giver) || giver.programs.includes(glob) || (isName(glob) && mayUse(glob)),
  )
  exceeds('token.users', users, (user) => giver.users.includes('*') || giver.users.includes(user))
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
