export type Expansions = Readonly<Record<string, string | number>>

export interface Expanded {
  value: string
  /** What has no sense here and was left as it stands. */
  unknown: string[]
  /** True when supervisord refuses the text. It takes some that make no sense, such as a lone `%s`. */
  isRefused: boolean
}

/** One conversion of Python's `%` operator: key, flags, width, precision, type. */
const CONVERSION =
  /%(?:\(((?:[^()]|\((?:[^()]|\([^()]*\))*\))*)\))?([-+ #0]*)(\*|\d*)(?:\.(\*|\d*))?[hlL]?([^])?/gu

/**
 * Expands `%(name)s`, `%(process_num)02d` and `%%` as Python's `%` operator does. Never throws: unknown names,
 * a lone `%` and conversions that supervisord's own values do not need are left and named in `unknown`.
 * @param expansions the later ones first
 */
export function expand(text: string, ...expansions: readonly Expansions[]): Expanded {
  if (!text.includes('%')) return { value: text, unknown: [], isRefused: false }
  const unknown: string[] = []
  let isRefused = false
  // a conversion without a name takes the whole table, as text, once
  let next: string | number | null = ''
  const value = text.replace(
    CONVERSION,
    (whole: string, name?: string, flags = '', width = '', precision?: string, type = '') => {
      if (whole === '%%') return '%'
      const found = name === undefined ? undefined : valueOf(name, expansions)
      if (name !== undefined) next = found ?? null
      const isKnown = name === undefined || found !== undefined
      const isSized = /^\d{0,9}$/.test(width) && /^\d{0,9}$/.test(precision ?? '')
      const accepted = isKnown && isSized && takes(next, type)
      if (!accepted) isRefused = true
      next = null
      const isPlain = found !== undefined && 'sduixXo'.includes(type) && precision === undefined
      if (accepted && isPlain && width.length <= 4 && !(flags.includes('#') && 'xXo'.includes(type)))
        return padded(inBase(found, type), { flags, width: Number(width), isNumber: type !== 's' })
      unknown.push(whole)
      return whole
    },
  )
  return { value, unknown, isRefused }
}

function valueOf(name: string, expansions: readonly Expansions[]): string | number | undefined {
  return expansions.findLast((known) => Object.hasOwn(known, name))?.[name]
}

function takes(value: string | number | null, type: string): boolean {
  if (value === null) return false
  if ('sra'.includes(type)) return type !== ''
  if (typeof value === 'string') return type === 'c' && Array.from(value).length === 1
  if (type === 'c') return value >= 0
  return type !== '' && 'diuoxXeEfFgG'.includes(type)
}

function inBase(value: string | number, type: string): string | number {
  if (type === 'o') return value.toString(8)
  if (type === 'x') return value.toString(16)
  return type === 'X' ? value.toString(16).toUpperCase() : value
}

function padded(value: string | number, form: { flags: string; width: number; isNumber: boolean }): string {
  const { flags, width, isNumber } = form
  const plus =
    isNumber && !String(value).startsWith('-')
      ? flags.includes('+')
        ? '+'
        : flags.includes(' ')
          ? ' '
          : ''
      : ''
  const text = plus + String(value)
  if (flags.includes('-')) return text.padEnd(width)
  if (!isNumber || !flags.includes('0')) return text.padStart(width)
  const sign = /^[-+ ]?/.exec(text)?.[0] ?? ''
  return sign + text.slice(sign.length).padStart(width - sign.length, '0')
}

/** `%(ENV_X)s` for every variable of supervisord's environment. */
export function environmentExpansions(environment: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(environment).map(([name, value]) => [`ENV_${name}`, value]))
}
