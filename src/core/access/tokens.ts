import { atMost } from '../../lib/at-most.ts'
import { isoTime } from '../../lib/iso-time.ts'
import type { Logger } from '../../logger.ts'
import { parseToken, ROTATION_GRACE_MS } from '../../protocol/token.ts'
import type { Principal } from './principal.ts'
import { type TokenChangeListener, TokenChanges } from './token-changes.ts'
import { afterWrite, type TokenRecord } from './token-file.ts'
import { tokenPrincipal } from './token-principal.ts'
import { isLive, isSecretOf, rotated } from './token-secrets.ts'
import { foundToken, isInForce, isUntidy, tidied, withDescendants } from './token-set.ts'
import { TokenSource } from './token-source.ts'
import { hashToken, newTokenId, newTokenText } from './token-text.ts'
import { TokenUses } from './token-uses.ts'
import { invalidParam, recordOf, type TokenWish } from './token-wish.ts'

const POLL_MS = 500
const FLUSH_MS = 60_000
/** An agent that stops waits for others so long, and for the file itself. */
const LAST_LOCK_MS = 500
const LAST_FLUSH_MS = 1_000

/**
 * The tokens of this host. The file is the truth: it is read again whenever it changes and before every
 * write, and writers in other processes are kept out meanwhile, so that none loses another's record.
 * What a method returns is in force already; whoever lost rights by it has been reported.
 */
export class TokenStore {
  readonly #path: string
  readonly #logger: Logger
  readonly #now: () => number
  readonly #source: TokenSource
  readonly #changes: TokenChanges
  readonly #uses = new TokenUses()
  #tokens = new Map<string, TokenRecord>()
  /** Why the file cannot be used, as it was logged; null while it can. */
  #trouble: string | null = null
  #flushedAt = 0
  #timer: NodeJS.Timeout | undefined
  #isPolling = false

  constructor(deps: { path: string; logger: Logger; now?: () => number }) {
    this.#path = deps.path
    this.#logger = deps.logger
    this.#now = deps.now ?? Date.now
    this.#source = new TokenSource(deps.path)
    this.#changes = new TokenChanges(deps)
  }

  /**
   * Reads the file and watches it from then on. A file that breaks later keeps the tokens as they were.
   * @throws {TokenFileError} when it cannot be used now; a missing file holds no tokens
   */
  async start(): Promise<void> {
    await this.#source.inTurn(() => this.#load())
    this.#flushedAt = this.#now()
    this.#timer = setInterval(() => void this.#poll(), POLL_MS)
    this.#timer.unref()
  }

  /**
   * Ends the watch and writes when tokens were last used, where the file takes it soon. Changes that wait for somebody
   * else to let go of the file fail with SHUTTING_DOWN.
   */
  async stop(): Promise<void> {
    clearInterval(this.#timer)
    this.#source.end()
    const flushed = this.#flushNow(LAST_LOCK_MS)
    await atMost(LAST_FLUSH_MS, flushed).catch((error: unknown) => this.#complain(error))
  }

  /**
   * Who comes with a token text that is in force, as {@link admits} and {@link toPrincipal} take it. Takes as long for
   * an unknown id as for a known one. The use is noted.
   */
  verify(text: string): TokenRecord | null {
    const parts = parseToken(text)
    if (parts === null) return null
    const now = this.#now()
    const record = this.#tokens.get(parts.id)
    const hash = hashToken(text)
    if (!isSecretOf(record, hash, now) || record === undefined || !isInForce(record, now)) return null
    const admitted = { ...record, hash }
    this.touch(admitted)
    return admitted
  }

  /** True while the token is in force, and the secret it came with is still good. */
  admits(record: TokenRecord): boolean {
    return this.#admitted(record) !== undefined
  }

  /** All records, ended ones too. */
  list(): TokenRecord[] {
    return [...this.#tokens.values()].map((record) => this.#uses.addTo(record))
  }

  /**
   * Adds a token. The wish is asked for when nobody else can change tokens any more, and what the file says is in force.
   * @returns its text, which is nowhere kept, and its record
   * @throws {AgentError} INVALID_PARAMS (`name` is taken by a token in force, or the wish is not a token)
   */
  async create(
    wish: TokenWish | (() => TokenWish),
    createdBy: string,
    creatorId?: string,
  ): Promise<{ token: string; record: TokenRecord }> {
    const id = newTokenId()
    const token = newTokenText(id)
    const made = { id, hash: hashToken(token), createdBy, creatorId }
    const record = await this.#changeOne((tokens) => {
      const wanted = recordOf(typeof wish === 'function' ? wish() : wish, { ...made, now: this.#now() })
      if (tokens.some((other) => other.name === wanted.name && isInForce(other, this.#now())))
        throw invalidParam('name', `there is a token ${wanted.name} already`)
      return { id, edited: [...tokens, wanted] }
    })
    return { token, record }
  }

  /**
   * Gives a token a new text. The one before it stays good for `graceMs`, then it opens no session any more and those
   * that it opened end.
   * @param options.judge may throw, when nobody else can change the token any more
   * @throws {AgentError} INVALID_PARAMS when no such token is in force
   */
  async rotate(
    idOrName: string,
    options: { graceMs?: number; judge?: (old: TokenRecord) => void } = {},
  ): Promise<{ token: string; record: TokenRecord }> {
    const { graceMs = ROTATION_GRACE_MS } = options
    let token = ''
    const record = await this.#changeOne((tokens) => {
      const now = this.#now()
      const old = foundToken(tokens, idOrName, now)
      if (!isInForce(old, now)) throw invalidParam('token', `the token ${idOrName} has ended`)
      options.judge?.(old)
      token = newTokenText(old.id)
      const fresh = rotated(old, { hash: hashToken(token), graceMs, now })
      return { id: old.id, edited: tokens.map((other) => (other === old ? fresh : other)) }
    })
    return { token, record }
  }

  /**
   * Ends a token, at once and for good; with `cascade` also those it created, and theirs.
   * Revoking what is revoked changes nothing.
   * @param options.by who does it
   * @throws {AgentError} INVALID_PARAMS when there is no such token
   */
  revoke(idOrName: string, options: { cascade?: boolean; by?: string } = {}): Promise<TokenRecord> {
    return this.#changeOne((tokens) => {
      const now = this.#now()
      const end = { revokedAt: isoTime(now), ...(options.by ? { revokedBy: options.by } : {}) }
      const root = foundToken(tokens, idOrName, now)
      const ending = options.cascade ? withDescendants(root, tokens) : new Set([root])
      const edited = tokens.map((token) =>
        ending.has(token) && !token.revokedAt ? { ...token, ...end } : token,
      )
      return { id: root.id, edited }
    })
  }

  /** Calls the listener after each change of rights is in force. @returns the undo */
  onChange(listener: TokenChangeListener): () => void {
    return this.#changes.onChange(listener)
  }

  /** Notes that a secret is used now; the file learns it with the next {@link flush}. */
  touch(admitted: Pick<TokenRecord, 'hash'>): void {
    this.#uses.note(admitted, this.#now())
  }

  /** Writes the times of last use, once a minute at most, and leaves out what ended long ago. */
  async flush(): Promise<void> {
    if (this.#now() - this.#flushedAt >= FLUSH_MS) await this.#flushNow()
  }

  /** Reports tokens that expired since the last look. Runs by itself between start and stop. */
  expireSweep(): void {
    this.#changes.tell(this.#tokens, this.#now())
  }

  /**
   * Who a session is that came with this token. Its rights are those of the record as it is now; none once that has
   * ended, or the secret it came with.
   */
  toPrincipal(record: TokenRecord): Principal {
    return tokenPrincipal(record, () => this.#admitted(record))
  }

  #admitted({ id, hash }: TokenRecord): TokenRecord | undefined {
    const record = this.#tokens.get(id)
    const now = this.#now()
    return record && isInForce(record, now) && isLive(record, hash, now) ? record : undefined
  }

  async #poll(): Promise<void> {
    if (this.#isPolling) return
    this.#isPolling = true
    try {
      this.expireSweep()
      if (await this.#source.hasChanged()) await this.#source.inTurn(() => this.#load())
      await this.flush()
      if (this.#trouble !== null) this.#logger.info({ path: this.#path }, 'the tokens file is in use again')
      this.#trouble = null
    } catch (error) {
      this.#complain(error)
    } finally {
      this.#isPolling = false
    }
  }

  /** Once per reason, however often it is met. */
  #complain(error: unknown): void {
    const trouble = error instanceof Error ? error.message : String(error)
    if (trouble !== this.#trouble) this.#logger.error({ err: error }, 'tokens stay as they were')
    this.#trouble = trouble
  }

  /** Puts the file in force. */
  async #load(): Promise<void> {
    const tokens = await this.#source.read(this.#tokens.size > 0)
    this.#tokens = new Map(tokens.map((record) => [record.id, record]))
    this.#changes.tell(this.#tokens, this.#now())
  }

  /** Read, put in force, edit, write, put in force; one at a time on the whole host. */
  async #change(edit: (tokens: TokenRecord[]) => TokenRecord[], lastMs?: number): Promise<void> {
    await this.#source.alone(async () => {
      await this.#load()
      const settle = this.#uses.written()
      await this.#source.write(tidied(edit(this.list()), this.#now()))
      settle()
      await this.#load().catch(afterWrite)
    }, lastMs)
  }

  async #changeOne(
    edit: (tokens: TokenRecord[]) => { id: string; edited: TokenRecord[] },
  ): Promise<TokenRecord> {
    let one: TokenRecord | undefined
    await this.#change((tokens) => {
      const { id, edited } = edit(tokens)
      one = edited.find((token) => token.id === id)
      return edited
    })
    if (one === undefined) throw new Error(`an edit of ${this.#path} without its token`)
    return this.#tokens.get(one.id) ?? one
  }

  async #flushNow(lastMs?: number): Promise<void> {
    this.#flushedAt = this.#now()
    const tokens = [...this.#tokens.values()]
    if (tokens.length === 0 || (this.#uses.isEmpty && !isUntidy(tokens, this.#now()))) return
    await this.#change((inFile) => inFile, lastMs)
  }
}
