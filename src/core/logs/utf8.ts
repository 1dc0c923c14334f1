/**
 * Where the last whole character before `end` ends: `end` itself, or up to three bytes earlier when the bytes there
 * begin a character that more bytes could complete. Cutting only at such places makes decoding piece by piece give
 * the same text as decoding all at once, invalid bytes included.
 */
export function wholeCharactersEnd(bytes: Uint8Array, start: number, end: number): number {
  for (let at = end - 1; at >= start && at >= end - 3; at--) {
    const lead = bytes[at] ?? 0
    if (lead < 0x80) return end
    if (lead >= 0xc0) return isPrefix(bytes, at, end) ? at : end
  }
  return end
}

/** The first place from `start` on that is not in the middle of a character. */
export function characterStart(bytes: Uint8Array, start: number): number {
  let at = start
  while (at < bytes.length && at < start + 3 && ((bytes[at] ?? 0) & 0xc0) === 0x80) at++
  return at
}

function isPrefix(bytes: Uint8Array, at: number, end: number): boolean {
  const lead = bytes[at] ?? 0
  const length = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2
  if (lead < 0xc2 || lead > 0xf4 || end - at >= length) return false
  if (end - at === 1) return true
  // the second byte has a narrower range after these leads (no overlong forms, surrogates, or beyond U+10FFFF)
  const second = bytes[at + 1] ?? 0
  const low = lead === 0xe0 ? 0xa0 : lead === 0xf0 ? 0x90 : 0x80
  const high = lead === 0xed ? 0x9f : lead === 0xf4 ? 0x8f : 0xbf
  return second >= low && second <= high
}
