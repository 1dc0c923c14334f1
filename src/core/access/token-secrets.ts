// A token has one secret, and two while it is being rotated: the former one stays good until its grace ends.
import { timingSafeEqual } from 'node:crypto'
import { isoTime } from '../../lib/iso-time.ts'
import type { TokenRecord } from './token-file.ts'

const NO_HASH = '0'.repeat(64)

/** True when the hash is that of a good secret. Takes as long without a record as with one of two secrets. */
export function isSecretOf(record: TokenRecord | undefined, hash: string, now: number): boolean {
  const isCurrent = isSame(hash, record?.hash)
  const isFormer = isSame(hash, record?.former?.hash)
  return isCurrent || (isFormer && record !== undefined && hasFormer(record, now))
}

/** The same for a hash that was proven before, at once. */
export function isLive(record: TokenRecord, hash: string, now: number): boolean {
  return hash === record.hash || (hash === record.former?.hash && hasFormer(record, now))
}

/** The hashes of the secrets that are good at `now`. */
export function liveHashes(record: TokenRecord, now: number): string[] {
  return record.former && hasFormer(record, now) ? [record.hash, record.former.hash] : [record.hash]
}

/**
 * The record with a new secret; the one before it stays good for the grace. While a former one is still good and the
 * current one was never used, it is the former one that stays, and no longer than it would have: a secret that got
 * lost on its way cannot cut off who still has the one before it.
 */
export function rotated(
  old: TokenRecord,
  { hash, graceMs, now }: { hash: string; graceMs: number; now: number },
): TokenRecord {
  const { former, lastUsedAt, ...rest } = old
  if (graceMs <= 0) return { ...rest, hash }
  const endsAt = isoTime(now + graceMs)
  if (former && lastUsedAt === undefined && hasFormer(old, now))
    return { ...rest, hash, former: { ...former, endsAt: earlier(former.endsAt, endsAt) } }
  return { ...rest, hash, former: { hash: old.hash, endsAt, ...(lastUsedAt ? { lastUsedAt } : {}) } }
}

/** The record without a former secret that has ended; its last use is then the token's. */
export function withoutEndedFormer(record: TokenRecord, now: number): TokenRecord {
  if (!record.former || hasFormer(record, now)) return record
  const { former, ...rest } = record
  return { ...rest, lastUsedAt: record.lastUsedAt ?? former.lastUsedAt }
}

function hasFormer({ former }: TokenRecord, now: number): boolean {
  return former !== undefined && Date.parse(former.endsAt) > now
}

function earlier(a: string, b: string): string {
  return Date.parse(a) < Date.parse(b) ? a : b
}

function isSame(hash: string, kept = NO_HASH): boolean {
  return timingSafeEqual(Buffer.from(hash), Buffer.from(kept))
}
