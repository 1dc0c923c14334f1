import { withoutTokens } from '../../protocol/token.ts'

const SECRET = '[secret]'
/** Names whose values are secrets wherever they are. */
const SECRET_NAME =
  /^(?:env|environment|.*(?:password|passwd|secret|authorization|apikey|api_key|credential).*)$/i
const STRING_CHARS = 256
const LIST_ITEMS = 64
const JSON_BYTES = 8192

/**
 * Parameters as they may be kept and shown: values of secrets are masked, names stay; long ones are cut.
 * @param secrets paths of parameters that are secret by their schema, such as `text` or `definition.environment`
 */
export function maskParams(
  params: Record<string, unknown>,
  secrets: readonly string[] = [],
): Record<string, unknown> {
  const masked = Object.fromEntries(
    Object.entries(params).map(([name, value]) => [name, mask(name, value, secrets)]),
  )
  return JSON.stringify(masked).length <= JSON_BYTES ? masked : { cut: `over ${JSON_BYTES} bytes` }
}

/** Text without any token in it. */
export function maskText(text: string): string {
  const safe = withoutTokens(text)
  return safe.length > STRING_CHARS ? `${safe.slice(0, STRING_CHARS)}…` : safe
}

function mask(path: string, value: unknown, secrets: readonly string[]): unknown {
  const name = path.slice(path.lastIndexOf('.') + 1)
  if (secrets.includes(path)) return SECRET
  if (SECRET_NAME.test(name)) return hidden(value)
  if (typeof value === 'string') return maskText(value)
  if (Array.isArray(value)) {
    const items = value.slice(0, LIST_ITEMS).map((item: unknown) => mask(path, item, secrets))
    return value.length > LIST_ITEMS ? [...items, `… ${value.length - LIST_ITEMS} more`] : items
  }
  if (value === null || typeof value !== 'object') return value
  return Object.fromEntries(
    Object.entries(value).map(([key, inner]) => [key, mask(`${path}.${key}`, inner, secrets)]),
  )
}

/** The names of variables say what was changed, and hide what to. */
function hidden(value: unknown): unknown {
  if (value === null || typeof value !== 'object' || Array.isArray(value)) return SECRET
  return Object.fromEntries(Object.keys(value).map((key) => [key, SECRET]))
}
