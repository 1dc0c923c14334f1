import type { Logger } from '../../logger.ts'
import type { TokenRecord } from './token-file.ts'
import { liveHashes } from './token-secrets.ts'
import { isInForce, sameRights } from './token-set.ts'

/** A token whose rights changed, that lost a secret, or that is no longer in force. */
export interface TokenChange {
  id: string
  name: string
  /** Revoked, expired, or removed from the file. */
  hasEnded: boolean
  /** Who revoked it; absent for time and for an edit of the file. */
  actor?: string
}

export type TokenChangeListener = (changes: readonly TokenChange[]) => void

interface Told {
  record: TokenRecord
  hashes: readonly string[]
}

/** Compares the tokens in force with those it told of last, and tells its listeners what is less or other now. */
export class TokenChanges {
  readonly #logger: Logger
  readonly #listeners = new Set<TokenChangeListener>()
  #told = new Map<string, Told>()

  constructor(deps: { logger: Logger }) {
    this.#logger = deps.logger
  }

  /** @returns the undo */
  onChange(listener: TokenChangeListener): () => void {
    this.#listeners.add(listener)
    return () => void this.#listeners.delete(listener)
  }

  tell(tokens: ReadonlyMap<string, TokenRecord>, now: number): void {
    const before = this.#told
    this.#told = new Map()
    for (const [id, record] of tokens)
      if (isInForce(record, now)) this.#told.set(id, { record, hashes: liveHashes(record, now) })
    const changes = [...before].flatMap(([id, old]) => {
      const after = this.#told.get(id)
      if (after && !isLess(old, after)) return []
      const by = tokens.get(id)?.revokedBy
      return [{ id, name: old.record.name, hasEnded: after === undefined, ...(by ? { actor: by } : {}) }]
    })
    if (changes.length > 0) this.#send(changes)
  }

  #send(changes: readonly TokenChange[]): void {
    for (const listener of this.#listeners)
      try {
        listener(changes)
      } catch (error) {
        this.#logger.error({ err: error }, 'a listener of token changes failed')
      }
  }
}

function isLess(before: Told, after: Told): boolean {
  return (
    !sameRights(before.record, after.record) || before.hashes.some((hash) => !after.hashes.includes(hash))
  )
}
