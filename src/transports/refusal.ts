import { type IncomingMessage, type OutgoingHttpHeaders, type ServerResponse, STATUS_CODES } from 'node:http'
import type { Duplex } from 'node:stream'

/** An HTTP answer that is not a success. */
export interface Refusal {
  status: number
  headers?: Readonly<Record<string, string>>
}

export function isRefusal(value: object): value is Refusal {
  return 'status' in value
}

/** A JSON answer after which the connection ends; it tells nothing about us. */
export function answerJson(
  response: ServerResponse,
  status: number,
  body: object,
  extra: OutgoingHttpHeaders = {},
): void {
  answer(response, status, 'application/json', JSON.stringify(body), extra)
}

export function answer(
  response: ServerResponse,
  status: number,
  type: string,
  body: string,
  extra: OutgoingHttpHeaders = {},
): void {
  response.writeHead(status, { ...headersOf(type, body), ...extra })
  response.end(body)
}

export function refuse(response: ServerResponse, { status, headers }: Refusal): void {
  answerJson(response, status, errorBody(status), headers)
}

/** Refuses an upgrade, for which there is no ServerResponse, and ends the connection. */
export function refuseUpgrade(socket: Duplex, { status, headers }: Refusal): void {
  const body = JSON.stringify(errorBody(status))
  const lines = Object.entries({ ...headersOf('application/json', body), ...headers }).map(
    ([name, value]) => `${name}: ${value}`,
  )
  socket.on('error', () => socket.destroy())
  socket.once('finish', () => socket.destroy())
  socket.end(`HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\n${lines.join('\r\n')}\r\n\r\n${body}`)
}

/** The path of a request and whether a query follows it; an absolute URL as target has no path of ours. */
export function targetOf({ url = '' }: IncomingMessage): { path: string; hasQuery: boolean } {
  const at = url.indexOf('?')
  return at < 0 ? { path: url, hasQuery: false } : { path: url.slice(0, at), hasQuery: true }
}

function errorBody(status: number): object {
  return { error: STATUS_CODES[status] ?? 'error' }
}

function headersOf(type: string, body: string): Record<string, string> {
  return {
    'Content-Type': type,
    'Content-Length': String(Buffer.byteLength(body)),
    'Cache-Control': 'no-store',
    'X-Content-Type-Options': 'nosniff',
    Connection: 'close',
  }
}
