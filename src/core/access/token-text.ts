import { createHash, randomBytes } from 'node:crypto'
import { BASE62, formatToken, TOKEN_ID_LENGTH, TOKEN_SECRET_LENGTH } from '../../protocol/token.ts'

/** What is kept of a token. A plain hash is enough: of 256 random bits there is nothing to guess. */
export function hashToken(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}

export function newTokenId(): string {
  return randomBase62(TOKEN_ID_LENGTH)
}

/** A new token text for an id, with a fresh secret. */
export function newTokenText(id: string): string {
  return formatToken(id, randomBase62(TOKEN_SECRET_LENGTH))
}

function randomBase62(length: number): string {
  let text = ''
  while (text.length < length)
    for (const byte of randomBytes(length))
      if (byte < 248 && text.length < length) text += BASE62.charAt(byte % 62) // 248 = 4 * 62: no digit is favoured
  return text
}
