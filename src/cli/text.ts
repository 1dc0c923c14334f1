/** Control characters and bidirectional overrides, made visible: foreign text must not drive a terminal. */
export function harmless(text: string): string {
  return text.replaceAll(/[\p{Cc}\u202a-\u202e\u2066-\u2069]/gu, (char) => {
    if (char === '\n' || char === '\t') return char
    const code = char.codePointAt(0) ?? 0
    return code < 0x20 ? `^${String.fromCharCode(code + 64)}` : `<${code.toString(16).padStart(4, '0')}>`
  })
}

/** Text for stdout: harmless on a terminal, as it is in a pipe. */
export function forReader(text: string): string {
  return process.stdout.isTTY ? harmless(text) : text
}

/** Columns as wide as their widest cell; the header only when there are rows. */
export function table(header: readonly string[], rows: readonly (readonly string[])[]): string {
  if (rows.length === 0) return ''
  const lines = [header, ...rows]
  const widths = header.map((_title, column) => Math.max(...lines.map((line) => (line[column] ?? '').length)))
  return lines
    .map((line) => line.map((cell, column) => harmless(cell).padEnd(widths[column] ?? 0)).join('  '))
    .map((line) => `${line.trimEnd()}\n`)
    .join('')
}
