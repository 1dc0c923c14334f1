import { isoTime } from '../../lib/iso-time.ts'
import { AgentError } from '../../protocol/errors.ts'
import { ROLES, type Role, type Scope } from '../../protocol/scopes.ts'
import { TokenRecord } from './token-file.ts'

/** What a new token shall be. Either `role` or `scopes`. */
export interface TokenWish {
  name: string
  role?: Role | undefined
  scopes?: readonly Scope[] | undefined
  /** Default: all. */
  programs?: readonly string[] | undefined
  /** Default: `*` for role admin, none otherwise. */
  users?: readonly string[] | undefined
  /** ISO 8601 UTC; default: never. */
  expiresAt?: string | undefined
}

/** INVALID_PARAMS about one parameter. */
export function invalidParam(path: string, message: string): AgentError {
  return new AgentError('INVALID_PARAMS', `${path}: ${message}`, { facts: { issues: [{ path, message }] } })
}

/**
 * The record of a wish, checked.
 * @throws {AgentError} INVALID_PARAMS
 */
export function recordOf(
  wish: TokenWish,
  made: { id: string; hash: string; createdBy: string; creatorId?: string | undefined; now: number },
): TokenRecord {
  const { name, role, programs = ['*'], users = role === 'admin' ? ['*'] : [], expiresAt } = wish
  if (role !== undefined && wish.scopes !== undefined) throw invalidParam('scopes', 'either a role or scopes')
  const scopes = role === undefined ? wish.scopes : ROLES[role]
  if (scopes === undefined) throw invalidParam('role', 'a role or scopes are needed')
  const { id, hash, createdBy, creatorId } = made
  const createdAt = isoTime(made.now)
  const rights = { scopes: [...new Set(scopes)], programs, users }
  const record = { id, name, role, ...rights, hash, createdAt, createdBy, creatorId, expiresAt }
  const parsed = TokenRecord.safeParse(record)
  const issue = parsed.error?.issues[0]
  if (issue) throw invalidParam(issue.path.join('.'), issue.message)
  if (expiresAt !== undefined && Date.parse(expiresAt) <= made.now)
    throw invalidParam('expiresAt', 'is in the past')
  return parsed.data as TokenRecord
}
