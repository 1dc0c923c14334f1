import * as z from 'zod'
import { type EventBody, parseEventBody } from './listener-payload.ts'

const MAX_HEADER_BYTES = 4096
const MAX_PAYLOAD_POINTS = 1 << 20

/** The shim's first line: what it is, and where it stands in the listener protocol. */
export const Hello = z.strictObject({
  shim: z.literal(1),
  pid: z.int().positive(),
  supervisord: z.int().nonnegative(),
  /** Start of supervisord in ticks of the kernel's clock; with its pid it names one run of it. */
  started: z.int().nonnegative().nullable(),
  /** READY is out and no event came since. */
  ready: z.boolean(),
  /** An event is unanswered and follows at once, or as soon as all of it is there. */
  pending: z.boolean(),
  cwd: z.string(),
})
export type Hello = z.infer<typeof Hello>

/** One event of supervisord. `serial` counts all of its events, `poolSerial` those of our listener. */
export interface ListenerEvent {
  serial: number
  poolSerial: number
  pool: string
  name: string
  payload: string
  body: EventBody
}

interface Header {
  serial: number
  poolSerial: number
  pool: string
  name: string
  points: number
}

/** The shim broke the protocol; the connection cannot go on. */
export class FrameError extends Error {
  override readonly name = 'FrameError'
}

/**
 * Cuts the shim's stream into its hello and events, however it is chunked.
 * `len:` counts code points, so the payload's end is found by its UTF-8 lead bytes.
 */
export class FrameParser {
  readonly #onHello: (hello: Hello) => void
  readonly #onEvent: (event: ListenerEvent) => void
  #greeted = false
  #header: Header | null = null
  #buffer: Buffer = Buffer.alloc(0)
  /** Of the payload at the head of the buffer: bytes looked at, and code points begun in them. */
  #scanned = 0
  #points = 0

  constructor(deps: { onHello: (hello: Hello) => void; onEvent: (event: ListenerEvent) => void }) {
    this.#onHello = deps.onHello
    this.#onEvent = deps.onEvent
  }

  /** @throws {FrameError} */
  push(chunk: Buffer): void {
    this.#buffer = this.#buffer.length === 0 ? chunk : Buffer.concat([this.#buffer, chunk])
    while (this.#header === null ? this.#takeLine() : this.#takePayload(this.#header));
  }

  #takeLine(): boolean {
    const end = this.#buffer.indexOf(0x0a)
    if (end > MAX_HEADER_BYTES || (end < 0 && this.#buffer.length > MAX_HEADER_BYTES))
      throw new FrameError('a header line is longer than 4 KiB')
    if (end < 0) return false
    const line = this.#buffer.subarray(0, end).toString('utf8')
    this.#buffer = this.#buffer.subarray(end + 1)
    if (this.#greeted) this.#header = parseHeader(line)
    else {
      this.#greeted = true
      this.#onHello(parseHello(line))
    }
    return true
  }

  #takePayload(header: Header): boolean {
    const end = this.#payloadEnd(header.points)
    if (end < 0) return false
    const payload = this.#buffer.subarray(0, end).toString('utf8')
    this.#buffer = this.#buffer.subarray(end)
    this.#header = null
    this.#scanned = 0
    this.#points = 0
    const { points: _points, ...facts } = header
    this.#onEvent({ ...facts, payload, body: parseEventBody(header.name, payload) })
    return true
  }

  /** Where the payload ends in the buffer, -1 while it is not all there. */
  #payloadEnd(points: number): number {
    const buffer = this.#buffer
    while (this.#points < points && this.#scanned < buffer.length) {
      const width = pointBytes(buffer[this.#scanned] ?? 0)
      this.#scanned += width
      this.#points++
    }
    return this.#points === points && this.#scanned <= buffer.length ? this.#scanned : -1
  }
}

/** Length of a UTF-8 sequence by its lead byte. */
function pointBytes(lead: number): number {
  if (lead < 0x80) return 1
  if (lead >= 0xf0 && lead < 0xf8) return 4
  if (lead >= 0xe0) return 3
  if (lead >= 0xc0) return 2
  throw new FrameError('a payload is not UTF-8')
}

function parseHello(line: string): Hello {
  try {
    return Hello.parse(JSON.parse(line))
  } catch (cause) {
    throw new FrameError('the first line is no hello of the shim', { cause })
  }
}

/** The server's identifier and the pool's name are free text in supervisord: they may hold spaces. */
const HEADER =
  /^ver:3\.0 server:.* serial:(\d{1,15}) pool:(.*) poolserial:(\d{1,15}) eventname:(\S+) len:(\d{1,9})$/

function parseHeader(line: string): Header {
  const match = HEADER.exec(line)
  if (!match) throw new FrameError('a header line is not one of supervisord')
  const [, serial = '', pool = '', poolSerial = '', name = '', length = ''] = match
  const points = Number(length)
  if (points > MAX_PAYLOAD_POINTS) throw new FrameError('a payload is longer than 1 MiB')
  return { serial: Number(serial), poolSerial: Number(poolSerial), pool, name, points }
}
