import { stat } from 'node:fs/promises'
import { KeyedMutex } from '../../lib/keyed-mutex.ts'
import { sleep } from '../../lib/sleep.ts'
import { AgentError } from '../../protocol/errors.ts'
import { withFileLock } from './file-lock.ts'
import { readTokenFile, type TokenRecord, writeTokenFile } from './token-file.ts'

/** Editors that replace a file leave it away for a moment. */
const AWAY_MS = 500

/** The tokens file as something that others change too, also by hand. */
export class TokenSource {
  readonly #path: string
  readonly #turns = new KeyedMutex()
  readonly #end = new AbortController()
  #signature = ''

  constructor(path: string) {
    this.#path = path
  }

  /** True when the file is not what was read last, or that could not be read. */
  async hasChanged(): Promise<boolean> {
    return (await signatureOf(this.#path)) !== this.#signature
  }

  /**
   * Reads the file; a missing one holds no tokens.
   * @param isKnown it was there: then it is missing only when it still is after a moment
   * @throws {TokenFileError} when it cannot be used
   */
  async read(isKnown: boolean): Promise<TokenRecord[]> {
    const signature = await signatureOf(this.#path) // taken first: a change while reading is seen at the next look
    this.#signature = ''
    let tokens = await readTokenFile(this.#path)
    if (tokens === null && isKnown) {
      await sleep(AWAY_MS)
      tokens = await readTokenFile(this.#path)
    }
    this.#signature = signature
    return tokens ?? []
  }

  async write(tokens: readonly TokenRecord[]): Promise<void> {
    await writeTokenFile(this.#path, tokens)
  }

  /** Runs a task while no other one runs in this process. */
  async inTurn(task: () => Promise<void>): Promise<void> {
    await this.#turns.run('file', task)
  }

  /**
   * Runs a task while nobody else on the host writes tokens.
   * @param lastMs waits no longer than that for others, and not less after {@link end} either
   */
  async alone(task: () => Promise<void>, lastMs?: number): Promise<void> {
    const signal = lastMs === undefined ? this.#end.signal : undefined
    await this.inTurn(() => withFileLock(`${this.#path}.lock`, task, lastMs, signal))
  }

  /** The agent stops: nobody waits any longer until others are done with the file. */
  end(): void {
    const facts = { begun: false }
    this.#end.abort(new AgentError('SHUTTING_DOWN', 'the agent is stopping', { facts }))
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
