import { timingSafeEqual } from 'node:crypto'
import { stat } from 'node:fs/promises'
import { KeyedMutex } from '../../lib/keyed-mutex.ts'
import type { Logger } from '../../logger.ts'
import { parseToken } from '../../protocol/token.ts'
import { withFileLock } from './file-lock.ts'
import type { Principal } from './principal.ts'
import { readTokenFile, type TokenRecord, writeTokenFile } from './token-file.ts'
import { tokenPrincipal } from './token-principal.ts'
import { findToken, isInForce, sameRights, withDescendants } from './token-set.ts'
import { hashToken, newTokenId, newTokenText } from './token-text.ts'
import { invalidParam, recordOf, type TokenWish } from './token-wish.ts'

const POLL_MS = 500
const FLUSH_MS = 60_000
const NO_HASH = '0'.repeat(64)

/** Ids of tokens that lost or changed rights, or are no longer in force. */
export type TokenChangeListener = (ids: readonly string[]) => void

/**
 * The tokens of this host. The file is the truth: it is read again whenever it changes and before every
 * write, and writers in other processes are kept out meanwhile, so that none loses another's record.
 * What a method returns is in force already; whoever lost rights by it has been reported.
 */
export class TokenStore {
  readonly #path: string
  readonly #logger: Logger
  readonly #now: () => number
  readonly #turns = new KeyedMutex()
  readonly #listeners = new Set<TokenChangeListener>()
  readonly #used = new Map<string, number>()
  #tokens = new Map<string, TokenRecord>()
  /** In force when the listeners were last told. */
  #told = new Map<string, TokenRecord>()
  #signature = ''
  #flushedAt = 0
  #timer: NodeJS.Timeout | undefined
  #isPolling = false

  constructor(deps: { path: string; logger: Logger; now?: () => number }) {
    this.#path = deps.path
    this.#logger = deps.logger
    this.#now = deps.now ?? Date.now
  }

  /**
   * Reads the file and watches it from then on. A file that breaks later keeps the tokens as they were.
   * @throws {TokenFileError} when it cannot be used now; a missing file holds no tokens
   */
  async start(): Promise<void> {
    await this.#turns.run('file', () => this.#load())
    this.#flushedAt = this.#now()
    this.#timer = setInterval(() => void this.#poll(), POLL_MS)
    this.#timer.unref()
  }

  /** Ends the watch and writes what {@link touch} noted. */
  async stop(): Promise<void> {
    clearInterval(this.#timer)
    await this.#flushNow()
  }

  /** The record of a token text that is in force. Takes as long for an unknown id as for a known one. */
  verify(text: string): TokenRecord | null {
    const parts = parseToken(text)
    if (parts === null) return null
    const record = this.#tokens.get(parts.id)
    const same = timingSafeEqual(Buffer.from(hashToken(text)), Buffer.from(record?.hash ?? NO_HASH))
    return same && record !== undefined && isInForce(record, this.#now()) ? record : null
  }

  /** True while the token exists and is neither revoked nor expired. */
  isInForce(id: string): boolean {
    return this.#inForce(id) !== undefined
  }

  /** All records, ended ones too. */
  list(): TokenRecord[] {
    return [...this.#tokens.values()].map((record) => this.#withLastUse(record))
  }

  /**
   * Adds a token.
   * @returns its text, which is nowhere kept, and its record
   * @throws {AgentError} INVALID_PARAMS (`name` is taken by a token in force, or the wish is not a token)
   */
  async create(wish: TokenWish, createdBy: string): Promise<{ token: string; record: TokenRecord }> {
    const id = newTokenId()
    const token = newTokenText(id)
    const record = recordOf(wish, { id, hash: hashToken(token), createdBy, now: this.#now() })
    await this.#change((tokens) => {
      if (tokens.some((other) => other.name === wish.name && isInForce(other, this.#now())))
        throw invalidParam('name', `there is a token ${wish.name} already`)
      return [...tokens, record]
    })
    return { token, record: this.#inForce(id) ?? record }
  }

  /**
   * Gives a token a new text; the old one opens no session any more. Sessions that live go on: to end those, revoke.
   * @throws {AgentError} INVALID_PARAMS when no such token is in force
   */
  async rotate(idOrName: string): Promise<{ token: string; record: TokenRecord }> {
    let token = ''
    const record = await this.#changeOne(idOrName, (old, tokens) => {
      if (!isInForce(old, this.#now())) throw invalidParam('name', `the token ${idOrName} has ended`)
      token = newTokenText(old.id)
      return tokens.map((other) => (other === old ? { ...old, hash: hashToken(token) } : other))
    })
    return { token, record }
  }

  /**
   * Ends a token, at once and for good; with `cascade` also those it created, and theirs.
   * Revoking what is revoked changes nothing.
   * @throws {AgentError} INVALID_PARAMS when there is no such token
   */
  revoke(idOrName: string, options: { cascade?: boolean; by?: string } = {}): Promise<TokenRecord> {
    const { by: revokedBy } = options
    const end = {
      revokedAt: new Date(this.#now()).toISOString(),
      ...(revokedBy === undefined ? {} : { revokedBy }),
    }
    return this.#changeOne(idOrName, (root, tokens) => {
      const ending = options.cascade ? withDescendants(root, tokens) : new Set([root])
      return tokens.map((token) => (ending.has(token) && !token.revokedAt ? { ...token, ...end } : token))
    })
  }

  /** Calls the listener after each change of rights is in force; returns the way to stop that. */
  onChange(listener: TokenChangeListener): () => void {
    this.#listeners.add(listener)
    return () => void this.#listeners.delete(listener)
  }

  /** Notes that a token is used now; the file learns it with the next {@link flush}. */
  touch(id: string): void {
    this.#used.set(id, this.#now())
  }

  /** Writes the times of last use, once a minute at most. */
  async flush(): Promise<void> {
    if (this.#now() - this.#flushedAt >= FLUSH_MS) await this.#flushNow()
  }

  /** Reports tokens that expired since the last look. Runs by itself between start and stop. */
  expireSweep(): void {
    const now = this.#now()
    const changed = [...this.#told].filter(([id, before]) => {
      const after = this.#tokens.get(id)
      return after === undefined || !isInForce(after, now) || !sameRights(before, after)
    })
    this.#told = new Map([...this.#tokens].filter(([, record]) => isInForce(record, now)))
    if (changed.length === 0) return
    this.#tell(changed.map(([id]) => id))
  }

  /** Who a session with this token is. Its rights are those of the record as it is now; none once it has ended. */
  toPrincipal(record: TokenRecord): Principal {
    return tokenPrincipal(record, () => this.#inForce(record.id))
  }

  #inForce(id: string): TokenRecord | undefined {
    const record = this.#tokens.get(id)
    return record !== undefined && isInForce(record, this.#now()) ? record : undefined
  }

  #withLastUse(record: TokenRecord): TokenRecord {
    const used = this.#used.get(record.id)
    return used === undefined ? record : { ...record, lastUsedAt: new Date(used).toISOString() }
  }

  async #poll(): Promise<void> {
    if (this.#isPolling) return
    this.#isPolling = true
    try {
      this.expireSweep()
      if ((await signatureOf(this.#path)) !== this.#signature)
        await this.#turns.run('file', () => this.#load())
      await this.flush()
    } catch (error) {
      this.#logger.error({ err: error }, 'tokens stay as they were')
    } finally {
      this.#isPolling = false
    }
  }

  async #load(): Promise<void> {
    this.#signature = await signatureOf(this.#path) // taken first: a change while reading is seen at the next look
    const tokens = await readTokenFile(this.#path)
    this.#tokens = new Map(tokens.map((record) => [record.id, record]))
    this.expireSweep()
  }

  /** Read, edit, write, put in force; one at a time on the whole host. */
  async #change(edit: (tokens: TokenRecord[]) => TokenRecord[]): Promise<void> {
    await this.#turns.run('file', () =>
      withFileLock(`${this.#path}.lock`, async () => {
        const edited = edit(await readTokenFile(this.#path))
        await writeTokenFile(
          this.#path,
          edited.map((record) => this.#withLastUse(record)),
        )
        await this.#load()
      }),
    )
  }

  async #changeOne(
    idOrName: string,
    edit: (token: TokenRecord, tokens: TokenRecord[]) => TokenRecord[],
  ): Promise<TokenRecord> {
    let id = ''
    await this.#change((tokens) => {
      const found = findToken(tokens, idOrName, this.#now())
      if (found === undefined) throw invalidParam('name', `there is no token ${idOrName}`)
      id = found.id
      return edit(found, tokens)
    })
    const record = this.#tokens.get(id)
    if (record === undefined) throw new Error(`token ${id} vanished from ${this.#path}`)
    return record
  }

  async #flushNow(): Promise<void> {
    this.#flushedAt = this.#now()
    const written = [...this.#used]
    if (written.length === 0) return
    await this.#change((tokens) => tokens)
    for (const [id, at] of written) if (this.#used.get(id) === at) this.#used.delete(id)
  }

  #tell(ids: readonly string[]): void {
    for (const listener of this.#listeners)
      try {
        listener(ids)
      } catch (error) {
        this.#logger.error({ err: error }, 'a listener of token changes failed')
      }
  }
}

/** Changes whenever the file does; ctime, so that a corrected mode counts too. */
async function signatureOf(path: string): Promise<string> {
  try {
    const { mtimeNs, ctimeNs, ino, size } = await stat(path, { bigint: true })
    return `${mtimeNs}:${ctimeNs}:${ino}:${size}`
  } catch (error) {
    return `${(error as NodeJS.ErrnoException).code}`
  }
}
