import { paint } from '../paint.ts'
import { harmless } from '../text.ts'

interface Chunk {
  process: string
  channel: 'stdout' | 'stderr'
  text: string
  cursor: string
  dropped?: number | undefined
}

/** Writes chunks of text from several sources so that lines stay whole. */
export class LineWriter {
  readonly #isRaw: boolean
  readonly #isJson: boolean
  readonly #rests = new Map<string, string>()
  #width = 0
  #showsChannel = false

  constructor(isRaw: boolean, isJson: boolean) {
    this.#isRaw = isRaw
    this.#isJson = isJson
  }

  setSources(names: readonly string[], showsChannel: boolean): void {
    this.#width = names.length > 1 ? Math.max(...names.map(({ length }) => length)) : 0
    this.#showsChannel = showsChannel
  }

  write(chunk: Chunk): void {
    if (this.#isJson) {
      process.stdout.write(`${JSON.stringify(chunk)}\n`)
      return
    }
    if (chunk.dropped !== undefined)
      process.stderr.write(
        `agent: ${harmless(chunk.process)}: ${
          chunk.dropped > 0
            ? `${chunk.dropped} bytes were rotated away unread`
            : 'the log was emptied or cut; what came just before may be missing'
        }\n`,
      )
    const prefix = this.#prefix(chunk)
    if (prefix === '') {
      process.stdout.write(this.#clean(chunk.text))
      return
    }
    const key = `${chunk.process}/${chunk.channel}`
    const lines = ((this.#rests.get(key) ?? '') + chunk.text).split('\n')
    this.#rests.set(key, lines.pop() ?? '')
    process.stdout.write(lines.map((line) => `${prefix}${this.#clean(line)}\n`).join(''))
  }

  /** Writes what has no end of line yet. */
  end(): void {
    for (const [key, rest] of this.#rests)
      if (rest !== '') process.stdout.write(`${key} | ${this.#clean(rest)}\n`)
  }

  #prefix({ process: name, channel }: Chunk): string {
    if (this.#width === 0 && !this.#showsChannel) return ''
    const mark = this.#showsChannel ? (channel === 'stderr' ? ' err' : ' out') : ''
    return `${paint('cyan', harmless(name).padEnd(this.#width) + mark)} | `
  }

  #clean(text: string): string {
    return this.#isRaw ? text : harmless(text)
  }
}
