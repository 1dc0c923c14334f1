import { ConnectionError } from './connection-error.ts'

const LOOPBACK = /^(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])$/

/**
 * The address of an agent, its path `/ws` unless said otherwise.
 * @throws {ConnectionError} for anything but `ws://` of this host or `wss://`: a token must not travel in the clear
 */
export function webSocketUrl(text: string): string {
  if (!URL.canParse(text)) throw wrong(text, 'expected wss://host:port, ws://127.0.0.1:port or unix:///path')
  const url = new URL(text)
  if (url.protocol !== 'ws:' && url.protocol !== 'wss:') throw wrong(text, 'expected wss:// or ws://')
  if (url.protocol === 'ws:' && !LOOPBACK.test(url.hostname))
    throw wrong(text, 'ws:// is for this host only, since the token would travel in the clear: use wss://')
  if (url.username !== '' || url.password !== '') throw wrong(url.host, 'the token has an option of its own')
  if (url.search !== '' || url.hash !== '') throw wrong(text, 'an agent takes no query')
  if (url.pathname === '/') url.pathname = '/ws'
  return url.href
}

function wrong(text: string, why: string): ConnectionError {
  return new ConnectionError('unreachable', `${text}: ${why}`, { isFinal: true })
}
