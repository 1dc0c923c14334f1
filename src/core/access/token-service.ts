import { AgentError } from '../../protocol/errors.ts'
import { ROLES, type Scope } from '../../protocol/scopes.ts'
import { ROTATION_GRACE_MS } from '../../protocol/token.ts'
import { mayUseProgram, type Principal, seesAllPrograms } from './principal.ts'
import type { TokenChangeListener } from './token-changes.ts'
import type { TokenRecord } from './token-file.ts'
import { findToken } from './token-set.ts'
import type { TokenWish } from './token-wish.ts'
import type { TokenStore } from './tokens.ts'

/** The end of a token that has none. */
const FOREVER = '9999-12-31T23:59:59.999Z'

/** What a session that rotates its own token has left, so that the answer with the new text reaches it. */
const OWN_GRACE_MIN_MS = 10_000

/** A record without its hashes; `lastUsedAt` is that of the secret used last. */
export type TokenView = Omit<TokenRecord, 'hash' | 'former'> & {
  former?: Omit<NonNullable<TokenRecord['former']>, 'hash'>
}

/** Tokens as methods see them: nobody gives away more than they have, and no hash leaves. */
export class TokenService {
  readonly #store: TokenStore

  constructor(deps: { store: TokenStore }) {
    this.#store = deps.store
  }

  /** Calls the listener after each change of rights is in force. @returns the undo */
  onChange(listener: TokenChangeListener): () => void {
    return this.#store.onChange(listener)
  }

  list(): TokenView[] {
    return this.#store.list().map(viewOf)
  }

  /**
   * What somebody may wish for, with what it leaves open filled in from the rights of its creator.
   * @throws {AgentError} FORBIDDEN (`facts.rule`) when it would exceed its creator
   */
  within(creator: Principal, wish: TokenWish): TokenWish {
    const scopes: readonly Scope[] = wish.scopes ?? (wish.role ? ROLES[wish.role] : [])
    const programs = wish.programs ?? (seesAllPrograms(creator) ? ['*'] : [...creator.programs])
    const users = wish.users ?? (wish.role === 'admin' ? [...creator.users] : [])
    requireWithin(creator, { scopes, programs, users })
    return { ...wish, programs, users, expiresAt: this.#expiry(creator, wish.expiresAt) }
  }

  /**
   * Makes a token for somebody. What they have is judged when nobody else can change it any more.
   * @throws {AgentError} FORBIDDEN (`facts.rule`) when it would exceed its creator; INVALID_PARAMS
   */
  async createFor(creator: Principal, wish: TokenWish): Promise<{ token: string; record: TokenView }> {
    const { token, record } = await this.#store.create(
      () => this.within(creator, wish),
      creator.actor,
      this.#recordOf(creator)?.id,
    )
    return { token, record: viewOf(record) }
  }

  /** True for the token that the principal itself came with. */
  isOwn({ id }: Principal, idOrName: string): boolean {
    return this.#find(idOrName)?.id === id
  }

  /** @throws {AgentError} FORBIDDEN (`facts.rule`) when the token has more than who wants to rotate it */
  judgeRotation(principal: Principal, idOrName: string): void {
    const old = this.#find(idOrName)
    if (old) this.#requireRotatable(principal, old)
  }

  /**
   * Gives a token a new text; the one before it stays good for `graceMs`. Judged like a creation.
   * @throws {AgentError} FORBIDDEN (`facts.rule`) when it has more than who asks; INVALID_PARAMS when none such is in force
   */
  async rotateFor(
    principal: Principal,
    idOrName: string,
    options: { graceMs?: number } = {},
  ): Promise<{ token: string; record: TokenView }> {
    const { graceMs = ROTATION_GRACE_MS } = options
    const isOwn = this.isOwn(principal, idOrName)
    const { token, record } = await this.#store.rotate(isOwn ? principal.id : idOrName, {
      graceMs: isOwn ? Math.max(graceMs, OWN_GRACE_MIN_MS) : graceMs,
      judge: (old) => this.#requireRotatable(principal, old),
    })
    return { token, record: viewOf(record) }
  }

  /**
   * Ends a token; with `cascade` also those it created, and theirs.
   * @throws {AgentError} INVALID_PARAMS when there is no such token
   */
  async revoke(idOrName: string, options: { cascade?: boolean; by?: string } = {}): Promise<TokenView> {
    return viewOf(await this.#store.revoke(idOrName, options))
  }

  #find(idOrName: string): TokenRecord | undefined {
    return findToken(this.#store.list(), idOrName, Date.now())
  }

  #recordOf({ id }: Principal): TokenRecord | undefined {
    return this.#store.list().find((token) => token.id === id)
  }

  #requireRotatable(principal: Principal, old: TokenRecord): void {
    if (old.id === principal.id) return
    requireWithin(principal, old)
    this.#expiry(principal, old.expiresAt ?? FOREVER)
  }

  #expiry(creator: Principal, wanted: string | undefined): string | undefined {
    const own = this.#recordOf(creator)?.expiresAt
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

function viewOf(record: TokenRecord): TokenView {
  const { hash: _hash, former, lastUsedAt, ...view } = record
  const used = [lastUsedAt, former?.lastUsedAt].flatMap((at) => at ?? []).toSorted()
  const { hash: _formerHash, ...formerView } = former ?? { hash: '', endsAt: '' }
  return {
    ...view,
    ...(former ? { former: formerView } : {}),
    ...(used.length > 0 ? { lastUsedAt: used.at(-1) } : {}),
  }
}
