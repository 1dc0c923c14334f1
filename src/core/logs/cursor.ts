import { AgentError } from '../../protocol/errors.ts'

/** Which file: its device and inode, and how often it was truncated in place while it was watched. */
interface GenerationId {
  dev: bigint
  ino: bigint
  truncations: number
}

/** A place in a log that outlives rotation: all bytes before `offset` of that generation have been seen. */
export interface Cursor {
  generation: GenerationId
  offset: number
  /** CRC-32 of the (at most 512) bytes before `offset`: tells a file from a later one in the same inode. */
  check?: number
}

const FORM = /^1-([0-9a-z]{1,13})-([0-9a-z]{1,13})-([0-9a-z]{1,8})-([0-9a-z]{1,11})(?:-([0-9a-z]{1,7}))?$/

/** The cursor as clients get it: opaque to them, at most 60 characters. */
export function formatCursor({ generation: { dev, ino, truncations }, offset, check }: Cursor): string {
  const parts = [dev, ino, truncations, offset, ...(check === undefined ? [] : [check])]
  return `1-${parts.map((part) => part.toString(36)).join('-')}`
}

/** @throws {AgentError} INVALID_PARAMS for any text that {@link formatCursor} would not have written */
export function parseCursor(text: string): Cursor {
  const [, dev = '', ino = '', truncations = '', offset = '', check] = FORM.exec(text) ?? []
  const cursor: Cursor = {
    generation: { dev: toBigInt(dev), ino: toBigInt(ino), truncations: Number.parseInt(truncations, 36) },
    offset: Number.parseInt(offset, 36),
  }
  if (check !== undefined) cursor.check = Number.parseInt(check, 36)
  if (!Number.isSafeInteger(cursor.offset) || formatCursor(cursor) !== text)
    throw new AgentError(
      'INVALID_PARAMS',
      'that is no cursor of this agent; pass one from an earlier answer unchanged',
      {
        facts: { issues: [{ path: 'cursor', message: 'not a cursor' }] },
      },
    )
  return cursor
}

function toBigInt(base36: string): bigint {
  let sum = 0n
  for (const digit of base36) sum = sum * 36n + BigInt(Number.parseInt(digit, 36))
  return sum
}
