import { constants } from 'node:fs'
import { open } from 'node:fs/promises'
import * as z from 'zod'
import { writeFileAtomic } from '../../lib/atomic-file.ts'
import { whyNotPrivate } from '../../lib/private-file.ts'
import { AgentError } from '../../protocol/errors.ts'
import { Glob, Instant, TokenName } from '../../protocol/names.ts'
import { Role, Scope } from '../../protocol/scopes.ts'
import { OwnFileError, parseOwn } from '../host/own-file.ts'

const MAX_FILE_BYTES = 4 * 1024 * 1024

/** A system user's name, or `*` for whatever the policy allows. */
const TokenUser = z.string().regex(/^(\*|[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}\$?)$/, 'a system user or *')

const TokenId = z.string().regex(/^[0-9A-Za-z]{10}$/)
const Hash = z
  .string()
  .regex(/^[0-9a-f]{64}$/)
  .describe('SHA-256 of the whole text, hex')

/** A token as it is kept: its rights and the hash of its text, never the text. */
export const TokenRecord = z.strictObject({
  id: TokenId,
  name: TokenName,
  /** What it was created with, for display; the rights are `scopes`. */
  role: Role.optional(),
  scopes: z.array(Scope).min(1).max(16),
  programs: z.array(Glob).max(1000),
  users: z.array(TokenUser).max(1000),
  hash: Hash,
  /** The text before the last rotation, which is good until then. */
  former: z.strictObject({ hash: Hash, endsAt: Instant, lastUsedAt: Instant.optional() }).optional(),
  createdAt: Instant,
  createdBy: z.string().min(1).max(128),
  /** The record of the token that made it: names are given again, ids are not. */
  creatorId: TokenId.optional(),
  expiresAt: Instant.optional(),
  revokedAt: Instant.optional(),
  revokedBy: z.string().min(1).max(128).optional(),
  /** Of the current text alone. */
  lastUsedAt: Instant.optional(),
})
export type TokenRecord = z.infer<typeof TokenRecord>

const TokenFile = z.strictObject({
  version: z.literal(1),
  tokens: z
    .array(TokenRecord)
    .refine(
      (tokens) => new Set(tokens.map(({ id }) => id)).size === tokens.length,
      'two tokens have the same id',
    ),
})

const MEND = 'mend it, or move it away and make tokens anew: without it none is in force'

/** The tokens file cannot be used, so that nothing was done. */
export class TokenFileError extends OwnFileError {
  constructor(path: string, reason: string, cure: string) {
    super(path, { what: 'tokens file', reason, cure }, { begun: false })
  }
}

/**
 * Reads the tokens file; null when there is none.
 * @throws {TokenFileError} not a plain file, owned by a stranger, open to group or world, or not of the schema
 */
export async function readTokenFile(path: string): Promise<TokenRecord[] | null> {
  const text = await readPrivateText(path)
  return text === null ? null : parseTokenFile(path, text)
}

/**
 * Replaces the file as a whole, mode 0600.
 * @throws {TokenFileError} when it would be larger than one that is read; it is left as it is
 */
export async function writeTokenFile(path: string, tokens: readonly TokenRecord[]): Promise<void> {
  const text = `${JSON.stringify({ version: 1, tokens }, null, 2)}\n`
  if (Buffer.byteLength(text) > MAX_FILE_BYTES)
    throw new TokenFileError(
      path,
      `it would be larger than ${MAX_FILE_BYTES} bytes`,
      'take out of it by hand what has ended',
    )
  await writeFileAtomic(path, text, 0o600)
}

/** What is met when the file was written already. @throws it, without the word that nothing was done */
export function afterWrite(error: unknown): never {
  if (!(error instanceof TokenFileError)) throw error
  const { code, message, abroad } = error
  throw new AgentError(code, message, { abroad, cause: error })
}

function parseTokenFile(path: string, text: string): TokenRecord[] {
  return parseOwn(text, TokenFile, (reason) => new TokenFileError(path, reason, MEND)).tokens
}

async function readPrivateText(path: string): Promise<string | null> {
  // NONBLOCK: a pipe put in its place must not hold us
  const opened = await open(path, constants.O_RDONLY | constants.O_NONBLOCK).catch(
    (error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return null
      throw new TokenFileError(path, `cannot be opened (${error.code})`, lookAt(path))
    },
  )
  if (opened === null) return null
  try {
    const refusal = whyNotPrivate(await opened.stat(), MAX_FILE_BYTES)
    if (refusal !== null) throw new TokenFileError(path, refusal, lookAt(path))
    return await opened.readFile('utf8')
  } finally {
    await opened.close()
  }
}

function lookAt(path: string): string {
  return `ls -l ${path} shows it`
}
