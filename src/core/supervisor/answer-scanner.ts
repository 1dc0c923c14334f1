import { type Answer, faultError, notXmlRpc } from './codec.ts'

const [LESS, GREATER, SLASH, SPACE, MINUS, DIGIT_0] = [0x3c, 0x3e, 0x2f, 0x20, 0x2d, 0x30]
/** The elements that mean something, by length and last letter, which no two of them share. */
const TAGS = new Map(
  ['int', 'i4', 'double', 'boolean', 'string', 'name', 'value', 'array', 'struct', 'fault', 'member'].map(
    (name) => [tagKey(name.length, name.charCodeAt(name.length - 1)), name],
  ),
)
const ENTITIES: Record<string, string> = { '&amp;': '&', '&lt;': '<', '&gt;': '>' }
const NOTHING: Buffer = Buffer.alloc(0)
/** In place of the name of a member that nobody wants. */
const UNWANTED = Symbol('unwanted')
const FAULT_MEMBERS = ['faultCode', 'faultString']

/**
 * Decodes an answer of supervisord made of arrays, structs, strings, ints and booleans, while it comes: the package
 * takes 16 ms per 100 processes, and 400 of them are half a megabyte that would lie in memory until the next large
 * collection. Works on the bytes: a text cut out of one big string would keep all of it, and an object per tag would be
 * megabytes of garbage.
 */
export class AnswerScanner implements Answer {
  #values: unknown[] = []
  readonly #outer: unknown[][] = []
  #isFault = false
  #isBare = false
  /** What came behind the last whole tag. */
  #rest = NOTHING
  /** Pieces without an end of a tag: nothing to scan for yet. */
  #waiting: Buffer[] = []
  readonly #members: readonly string[] | null
  /** Within a member that nobody wants. */
  #isUnwanted = false

  /** @param members the only ones of structs that are wanted; the others, half of an answer, leave no garbage */
  constructor(members?: readonly string[]) {
    this.#members = members ? [...members, ...FAULT_MEMBERS] : null
  }

  take(piece: Buffer): void {
    this.#waiting.push(piece)
    if (!piece.includes(GREATER)) return
    const xml =
      this.#rest.length + this.#waiting.length === 1 ? piece : Buffer.concat([this.#rest, ...this.#waiting])
    this.#waiting = []
    this.#rest = xml.subarray(this.#scan(xml))
  }

  /** @throws {AgentError} SUPERVISOR_FAULT, SUPERVISOR_UNREACHABLE for anything that is not XML-RPC */
  value(): unknown {
    const [value] = this.#values
    if (this.#outer.length > 0 || this.#values.length !== 1)
      throw notXmlRpc(new Error('the answer ended early'))
    if (!this.#isFault) return value
    const { faultCode, faultString } = value as { faultCode?: unknown; faultString?: unknown }
    throw faultError(Number(faultCode), String(faultString))
  }

  /** @returns where the last whole tag ends */
  #scan(xml: Buffer): number {
    let textFrom = 0
    for (let at = xml.indexOf(LESS); at >= 0; at = xml.indexOf(LESS, textFrom)) {
      const isEnd = xml[at + 1] === SLASH
      const end = xml.indexOf(GREATER, at)
      if (end < 0) break
      const name = tagAt(xml, isEnd ? at + 2 : at + 1, end)
      if (isEnd) this.#close(name, xml, textFrom, at)
      else this.#open(name)
      textFrom = end + 1
    }
    return textFrom
  }

  #open(name: string): void {
    if (name === 'array' || name === 'struct') {
      this.#outer.push(this.#values)
      this.#values = []
    }
    this.#isBare = name === 'value'
    this.#isFault ||= name === 'fault'
  }

  #close(name: string, xml: Buffer, textFrom: number, at: number): void {
    switch (name) {
      case 'int':
      case 'i4':
      case 'double':
        this.#values.push(this.#isUnwanted ? null : numberAt(xml, textFrom, at))
        break
      case 'boolean':
        this.#values.push(xml.toString('latin1', textFrom, at) === '1')
        break
      case 'name':
        this.#values.push(this.#nameAt(xml, textFrom, at))
        break
      case 'string':
        this.#values.push(this.#isUnwanted ? null : textAt(xml, textFrom, at))
        break
      case 'value':
        if (this.#isBare) this.#values.push(this.#isUnwanted ? null : textAt(xml, textFrom, at))
        break
      case 'member':
        this.#isUnwanted = false
        break
      case 'array':
      case 'struct': {
        const inner = this.#values
        this.#values = this.#outer.pop() ?? []
        this.#values.push(name === 'array' ? inner : structOf(inner))
        break
      }
      default: // data, param, params, fault, methodResponse: nothing of their own
        return
    }
    this.#isBare = false
  }

  #nameAt(xml: Buffer, from: number, to: number): string | symbol {
    if (this.#members === null) return textAt(xml, from, to)
    for (const member of this.#members) if (isAt(xml, from, to, member)) return member
    this.#isUnwanted = true
    return UNWANTED
  }
}

function tagKey(length: number, last: number): number {
  return length * 256 + last
}

/** The name of the tag between these places when it is one that means something, else ''. */
function tagAt(xml: Buffer, from: number, end: number): string {
  let to = end
  while (to > from && (xml[to - 1] === SLASH || xml[to - 1] === SPACE)) to--
  const name = TAGS.get(tagKey(to - from, xml[to - 1] ?? 0)) ?? ''
  return isAt(xml, from, to, name) ? name : ''
}

/** Whether that is what stands between these places. */
function isAt(xml: Buffer, from: number, to: number, word: string): boolean {
  if (word.length !== to - from) return false
  for (let i = 0; i < word.length; i++) if (xml[from + i] !== word.charCodeAt(i)) return false
  return true
}

/** A number, without a string of its own where it is a small integer. */
function numberAt(xml: Buffer, from: number, to: number): number {
  const isNegative = xml[from] === MINUS
  const first = isNegative ? from + 1 : from
  let number = 0
  for (let i = first; i < to; i++) {
    const digit = (xml[i] ?? 0) - DIGIT_0
    if (digit < 0 || digit > 9 || to - first > 15) return Number(xml.toString('latin1', from, to))
    number = number * 10 + digit
  }
  if (first === to) return Number.NaN
  return isNegative ? -number : number
}

function textAt(xml: Buffer, from: number, to: number): string {
  return from === to ? '' : unescape(xml.toString('utf8', from, to))
}

/**
 * A struct. It inherits nothing, so that `__proto__` is a member like others; an `Object.create(null)` would be a hash
 * table, eight times as large.
 */
class Struct {
  [member: string]: unknown
  static {
    Object.setPrototypeOf(Struct.prototype, null)
    Reflect.deleteProperty(Struct.prototype, 'constructor')
  }
}

function structOf(items: readonly unknown[]): Struct {
  const struct = new Struct()
  for (let i = 0; i + 1 < items.length; i += 2)
    if (items[i] !== UNWANTED) struct[String(items[i])] = items[i + 1]
  return struct
}

function unescape(text: string): string {
  return text.includes('&') ? text.replace(/&(?:amp|lt|gt);/g, (entity) => ENTITIES[entity] ?? entity) : text
}
