import { isUtf8 } from 'node:buffer'

const LF = 0x0a

/** Cuts a stream of bytes into lines of UTF-8; holds one line at most. Empty lines are left out. */
export class LineReader {
  readonly #maxBytes: number
  #held = Buffer.alloc(0)
  #length = 0

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes
  }

  /**
   * The lines that end in this chunk, one after the other.
   * @throws {RangeError} when a line is longer than allowed or not UTF-8; the rest of the stream is then worthless
   */
  *push(chunk: Buffer): Generator<string> {
    let from = 0
    for (let at = chunk.indexOf(LF); at >= 0; at = chunk.indexOf(LF, from)) {
      this.#hold(chunk.subarray(from, at))
      from = at + 1
      const line = this.#held.subarray(0, this.#length)
      if (!isUtf8(line)) throw new RangeError('a line is not UTF-8')
      this.#length = 0
      if (line.length > 0) yield line.toString()
    }
    this.#hold(chunk.subarray(from))
  }

  #hold(bytes: Buffer): void {
    const length = this.#length + bytes.length
    if (length > this.#maxBytes) throw new RangeError(`a line is longer than ${this.#maxBytes} bytes`)
    if (length > this.#held.length) {
      const grown = Buffer.alloc(Math.min(this.#maxBytes, Math.max(length, 2 * this.#held.length, 1024)))
      this.#held.copy(grown, 0, 0, this.#length)
      this.#held = grown
    }
    bytes.copy(this.#held, this.#length)
    this.#length = length
  }
}
