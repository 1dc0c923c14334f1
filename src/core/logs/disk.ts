import { type BigIntStats, closeSync, fstatSync, read } from 'node:fs'
import { openLogFile } from './open.ts'

/** Bytes of a follower's chunk, and of a block when reading backwards. */
export const CHUNK_BYTES = 64 * 1024
/** Bytes before a position that are read again to see that the file is still the same. */
export const CHECK_BYTES = 512

const SPARE_BUFFERS = 8

/** What one LogService has open, and how often it read. */
export class Disk {
  descriptors = 0
  reads = 0
  readonly #spare: Buffer[] = []

  /** @throws {AgentError} LOG_UNAVAILABLE */
  open(path: string): { descriptor: Descriptor; stat: BigIntStats } {
    const { fd, stat } = openLogFile(path)
    this.descriptors++
    return { descriptor: new Descriptor(fd, this), stat }
  }

  /** Lends a buffer of `CHECK_BYTES + CHUNK_BYTES` for the time of one task. */
  async borrow<T>(task: (buffer: Buffer) => Promise<T>): Promise<T> {
    const buffer = this.#spare.pop() ?? Buffer.allocUnsafeSlow(CHECK_BYTES + CHUNK_BYTES)
    try {
      return await task(buffer)
    } finally {
      if (this.#spare.length < SPARE_BUFFERS) this.#spare.push(buffer)
    }
  }
}

/** An open log file. It is closed only after its last read has ended, so that no read meets a reused number. */
export class Descriptor {
  readonly fd: number
  readonly #disk: Disk
  #reading = 0
  #isReleased = false

  constructor(fd: number, disk: Disk) {
    this.fd = fd
    this.#disk = disk
  }

  stat(): BigIntStats {
    return fstatSync(this.fd, { bigint: true })
  }

  /** Reads up to `length` bytes from `position` into the front of `buffer`; gives how many there were. */
  async read(buffer: Buffer, length: number, position: number): Promise<number> {
    this.#reading++
    this.#disk.reads++
    try {
      return await new Promise<number>((resolve, reject) => {
        read(this.fd, buffer, 0, length, position, (error, count) => (error ? reject(error) : resolve(count)))
      })
    } finally {
      this.#reading--
      this.#closeWhenIdle()
    }
  }

  release(): void {
    if (this.#isReleased) return
    this.#isReleased = true
    this.#closeWhenIdle()
  }

  #closeWhenIdle(): void {
    if (!this.#isReleased || this.#reading > 0) return
    this.#disk.descriptors--
    closeSync(this.fd)
  }
}
