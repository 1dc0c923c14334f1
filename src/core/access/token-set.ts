import type { TokenRecord } from './token-file.ts'

/** Neither revoked nor expired at `now` (milliseconds since 1970). */
export function isInForce({ revokedAt, expiresAt }: TokenRecord, now: number): boolean {
  return revokedAt === undefined && (expiresAt === undefined || Date.parse(expiresAt) > now)
}

export function sameRights(a: TokenRecord, b: TokenRecord): boolean {
  return a === b || rightsOf(a) === rightsOf(b)
}

/** By id, else by name; of several with one name the one in force, else the newest. */
export function findToken(
  tokens: readonly TokenRecord[],
  idOrName: string,
  now: number,
): TokenRecord | undefined {
  const named = tokens.filter(({ name }) => name === idOrName)
  return (
    tokens.find(({ id }) => id === idOrName) ?? named.find((token) => isInForce(token, now)) ?? named.at(-1)
  )
}

/**
 * A token, those it created, and theirs. `createdBy` tells only a name, and names are given again: what is
 * older than its creator had another one.
 */
export function withDescendants(root: TokenRecord, tokens: readonly TokenRecord[]): Set<TokenRecord> {
  const family = new Set([root])
  for (const parent of family) // a set visits what is added on the way
    for (const token of tokens)
      if (token.createdBy === `token:${parent.name}` && token.createdAt >= parent.createdAt) family.add(token)
  return family
}

function rightsOf({ scopes, programs, users }: TokenRecord): string {
  return JSON.stringify([scopes, programs, users])
}
