// Time zones from the files of the host, in the format of RFC 8536. The tables that Node has of its own are 8 MB, and
// keep the zone of the start.
import { readFileSync, readlinkSync } from 'node:fs'
import { changesAround, offsetAt, type PosixZone, parsePosixZone, type ZoneChange } from './posix-zone.ts'

const HEADER_BYTES = 44
const TYPE_BYTES = 6
const LOCAL = '/etc/localtime'
const ZONES = '/usr/share/zoneinfo'

/** When the offset from UTC of one place changes. */
export class Zone {
  readonly name: string
  readonly #changes: readonly ZoneChange[]
  readonly #first: number
  readonly #rule: PosixZone | null

  constructor(
    name: string,
    parts: { changes: readonly ZoneChange[]; first: number; rule: PosixZone | null },
  ) {
    this.name = name
    this.#changes = parts.changes
    this.#first = parts.first
    this.#rule = parts.rule
  }

  /** Seconds east of UTC. */
  offsetAt(atMs: number): number {
    const listed = this.#listedAfter(atMs)
    if (listed < this.#changes.length) return this.#changes[listed]?.before ?? this.#first
    if (this.#rule) return offsetAt(this.#rule, atMs)
    return this.#changes.at(-1)?.after ?? this.#first
  }

  /** The first change after that instant; null when there is none to come. */
  changeAfter(atMs: number): ZoneChange | null {
    const listed = this.#changes[this.#listedAfter(atMs)]
    if (listed || !this.#rule) return listed ?? null
    return changesAround(this.#rule, atMs).find((change) => change.atMs > atMs) ?? null
  }

  /** How many of the listed changes are not after that instant. */
  #listedAfter(atMs: number): number {
    let low = 0
    let high = this.#changes.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if ((this.#changes[middle]?.atMs ?? Infinity) <= atMs) low = middle + 1
      else high = middle
    }
    return low
  }
}

export const UTC = new Zone('UTC', { changes: [], first: 0, rule: null })

/**
 * The zone that the host's clock shows now, as cron sees it: read anew each time, since an administrator may change
 * it. UTC where the host has no such file.
 * @throws {Error} when the file is not a time zone
 */
export function localZone(path = LOCAL): Zone {
  let bytes: Buffer
  try {
    bytes = readFileSync(path)
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return UTC
    throw error
  }
  return parseZone(bytes, nameOf(path))
}

/**
 * The zone of that name, such as `Europe/Berlin`; null where this host has none.
 * @throws {Error} when its file is not a time zone
 */
export function namedZone(name: string, folder = ZONES): Zone | null {
  if (name === UTC.name) return UTC
  if (!/^[A-Za-z0-9_+-]{1,32}(?:\/[A-Za-z0-9_+-]{1,32}){0,2}$/.test(name)) return null
  try {
    return parseZone(readFileSync(`${folder}/${name}`), name)
  } catch (error) {
    if (error instanceof Error && 'code' in error) return null
    throw error
  }
}

/** @throws {Error} when those bytes are not a time zone */
export function parseZone(bytes: Buffer, name: string): Zone {
  try {
    return read(bytes, name)
  } catch (cause) {
    throw new Error(`the time zone ${name} cannot be read`, { cause })
  }
}

function read(bytes: Buffer, name: string): Zone {
  const old = countsAt(bytes, 0)
  // the first part is for readers that know 32 bits only
  const counts = old.version === 0 ? old : countsAt(bytes, HEADER_BYTES + old.size)
  const { start, times, types, timeBytes, leaps } = counts
  if (leaps > 0) throw new RangeError('a zone that counts leap seconds')
  const timeAt = (i: number) =>
    timeBytes === 8 ? Number(bytes.readBigInt64BE(start + i * 8)) : bytes.readInt32BE(start + i * 4)
  const indexes = start + times * timeBytes
  const offsetOf = (type: number) => {
    if (type >= types) throw new RangeError(`no type ${type}`)
    return bytes.readInt32BE(indexes + times + type * TYPE_BYTES)
  }
  const first = offsetOf(0)
  const changes: ZoneChange[] = []
  let before = first
  for (let i = 0; i < times; i++) {
    const after = offsetOf(bytes.readUInt8(indexes + i))
    if (after !== before) changes.push({ atMs: timeAt(i) * 1000, before, after })
    before = after
  }
  const footer = counts.version === 0 ? '' : bytes.toString('latin1', counts.start + counts.size).trim()
  const rule = footer === '' ? null : parsePosixZone(footer)
  if (footer !== '' && !rule) throw new RangeError(`a rule of another form: ${footer}`)
  return new Zone(name, { changes, first, rule })
}

interface Counts {
  version: number
  times: number
  types: number
  leaps: number
  timeBytes: 4 | 8
  /** Where the data begin, and how many bytes they are. */
  start: number
  size: number
}

function countsAt(bytes: Buffer, at: number): Counts {
  if (bytes.toString('latin1', at, at + 4) !== 'TZif') throw new RangeError('not a time zone file')
  const version = bytes.readUInt8(at + 4)
  const timeBytes = at === 0 ? 4 : 8
  const [utc = 0, standard = 0, leaps = 0, times = 0, types = 0, letters = 0] = [0, 1, 2, 3, 4, 5].map((i) =>
    bytes.readUInt32BE(at + 20 + i * 4),
  )
  const size =
    times * (timeBytes + 1) + types * TYPE_BYTES + letters + leaps * (timeBytes + 4) + standard + utc
  return { version, times, types, leaps, timeBytes, start: at + HEADER_BYTES, size }
}

/** As in `Europe/Berlin`, where the file is a link to it. */
function nameOf(path: string): string {
  try {
    const [, name] = /\/zoneinfo\/(?:posix\/|right\/)?(.+)$/.exec(readlinkSync(path)) ?? []
    return name ?? path
  } catch {
    return path
  }
}
