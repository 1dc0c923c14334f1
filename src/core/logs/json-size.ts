const SHORT_ESCAPES = new Set(['\b', '\t', '\n', '\f', '\r', '"', '\\'].map((char) => char.charCodeAt(0)))

/** Most bytes of JSON that one byte of a log becomes: NUL is `\u0000`. */
export const JSON_BYTES_PER_BYTE = 6

/** Bytes of a text as a JSON string, without its quotes. */
export function jsonSize(text: string): number {
  let bytes = 0
  for (let at = 0; at < text.length; at++) bytes += sizeOf(text.charCodeAt(at))
  return bytes
}

/** The longest end of a text, of whole characters, that is at most so many bytes as JSON. */
export function jsonEnd(text: string, maxBytes: number): string {
  let start = text.length
  for (let left = maxBytes; start > 0; start--) {
    left -= sizeOf(text.charCodeAt(start - 1))
    if (left < 0) break
  }
  const isLowSurrogate = start > 0 && (text.charCodeAt(start) & 0xfc00) === 0xdc00
  return text.slice(isLowSurrogate ? start + 1 : start)
}

/** Decoded text has whole pairs of surrogates only; each half counts for two of the four bytes. */
function sizeOf(code: number): number {
  if (SHORT_ESCAPES.has(code)) return 2
  if (code < 0x20) return JSON_BYTES_PER_BYTE
  if (code < 0x80) return 1
  return code < 0x800 || (code & 0xf800) === 0xd800 ? 2 : 3
}
