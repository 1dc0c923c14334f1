import { AgentError } from '../protocol/errors.ts'
import { Request, RequestId } from '../protocol/frames.ts'

export interface Frame {
  request: Request | null
  /** Id to answer to; null when none could be read. */
  id: RequestId | null
  error: AgentError | null
}

/**
 * Reads one frame. The nesting is counted before JSON.parse, which would take any depth that JSON.stringify then
 * cannot print.
 */
export function readFrame(text: string, maxDepth: number): Frame {
  if (isDeeper(text, maxDepth))
    return refused(idBefore(text), 'INVALID_REQUEST', `nested deeper than ${maxDepth}`)
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return refused(null, 'PARSE_ERROR', 'the frame is not JSON')
  }
  const id = idOf(value)
  if (Array.isArray(value))
    return refused(null, 'INVALID_REQUEST', 'batches are not taken: send one object a frame')
  const parsed = Request.safeParse(value)
  if (parsed.success) return { request: parsed.data, id, error: null }
  const [issue] = parsed.error.issues
  const where = issue?.path.join('.') || 'the frame'
  return refused(id, 'INVALID_REQUEST', `${where}: ${(issue?.message ?? 'not a request').slice(0, 200)}`)
}

function refused(id: RequestId | null, code: 'PARSE_ERROR' | 'INVALID_REQUEST', message: string): Frame {
  return { request: null, id, error: new AgentError(code, message) }
}

/** The id of a frame that is not parsed, where it stands before anything nested, as clients write it. */
function idBefore(text: string): RequestId | null {
  const [, id] = /^\s*\{[^{}[\]]{0,512}?"id"\s*:\s*("[^"\\]{0,64}"|-?\d{1,15})\s*[,}]/.exec(text) ?? []
  return id === undefined ? null : idOf({ id: JSON.parse(id) as unknown })
}

function idOf(value: unknown): RequestId | null {
  const id = RequestId.safeParse((value as { id?: unknown } | null)?.id)
  return id.success ? id.data : null
}

function isDeeper(text: string, max: number): boolean {
  let depth = 0
  let isString = false
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i)
    if (isString) {
      if (code === 0x5c) i++
      else if (code === 0x22) isString = false
    } else if (code === 0x22) isString = true
    else if (code === 0x7b || code === 0x5b) {
      if (++depth > max) return true
    } else if (code === 0x7d || code === 0x5d) depth--
  }
  return false
}
