import { createHash } from 'node:crypto'

/** Tells calls apart by method and parameters; the order of fields does not make another call. */
export function fingerprintOf(method: string, params: unknown): string {
  return createHash('sha256')
    .update(`${method}\n${canonical(params)}`)
    .digest('base64url')
}

function canonical(value: unknown): string {
  return JSON.stringify(value, (_key, inner: unknown) =>
    inner !== null && typeof inner === 'object' && !Array.isArray(inner)
      ? Object.fromEntries(Object.entries(inner).toSorted(([a], [b]) => (a < b ? -1 : 1)))
      : inner,
  )
}
