import type { IncomingMessage } from 'node:http'
import { type Refusal, targetOf } from './refusal.ts'

const KEY = /^[+/0-9A-Za-z]{22}==$/
const OTHER_PATHS = ['/healthz', '/metrics']

/** What is wrong with an upgrade request before anybody looks at its token; null when nothing is. */
export function whyNotUpgrade(request: IncomingMessage, allowedOrigins: ReadonlySet<string>): Refusal | null {
  const { headers, method, httpVersion } = request
  const { path, hasQuery } = targetOf(request)
  if (headers.host === undefined || httpVersion !== '1.1') return { status: 400 }
  if (path !== '/ws') return { status: OTHER_PATHS.includes(path) ? 400 : 404 }
  if (method !== 'GET') return { status: 405, headers: { Allow: 'GET' } }
  if (hasQuery) return { status: 401 }
  if (headers.upgrade?.toLowerCase() !== 'websocket')
    return { status: 426, headers: { Upgrade: 'websocket' } }
  if (headers['sec-websocket-version'] !== '13')
    return { status: 400, headers: { 'Sec-WebSocket-Version': '13' } }
  if (!KEY.test(headers['sec-websocket-key'] ?? '')) return { status: 400 }
  if (headers.origin !== undefined && !allowedOrigins.has(headers.origin)) return { status: 403 }
  return null
}
