// How supervisord 4.2 turns the text of a value into what it means. Null stands for what it refuses.
import { strip } from './config-text.ts'

const TRUE = ['yes', 'true', 'on', '1']
const FALSE = ['no', 'false', 'off', '0']
const INTEGER = /^[+-]?\p{Nd}+(?:_\p{Nd}+)*$/u
const PLAIN = /^\d{1,15}$/
/** Longer ones Python itself refuses to read. */
const MAX_DIGITS = 4300
const BYTES: Readonly<Record<string, number>> = { kb: 1024, mb: 1024 ** 2, gb: 1024 ** 3 }

/** Python's `int()`: white space around, a sign, single underscores between digits, digits of all scripts. */
export function readInteger(text: string): number | null {
  if (PLAIN.test(text)) return Number(text)
  const bare = strip(text)
  const digits = bare.replace(/^[+-]|_/g, '').length
  if (!INTEGER.test(bare) || digits > MAX_DIGITS) return null
  return Number(bare.replaceAll('_', '').replace(/\p{Nd}/gu, digitOf))
}

/** Digits of every script come in runs of ten that begin with the zero. */
function digitOf(digit: string): string {
  const code = digit.codePointAt(0) ?? 0
  let zero = code
  while (code - zero < 9 && /\p{Nd}/u.test(String.fromCodePoint(zero - 1)) && !isZero(zero)) zero--
  return String(code - zero)
}

function isZero(code: number): boolean {
  return code === 0x30 || !/\p{Nd}/u.test(String.fromCodePoint(code - 1))
}

/** Python's `int(text, 8)`. */
export function readOctal(text: string): number | null {
  const bare = strip(text).replace(/\p{Nd}/gu, digitOf)
  if (!/^[+-]?(?:0[oO]_?)?[0-7]+(?:_[0-7]+)*$/.test(bare)) return null
  const value = Number.parseInt(
    bare
      .replace(/^[+-]/, '')
      .replace(/^0[oO]/, '')
      .replaceAll('_', ''),
    8,
  )
  return bare.startsWith('-') ? -value : value
}

export function readBoolean(text: string): boolean | null {
  const word = text.toLowerCase()
  if (TRUE.includes(word)) return true
  return FALSE.includes(word) ? false : null
}

export function readRestart(text: string): boolean | 'unexpected' | null {
  return text.toLowerCase() === 'unexpected' ? 'unexpected' : readBoolean(text)
}

/** A size with `KB`, `MB` or `GB` behind it, or without. */
export function readBytes(text: string): number | null {
  const word = text.toLowerCase()
  const unit = BYTES[word.slice(-2)]
  if (unit === undefined) return readInteger(word)
  const count = readInteger(word.slice(0, -2))
  return count === null ? null : count * unit
}

export function readExitCodes(text: string): number[] | null {
  if (text === '') return []
  const codes = text.split(',').map(readInteger)
  const isRight = codes.every((code) => code !== null && code >= 0 && code <= 255)
  return isRight ? codes.filter((code) => code !== null) : null
}

/** The words of a list with commas; an empty text has none. */
export function readList(text: string): string[] {
  return text === '' ? [] : text.split(',').map(strip)
}

/** A signal by name, with or without SIG, or by number, as Python on Linux knows it; without SIG. */
export function readSignal(text: string): string | null {
  const number = readInteger(text)
  if (number !== null) return Object.keys(SIGNALS).find((name) => SIGNALS[name] === number) ?? null
  const name = strip(text).toUpperCase().replace(/^SIG/, '')
  return Object.hasOwn(SIGNALS, name) ? name : null
}

/** The first name of a number is the one that is shown. `_DFL`, `_IGN` and `_BLOCK` are what `getattr` finds too. */
const SIGNALS: Readonly<Record<string, number>> = {
  HUP: 1,
  INT: 2,
  QUIT: 3,
  ILL: 4,
  TRAP: 5,
  ABRT: 6,
  IOT: 6,
  BUS: 7,
  FPE: 8,
  KILL: 9,
  USR1: 10,
  SEGV: 11,
  USR2: 12,
  PIPE: 13,
  ALRM: 14,
  TERM: 15,
  STKFLT: 16,
  CHLD: 17,
  CLD: 17,
  CONT: 18,
  STOP: 19,
  TSTP: 20,
  TTIN: 21,
  TTOU: 22,
  URG: 23,
  XCPU: 24,
  XFSZ: 25,
  VTALRM: 26,
  PROF: 27,
  WINCH: 28,
  IO: 29,
  POLL: 29,
  PWR: 30,
  SYS: 31,
  RTMIN: 34,
  RTMAX: 64,
  _DFL: 0,
  _IGN: 1,
  _BLOCK: 0,
  _UNBLOCK: 1,
  _SETMASK: 2,
}
