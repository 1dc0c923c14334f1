import * as z from 'zod'
import { writeFileAtomic } from '../../lib/atomic-file.ts'
import { PrivateFileError, readPrivateFile } from '../../lib/private-file.ts'
import { Instant } from '../../protocol/names.ts'
import { JoinToken, PanelKey } from '../../protocol/panel.ts'
import { parseToken } from '../../protocol/token.ts'

const MAX_BYTES = 16 * 1024

const Token = z.string().refine((text) => parseToken(text) !== null, 'not a credential')
/** What `panel.tokenFile` holds: how this agent proves itself to its panel, and how it knows that one. */
const Credential = z.strictObject({
  version: z.literal(1),
  token: Token,
  /** Made for a later join that no panel has confirmed; it takes the place of `token` once one has. */
  nextToken: Token.optional(),
  /** The public key of the panel that took the agent; until one has, of the one that was asked to. */
  panelKey: PanelKey,
  /** When the key was pinned for good. Absent until a panel has taken a credential of ours for the first time. */
  joinedAt: Instant.optional(),
})
export type Credential = z.infer<typeof Credential>

/**
 * The credential of this agent; null when there is none.
 * @throws {PrivateFileError} when the file is there and cannot be used
 */
export async function readCredential(path: string): Promise<Credential | null> {
  const text = await readPrivateFile(path, MAX_BYTES)
  if (text === null) return null
  let json: unknown
  try {
    json = JSON.parse(text)
  } catch {
    throw new PrivateFileError(`${path}: not JSON, as the agent writes it`)
  }
  const parsed = Credential.safeParse(json)
  if (parsed.success) return parsed.data
  const [issue] = parsed.error.issues
  throw new PrivateFileError(`${path}: ${issue?.path.join('.') || 'top level'}: ${issue?.message}`)
}

/** Replaces the file as a whole, mode 0600. */
export async function writeCredential(path: string, credential: Credential): Promise<void> {
  await writeFileAtomic(path, `${JSON.stringify(credential, null, 2)}\n`, 0o600)
}

/**
 * The join token; null when there is none.
 * @throws {PrivateFileError} when the file is there and cannot be used
 */
export async function readJoinToken(path: string): Promise<string | null> {
  const text = path === '' ? null : await readPrivateFile(path, MAX_BYTES)
  if (text === null) return null
  const parsed = JoinToken.safeParse(text.trim())
  if (parsed.success) return parsed.data
  throw new PrivateFileError(`${path}: expected a join token of ${parsed.error.issues[0]?.message}`)
}
