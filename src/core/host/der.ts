import { isoTime } from '../../lib/iso-time.ts' // As much of DER as a certificate needs: values that are built, none that is read.

const TAG = { integer: 0x02, bits: 0x03, octets: 0x04, oid: 0x06, utf8: 0x0c, utcTime: 0x17, longTime: 0x18 }
const SEQUENCE = 0x30
const SET = 0x31

/** A value with its tag and length. */
export function der(tag: number, ...content: readonly Buffer[]): Buffer {
  const body = Buffer.concat(content)
  if (body.length < 0x80) return Buffer.concat([Buffer.from([tag, body.length]), body])
  const bytes = bytesOf(body.length)
  return Buffer.concat([Buffer.from([tag, 0x80 | bytes.length, ...bytes]), body])
}

export function sequence(...content: readonly Buffer[]): Buffer {
  return der(SEQUENCE, ...content)
}

export function setOf(...content: readonly Buffer[]): Buffer {
  return der(SET, ...content)
}

/** A whole number from its bytes, which must not read as negative. */
export function integer(bytes: Buffer): Buffer {
  return der(TAG.integer, (bytes[0] ?? 0) & 0x80 ? Buffer.concat([Buffer.of(0), bytes]) : bytes)
}

export function bitString(content: Buffer, unusedBits = 0): Buffer {
  return der(TAG.bits, Buffer.of(unusedBits), content)
}

export function octets(content: Buffer): Buffer {
  return der(TAG.octets, content)
}

export function utf8(text: string): Buffer {
  return der(TAG.utf8, Buffer.from(text))
}

/** An object identifier in dots. */
export function oid(dotted: string): Buffer {
  const [first = 0, second = 0, ...rest] = dotted.split('.').map(Number)
  return der(TAG.oid, Buffer.from([40 * first + second, ...rest.flatMap(base128)]))
}

/** UTCTime until 2049, GeneralizedTime from then on. */
export function time(at: Date): Buffer {
  const digits = `${isoTime(at.getTime()).replaceAll(/\D/g, '').slice(0, 14)}Z`
  const isLong = at.getUTCFullYear() >= 2050
  return der(isLong ? TAG.longTime : TAG.utcTime, Buffer.from(isLong ? digits : digits.slice(2)))
}

function base128(value: number): number[] {
  const high = Math.floor(value / 128)
  return high === 0 ? [value] : [...base128(high).map((byte) => byte | 0x80), value % 128]
}

function bytesOf(value: number): number[] {
  return value < 256 ? [value] : [...bytesOf(Math.floor(value / 256)), value % 256]
}
