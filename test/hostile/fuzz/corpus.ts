import { METHODS } from '../../../src/methods/index.ts'
import { Request } from '../../../src/protocol/frames.ts'

const METHOD_NAMES = new Map(Object.entries(METHODS))

/** A frame that is right, for each method of the table and its example, and for what else a session says. */
export const CORPUS: readonly string[] = [
  ...Object.entries(METHODS).map(([method, { example, mutating }], id) =>
    request(id, method, { ...example.params, ...(mutating ? { idempotencyKey: `fuzz-key-${id}` } : {}) }),
  ),
  request('list', 'process.list', {}),
  request('tail', 'log.tail', { process: 'web', lines: 10 }),
  request('follow', 'log.follow', { select: ['all'], channel: 'both', lines: 0 }),
  request('restart', 'process.restart', { select: ['db'], idempotencyKey: 'fuzz-restart', mode: 'hard' }),
  request('events', 'event.subscribe', { since: { epoch: 'unknown1', seq: 3 } }),
  request('', 'event.unsubscribe', { subscription: 'e1' }),
  request(-7, 'log.unfollow', { subscription: 'l1' }),
]

const LAST = 'the last of all'
/** What is sent behind everything else, and what its answer has in it. */
export const LAST_CALL = request(LAST, 'rpc.cancel', { id: LAST })
export const LAST_ANSWER = `"id":"${LAST}"`

function request(id: string | number, method: string, params: object): string {
  return JSON.stringify({ jsonrpc: '2.0', id, method, params })
}

/**
 * Whether a frame is, after all, a right call of a method with an effect, which somebody with every right may make.
 * Judged by the same schemas as the agent judges it: what is not valid by them must have no effect.
 */
export function isEffective(frame: Buffer): boolean {
  let value: unknown
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(frame))
  } catch {
    return false
  }
  const { data } = Request.safeParse(value)
  const method = data && METHOD_NAMES.get(data.method)
  if (!data || data.id === undefined || !method?.mutating) return false
  return method.params.safeParse(data.params ?? {}).success
}
