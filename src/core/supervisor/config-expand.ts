export type Expansions = Readonly<Record<string, string | number>>

export interface Expanded {
  value: string
  /** What could not be expanded and was left as it stands: supervisord refuses a configuration with these. */
  unknown: string[]
}

const CONVERSION = /%(?:%|\(([^()]*)\)([-+ #0]*)(\d{0,4})([sdi]))?/g

/**
 * Expands `%(name)s`, `%(process_num)02d` and `%%` as Python's `%` operator does. Never throws: unknown names,
 * a lone `%` and conversions that supervisord's own values do not need are left and named in `unknown`.
 */
export function expand(text: string, expansions: Expansions): Expanded {
  const unknown: string[] = []
  const value = text.replace(
    CONVERSION,
    (whole: string, name?: string, flags = '', width = '', type = '') => {
      if (whole === '%%') return '%'
      const found = name !== undefined && Object.hasOwn(expansions, name) ? expansions[name] : undefined
      if (found === undefined || (type !== 's' && typeof found !== 'number')) {
        unknown.push(whole)
        return whole
      }
      return padded(found, { flags, width: Number(width), isNumber: type !== 's' })
    },
  )
  return { value, unknown }
}

function padded(value: string | number, form: { flags: string; width: number; isNumber: boolean }): string {
  const { flags, width, isNumber } = form
  const plus =
    isNumber && Number(value) >= 0 ? (flags.includes('+') ? '+' : flags.includes(' ') ? ' ' : '') : ''
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
