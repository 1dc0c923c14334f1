/** The text of a token: `agt_<id: 10>_<secret: 43><checksum: 6>`, all base62. 64 characters, legal in an
 * HTTP header and as a WebSocket subprotocol. The checksum finds typing errors; it proves nothing. */

export const BASE62 = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'
export const TOKEN_ID_LENGTH = 10
/** 43 characters of base62 hold 256 bits. */
export const TOKEN_SECRET_LENGTH = 43
const CHECKSUM_LENGTH = 6

/** How long the text before a rotation stays good: unless told, and at most. */
export const ROTATION_GRACE_MS = 24 * 3_600_000
export const ROTATION_GRACE_MAX_MS = 7 * ROTATION_GRACE_MS

/** The form alone: what matches may still have a wrong checksum. */
export const TOKEN_PATTERN = /^agt_([0-9A-Za-z]{10})_([0-9A-Za-z]{43})([0-9A-Za-z]{6})$/

/** A token that was cut short is as much of one as is left of it. */
const TOKENS = /agt_([0-9A-Za-z]{10})_[0-9A-Za-z]+/g

/** Text in which tokens have kept their id alone, as it may be logged, recorded or sent back. */
export function withoutTokens(text: string): string {
  return text.replaceAll(TOKENS, 'agt_$1_[secret]')
}

export interface TokenParts {
  /** Names the record; not secret. */
  id: string
  secret: string
}

/** The parts of a token, or null when the form or the checksum is wrong. White space around it is wrong too. */
export function parseToken(text: string): TokenParts | null {
  const [, id, secret, sum] = TOKEN_PATTERN.exec(text) ?? []
  if (id === undefined || secret === undefined) return null
  return checksum(`agt_${id}_${secret}`) === sum ? { id, secret } : null
}

/** @throws {RangeError} when a part has another length or other characters; the message names neither. */
export function formatToken(id: string, secret: string): string {
  const body = `agt_${id}_${secret}`
  const text = body + checksum(body)
  if (!TOKEN_PATTERN.test(text)) throw new RangeError('a token is made of 10 and 43 characters of base62')
  return text
}

function checksum(text: string): string {
  let rest = crc32(text)
  let digits = ''
  for (let i = 0; i < CHECKSUM_LENGTH; i++) {
    digits = BASE62.charAt(rest % 62) + digits
    rest = Math.floor(rest / 62)
  }
  return digits
}

/** CRC-32 as in zlib (reflected, 0xEDB88320) of ASCII text. */
export function crc32(text: string): number {
  let crc = 0xffffffff
  for (let i = 0; i < text.length; i++) {
    crc ^= text.charCodeAt(i)
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1
  }
  return (crc ^ 0xffffffff) >>> 0
}
