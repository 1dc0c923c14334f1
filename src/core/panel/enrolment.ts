import { createPublicKey, randomBytes, verify } from 'node:crypto'
import { unlink } from 'node:fs/promises'
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
 * that no crash in between costs the agent its place.
 */
export class Enrolment {
  readonly #files: { tokenFile: string; joinTokenFile: string }
  readonly #agent: { agent: string; version: string }
  /** The credential was refused: a join token, if there is one, is tried next. */
  #isRefused = false

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
    const credential = await readCredential(tokenFile)
    const joinToken = credential === null || this.#isRefused ? await readJoinToken(joinTokenFile) : null
    this.#isRefused = false
    if (joinToken !== null) return this.#attempt(credential, (key) => this.#join(joinToken, credential, key))
    if (credential !== null) return this.#attempt(credential, () => this.#login(credential))
    throw new PanelError(
      joinTokenFile === ''
        ? `no credential in ${tokenFile}, and panel.joinTokenFile names no file with a join token`
        : `neither a credential in ${tokenFile} nor a join token in ${joinTokenFile}`,
    )
  }

  #attempt(known: Credential | null, show: (panelKey: string) => Promise<Shown>): PanelAttempt {
    const nonce = randomBytes(32).toString('base64url')
    let shown: Shown | null = null
    return {
      challenge: panelFrame('panel.challenge', { protocol: 1, nonce }),
      answer: async ({ publicKey, signature }) => {
        // a key from a join that was never completed binds nobody
        if (known?.joinedAt !== undefined && known.panelKey !== publicKey)
          throw new PanelError('the panel has another key than the one pinned when this agent joined')
        if (!isSigned(proofText(nonce), publicKey, signature))
          throw new PanelError("the panel's signature of our nonce is wrong")
        shown = await show(publicKey)
        return shown.frame
      },
      welcomed: async () => {
        if (!shown) throw new Error('welcomed before anything was shown')
        const { tokenFile, joinTokenFile } = this.#files
        if (shown.credential.joinedAt === undefined)
          await writeCredential(tokenFile, { ...shown.credential, joinedAt: new Date().toISOString() })
        await remove(joinTokenFile)
      },
      refused: () => {
        this.#isRefused = shown?.isLogin ?? false
      },
    }
  }

  async #login(credential: Credential): Promise<Shown> {
    const frame = panelFrame('panel.login', { ...this.#agent, token: credential.token })
    return { frame, credential, isLogin: true }
  }

  async #join(joinToken: string, before: Credential | null, panelKey: string): Promise<Shown> {
    const id = newTokenId()
    const token = newTokenText(id)
    const { joinedAt } = before ?? {}
    const credential: Credential = {
      version: 1,
      token,
      panelKey,
      ...(joinedAt === undefined ? {} : { joinedAt }),
    }
    await writeCredential(this.#files.tokenFile, credential)
    const frame = panelFrame('panel.join', { ...this.#agent, joinToken, id, hash: hashToken(token) })
    return { frame, credential, isLogin: false }
  }
}

/** What a panel was shown. */
interface Shown {
  frame: string
  credential: Credential
  isLogin: boolean
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
