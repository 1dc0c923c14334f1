import { createPublicKey, randomBytes, verify } from 'node:crypto'
import { unlink } from 'node:fs/promises'
import { isoTime } from '../../lib/iso-time.ts'
import { type PanelMessage, panelFrame, proofText } from '../../protocol/panel.ts'
import { hashToken, newTokenId, newTokenText } from '../access/token-text.ts'
import { type Credential, readCredential, readJoinToken, writeCredential } from './credential-file.ts'

/** The panel cannot be believed, or this agent has nothing to show it. */
export class PanelError extends Error {
  override readonly name = 'PanelError'
}

/** Both sides of one handshake, as the agent sees them. */
export interface PanelAttempt {
  /** The first frame. */
  challenge: string
  /**
   * Judges the panel's proof.
   * @returns the frame that shows it who we are, which holds a secret
   * @throws {PanelError} when it is not the panel we know; nothing secret may leave then
   */
  answer(proof: PanelMessage<'panel.proof'>): Promise<string>
  /** The panel took it. */
  welcomed(): Promise<void>
  /** The panel refused what `answer` gave. */
  refused(): void
}

/**
 * How this agent proves itself to its panel and knows it again. The first time a join token is exchanged for a
 * credential that the agent makes: the panel learns its hash alone. It is on the disk before the panel can know it, so
 * that no crash in between costs the agent its place. One that a panel has taken stays until it has taken another.
 */
export class Enrolment {
  readonly #files: { tokenFile: string; joinTokenFile: string }
  readonly #agent: { agent: string; version: string }
  /** Credentials that were refused since the latest join: others are tried, then a join token if there is one. */
  readonly #refused = new Set<string>()

  constructor(deps: {
    files: { tokenFile: string; joinTokenFile: string }
    agent: string
    version: string
  }) {
    this.#files = deps.files
    this.#agent = { agent: deps.agent, version: deps.version }
  }

  /**
   * Reads what there is to prove oneself with.
   * @throws {PanelError} nothing; {PrivateFileError} a file that cannot be used
   */
  async prepare(): Promise<PanelAttempt> {
    const { tokenFile, joinTokenFile } = this.#files
    const kept = await readCredential(tokenFile)
    const tokens = kept ? [kept.nextToken, kept.token].filter((token) => token !== undefined) : []
    const [token] = tokens.filter((one) => !this.#refused.has(one))
    if (token !== undefined) return this.#attempt(kept, () => this.#login(token))
    this.#refused.clear()
    const joinToken = await readJoinToken(joinTokenFile)
    if (joinToken !== null) return this.#attempt(kept, (panelKey) => this.#join(joinToken, kept, panelKey))
    const [first] = tokens
    if (first !== undefined) return this.#attempt(kept, () => this.#login(first))
    throw new PanelError(
      joinTokenFile === ''
        ? `no credential in ${tokenFile}, and panel.joinTokenFile names no file with a join token`
        : `neither a credential in ${tokenFile} nor a join token in ${joinTokenFile}`,
    )
  }

  #attempt(kept: Credential | null, show: (panelKey: string) => Promise<Shown>): PanelAttempt {
    const nonce = randomBytes(32).toString('base64url')
    let proven: (Shown & { panelKey: string }) | null = null
    return {
      challenge: panelFrame('panel.challenge', { protocol: 1, nonce }),
      answer: async ({ publicKey, signature }) => {
        // a key from a join that was never completed binds nobody
        if (kept?.joinedAt !== undefined && kept.panelKey !== publicKey)
          throw new PanelError('the panel has another key than the one pinned when this agent joined')
        if (!isSigned(proofText(nonce), publicKey, signature))
          throw new PanelError("the panel's signature of our nonce is wrong")
        proven = { ...(await show(publicKey)), panelKey: publicKey }
        return proven.frame
      },
      welcomed: async () => {
        if (!proven) throw new Error('welcomed before anything was shown')
        const { token, panelKey } = proven
        const { joinedAt } = kept ?? {}
        const isNew = joinedAt === undefined || token !== kept?.token
        if (isNew || kept?.nextToken !== undefined)
          await writeCredential(this.#files.tokenFile, {
            version: 1,
            token,
            panelKey,
            joinedAt: joinedAt ?? isoTime(),
          })
        // one that was put there for the day on which this credential is refused has not been used
        if (isNew) await remove(this.#files.joinTokenFile)
      },
      refused: () => {
        if (proven) this.#refused.add(proven.token)
      },
    }
  }

  async #login(token: string): Promise<Shown> {
    return { frame: panelFrame('panel.login', { ...this.#agent, token }), token }
  }

  async #join(joinToken: string, kept: Credential | null, panelKey: string): Promise<Shown> {
    const id = newTokenId()
    const token = newTokenText(id)
    await writeCredential(
      this.#files.tokenFile,
      kept ? { ...kept, nextToken: token } : { version: 1, token, panelKey },
    )
    return {
      frame: panelFrame('panel.join', { ...this.#agent, joinToken, id, hash: hashToken(token) }),
      token,
    }
  }
}

/** What a panel was shown, and of which credential. */
interface Shown {
  frame: string
  token: string
}

function isSigned(text: string, publicKey: string, signature: string): boolean {
  try {
    const key = createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x: publicKey }, format: 'jwk' })
    return verify(null, Buffer.from(text), key, Buffer.from(signature, 'base64url'))
  } catch {
    return false // 32 bytes that are no point of the curve
  }
}

async function remove(path: string): Promise<void> {
  if (path === '') return
  await unlink(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw error
  })
}
