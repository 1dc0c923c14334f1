import { isoTime } from '../../lib/iso-time.ts'
import type { TokenRecord } from './token-file.ts'

/** When secrets were last used, by their hashes; in memory until the file is written. */
export class TokenUses {
  readonly #at = new Map<string, number>()

  get isEmpty(): boolean {
    return this.#at.size === 0
  }

  note({ hash }: Pick<TokenRecord, 'hash'>, now: number): void {
    this.#at.set(hash, now)
  }

  /** The record with the uses that the file does not know yet. */
  addTo(record: TokenRecord): TokenRecord {
    const { hash, former } = record
    const lastUsedAt = this.#timeOf(hash) ?? record.lastUsedAt
    const formerUsedAt = former && (this.#timeOf(former.hash) ?? former.lastUsedAt)
    return {
      ...record,
      ...(lastUsedAt ? { lastUsedAt } : {}),
      ...(former && formerUsedAt ? { former: { ...former, lastUsedAt: formerUsedAt } } : {}),
    }
  }

  /** What is noted now. @returns call it when that is in the file: it forgets what was not used again since */
  written(): () => void {
    const written = [...this.#at]
    return () => {
      for (const [hash, at] of written) if (this.#at.get(hash) === at) this.#at.delete(hash)
    }
  }

  #timeOf(hash: string): string | undefined {
    const at = this.#at.get(hash)
    return at === undefined ? undefined : isoTime(at)
  }
}
