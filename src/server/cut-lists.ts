// A call that changed something has an answer whatever its size: what was done cannot be refused afterwards.

type Result = Record<string, unknown>

/** Room for what a frame holds beside the result: the id of the call, and the mark of a repeat. */
const AROUND_BYTES = 1024

/**
 * The result as it fits into one frame. Where it is too large its lists are cut, rows that failed the last to go, and
 * `truncated` has the length that each of them had.
 */
export function cutLists(result: Result, frameBytes: number): Result {
  const maxBytes = frameBytes - AROUND_BYTES
  if (bytesOf(result) <= maxBytes) return result
  const lists = Object.entries(result).flatMap(([name, list]) =>
    Array.isArray(list) ? [{ name, list }] : [],
  )
  const empty = Object.fromEntries(lists.map(({ name }) => [name, []]))
  const lengths = Object.fromEntries(lists.map(({ name, list }) => [name, list.length]))
  let room = maxBytes - bytesOf({ ...result, ...empty, truncated: lengths })
  const cut: Result = {}
  const truncated: Record<string, number> = {}
  // the short ones, such as warnings, are not crowded out by the long one
  for (const { name, list } of lists.toSorted((a, b) => a.list.length - b.list.length)) {
    const kept: unknown[] = []
    for (const entry of [...list.filter(hasFailed), ...list.filter((one) => !hasFailed(one))]) {
      room -= bytesOf(entry) + 1
      if (room < 0) break
      kept.push(entry)
    }
    cut[name] = kept.length < list.length ? kept : list
    if (kept.length < list.length) truncated[name] = list.length
  }
  return { ...result, ...cut, truncated }
}

function hasFailed(row: unknown): boolean {
  return typeof row === 'object' && row !== null && 'ok' in row && row.ok === false
}

function bytesOf(value: unknown): number {
  return Buffer.byteLength(JSON.stringify(value))
}
