const STRICT = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
const LONE = /[\u{dc80}-\u{dcff}]/u

/** The text of a file. A byte that is no UTF-8 becomes U+DC80 to U+DCFF, so that {@link toBytes} gives it back. */
export function fromBytes(bytes: Uint8Array): string {
  const whole = decoded(bytes)
  if (whole !== null) return whole
  let text = ''
  for (let at = 0; at < bytes.length; ) {
    const length = [1, 2, 3, 4].find((count) => decoded(bytes.subarray(at, at + count)) !== null)
    const byte = bytes[at] ?? 0
    text +=
      length === undefined ? String.fromCharCode(0xdc00 + byte) : decoded(bytes.subarray(at, at + length))
    at += length ?? 1
  }
  return text
}

/** The bytes that {@link fromBytes} made the text of. */
export function toBytes(text: string): Buffer {
  if (!LONE.test(text)) return Buffer.from(text)
  return Buffer.concat(
    text
      .split(/([\u{dc80}-\u{dcff}])/u)
      .map((part) => (LONE.test(part) ? Buffer.of(part.charCodeAt(0) - 0xdc00) : Buffer.from(part))),
  )
}

function decoded(bytes: Uint8Array): string | null {
  try {
    return STRICT.decode(bytes)
  } catch {
    return null
  }
}
