// The anchor of the audit, in a file beside its folder: how far the records go, the hash of the last one, and the oldest
// one that is kept. One short line, always written over in place: a full disk does not keep it from being written.
import { closeSync, constants, openSync, readFileSync, writeSync } from 'node:fs'
import * as z from 'zod'

const WIDTH = 256

const Head = z.strictObject({
  /** Number of the last record; 0 before the first. */
  n: z.int().min(0),
  /** Its hash. */
  hash: z.string(),
  /** Number of the oldest record that is kept. */
  first: z.int().min(1),
})
export type Head = z.infer<typeof Head>

/** Null when there is none. @throws when it cannot be read or is no head */
export function readHead(path: string): Head | null {
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null
    throw error
  }
  const head = parseHead(text)
  if (!head) throw new Error(`${path} is not the head of an audit`)
  return head
}

function parseHead(text: string): Head | null {
  try {
    return Head.parse(JSON.parse(text))
  } catch {
    return null
  }
}

export class HeadFile {
  readonly #fd: number

  constructor(path: string) {
    const { O_CREAT, O_NOFOLLOW, O_RDWR } = constants
    this.#fd = openSync(path, O_CREAT | O_NOFOLLOW | O_RDWR, 0o600)
  }

  write(head: Head): void {
    writeSync(this.#fd, `${JSON.stringify(head).padEnd(WIDTH - 1)}\n`, 0)
  }

  close(): void {
    closeSync(this.#fd)
  }
}
