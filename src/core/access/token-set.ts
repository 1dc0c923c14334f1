import type { TokenRecord } from './token-file.ts'
import { withoutEndedFormer } from './token-secrets.ts'
import { invalidParam } from './token-wish.ts'

/** Ended tokens are shown for so long; longer than an idempotency key of theirs can live. */
const KEEP_ENDED_MS = 30 * 24 * 3_600_000

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

/** @throws {AgentError} INVALID_PARAMS when {@link findToken} finds none */
export function foundToken(tokens: readonly TokenRecord[], idOrName: string, now: number): TokenRecord {
  const found = findToken(tokens, idOrName, now)
  if (found) return found
  throw invalidParam('token', `there is no token ${idOrName}`)
}

/** A token, those it created, and theirs. */
export function withDescendants(root: TokenRecord, tokens: readonly TokenRecord[]): Set<TokenRecord> {
  const family = new Set([root])
  for (const parent of family) // a set visits what is added on the way
    for (const token of tokens) if (isChild(token, parent)) family.add(token)
  return family
}

/**
 * What is worth keeping: without secrets and tokens that ended long ago. An ended token that others come from stays
 * as long as they do, so that a cascade still reaches them.
 */
export function tidied(tokens: readonly TokenRecord[], now: number): TokenRecord[] {
  return tokens
    .filter(
      (token) => !isLongOver(token, now) || tokens.some((other) => other !== token && isChild(other, token)),
    )
    .map((token) => withoutEndedFormer(token, now))
}

/** True when {@link tidied} would leave something out. */
export function isUntidy(tokens: readonly TokenRecord[], now: number): boolean {
  const tidy = tidied(tokens, now)
  return tidy.length < tokens.length || tidy.some((token, index) => token !== tokens[index])
}

function isLongOver({ revokedAt, expiresAt }: TokenRecord, now: number): boolean {
  const ends = [revokedAt, expiresAt].flatMap((end) => (end === undefined ? [] : [Date.parse(end)]))
  return ends.length > 0 && Math.min(...ends) + KEEP_ENDED_MS < now
}

/** Without the id of its creator there is only a name, which is given again: what is older had another one. */
function isChild({ createdBy, creatorId, createdAt }: TokenRecord, parent: TokenRecord): boolean {
  if (creatorId !== undefined) return creatorId === parent.id
  return createdBy === `token:${parent.name}` && createdAt >= parent.createdAt
}

function rightsOf({ scopes, programs, users }: TokenRecord): string {
  return JSON.stringify([scopes, programs, users])
}
