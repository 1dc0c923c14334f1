import { AgentError } from '../protocol/errors.ts'

/**
 * The text of a request, checked against what the agent takes: one that is too big or too deep would cost the connection
 * and with it every other call.
 * @throws {AgentError} INVALID_PARAMS
 */
export function requestFrame(
  request: { id: number; method: string; params: Record<string, unknown> },
  limits: Readonly<Record<string, number>>,
): string {
  const text = JSON.stringify({ jsonrpc: '2.0', ...request })
  const { frameInBytes = Infinity, depth = Infinity } = limits
  if (text.length * 3 > frameInBytes && new TextEncoder().encode(text).length > frameInBytes)
    throw new AgentError(
      'INVALID_PARAMS',
      `the request is over ${frameInBytes} bytes, the most that this agent takes`,
    )
  if (depthOf(request.params) + 1 > depth)
    throw new AgentError('INVALID_PARAMS', `the parameters are nested deeper than ${depth - 1}`)
  return text
}

function depthOf(value: unknown): number {
  if (typeof value !== 'object' || value === null) return 0
  return 1 + Math.max(0, ...Object.values(value).map(depthOf))
}

/** A key that no other call has. */
export function newIdempotencyKey(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16))
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')
}
