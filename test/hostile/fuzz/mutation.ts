// Frames that are nearly right: a right one with edits of its bytes or of its JSON, or in a wrong envelope.
import * as fc from 'fast-check'
import { frame } from '../../transports/support.ts'

type Json = null | boolean | number | string | Json[] | { [key: string]: Json }

/** What breaks readers: borders of numbers, names of properties, depth, length, odd characters. */
const ODD: readonly Json[] = [
  null,
  true,
  0,
  -1,
  1.5,
  2 ** 53,
  -(2 ** 63),
  1e308,
  '',
  'a]\n[program:evil',
  '\0',
  '\u001b[2J',
  '\u2028',
  '\ud800',
  '../../etc/shadow',
  '__proto__',
  'constructor',
  'all',
  '*',
  '**********************x',
  'x'.repeat(5000),
  [],
  {},
  [[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]],
  Array.from({ length: 2000 }, () => 'web'),
  { __proto__: null, toString: 1, constructor: { prototype: {} } },
]
const KEYS = ['__proto__', 'constructor', 'toString', 'id', 'params', 'select', 'idempotencyKey', 'x']

export const mostly = <T>(usual: T, odd: fc.Arbitrary<T>, weight = 300) =>
  fc.oneof({ weight, arbitrary: fc.constant(usual) }, { weight: 1, arbitrary: odd })

const place = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true })
const value = fc.oneof({ weight: 4, arbitrary: fc.constantFrom(...ODD) }, fc.jsonValue({ maxDepth: 3 }))

/** What is done to the bytes of a message. */
export type Mutate = (bytes: Buffer) => Buffer

type Edit =
  | { kind: 'flip'; at: number; bits: number }
  | { kind: 'cut'; at: number; length: number }
  | { kind: 'insert'; at: number; bytes: Uint8Array }
  | { kind: 'copy'; at: number; from: number; length: number }
  | { kind: 'splice'; at: number; with: number }

/** Text, as a rule: bytes that are no UTF-8 end the connection, and what is behind them is never read. */
const inserted = fc.oneof(
  { weight: 40, arbitrary: fc.string({ maxLength: 40, unit: 'binary' }).map((text) => Buffer.from(text)) },
  { weight: 1, arbitrary: fc.uint8Array({ maxLength: 40 }) },
)

const edit: fc.Arbitrary<Edit> = fc.oneof(
  fc.record({
    kind: fc.constant('flip' as const),
    at: place,
    bits: mostly(0x20, fc.integer({ min: 1, max: 127 }), 1),
  }),
  fc.record({ kind: fc.constant('cut' as const), at: place, length: fc.nat(40) }),
  fc.record({ kind: fc.constant('insert' as const), at: place, bytes: inserted }),
  fc.record({ kind: fc.constant('copy' as const), at: place, from: place, length: fc.nat(200) }),
  fc.record({ kind: fc.constant('splice' as const), at: place, with: fc.nat() }),
)

/** Some edits, to be made on whatever bytes come. */
export const editing = (pieces: readonly string[]): fc.Arbitrary<Mutate> =>
  fc
    .array(edit, { minLength: 1, maxLength: 6 })
    .map((edits) => (bytes) => edits.reduce((before, one) => edited(before, one, pieces), bytes))

const changes = fc.array(
  fc.record({
    path: fc.array(place, { minLength: 1, maxLength: 4 }),
    to: fc.option(value),
    key: fc.option(fc.constantFrom(...KEYS)),
  }),
  { minLength: 1, maxLength: 3 },
)

/** Changes of JSON: anywhere, or of the parameters alone, so that the call comes as far as its method. */
const changing = (within: 'request' | 'params'): fc.Arbitrary<Mutate> =>
  changes.map((list) => (bytes) => {
    const whole = JSON.parse(bytes.toString()) as { params: unknown }
    for (const { path, to, key } of list) change(within === 'params' ? whole.params : whole, path, to, key)
    return Buffer.from(JSON.stringify(whole))
  })

const anything = fc.oneof(
  fc.json({ maxDepth: 6 }).map((text) => Buffer.from(text)),
  inserted.map((bytes) => Buffer.from(bytes)),
)

/** What becomes of a right request: the same now and then, mostly one that is nearly right, rarely something else. */
export const mutation = (pieces: readonly string[]): fc.Arbitrary<Mutate> =>
  fc.oneof(
    { weight: 10, arbitrary: changing('params') },
    { weight: 2, arbitrary: changing('request') },
    { weight: 4, arbitrary: editing(pieces) },
    { weight: 2, arbitrary: fc.constant((bytes: Buffer) => bytes) },
    { weight: 2, arbitrary: anything.map((other) => () => other) },
  )

/** The bytes of one message, of which the right ones are those. */
export const messages = (corpus: readonly string[]): fc.Arbitrary<Buffer> =>
  fc.tuple(fc.constantFrom(...corpus), mutation(corpus)).map(([text, mutate]) => mutate(Buffer.from(text)))

/** A message with the head of its WebSocket frame. */
export interface Envelope {
  payload: Buffer
  opcode: number
  fin: boolean
  reserved: number
  masked: boolean
  claims: bigint | null
}

/** Messages in frames whose heads are wrong now and then; a client's are masked. */
export const envelopes = (
  payload: fc.Arbitrary<Buffer>,
  { isMasked }: { isMasked: boolean },
): fc.Arbitrary<Envelope> =>
  fc.record({
    payload,
    opcode: mostly(1, fc.nat(15)),
    fin: mostly(true, fc.constant(false)),
    reserved: mostly(0, fc.constantFrom(0x10, 0x20, 0x40)),
    masked: mostly(isMasked, fc.constant(!isMasked)),
    claims: mostly<bigint | null>(null, fc.bigInt({ min: 0n, max: 2n ** 64n - 1n })),
  })

export function wireOf({ payload, opcode, claims, ...rest }: Envelope): Buffer {
  return frame(opcode, payload, { ...rest, ...(claims === null ? {} : { claims }) })
}

function edited(bytes: Buffer, one: Edit, pieces: readonly string[]): Buffer {
  const at = Math.floor(one.at * bytes.length)
  const [head, tail] = [bytes.subarray(0, at), bytes.subarray(at)]
  switch (one.kind) {
    case 'flip':
      return Buffer.concat([head, Buffer.from([(tail[0] ?? 0) ^ one.bits]), tail.subarray(1)])
    case 'cut':
      return Buffer.concat([head, tail.subarray(one.length)])
    case 'insert':
      return Buffer.concat([head, one.bytes, tail])
    case 'copy': {
      const from = Math.floor(one.from * bytes.length)
      return Buffer.concat([head, bytes.subarray(from, from + one.length), tail])
    }
    case 'splice': {
      const other = Buffer.from(pieces[one.with % Math.max(1, pieces.length)] ?? '')
      return Buffer.concat([head, other.subarray(Math.floor(one.at * other.length))])
    }
  }
}

/** Puts a value where the path leads, or under another key there; without a value it is taken out. */
function change(inside: unknown, path: readonly number[], to: unknown, key: string | null): void {
  if (typeof inside !== 'object' || inside === null) return
  const names = Object.keys(inside)
  const [first = 0, ...rest] = path
  const name = names[Math.floor(first * names.length)]
  const deeper: unknown = name === undefined ? undefined : Reflect.get(inside, name)
  if (rest.length > 0 && typeof deeper === 'object' && deeper !== null) return change(deeper, rest, to, key)
  const property = key ?? name
  if (property === undefined) return
  if (to === null && key === null) Reflect.deleteProperty(inside, property)
  else
    Object.defineProperty(inside, property, {
      // a copy: the next change may go inside it
      value: structuredClone(to),
      enumerable: true,
      configurable: true,
      writable: true,
    })
}
