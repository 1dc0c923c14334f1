import type { X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import { connect as connectTcp, isIP, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { WebSocket } from 'ws'
import { PANEL_SUBPROTOCOL } from '../protocol/panel.ts'
import type { Limits } from '../server/limits.ts'
import { webSocketLimits } from './websocket-limits.ts'

export interface PanelAddress {
  /** `wss://`, or `ws://` of this host. */
  url: string
  /** The only certificates that are trusted; null for `ws://`. */
  pins: { accepts(certificate: X509Certificate | undefined): boolean } | null
}

export interface Dialled {
  webSocket: WebSocket
  socket: Socket
}

/**
 * Opens a WebSocket to a panel. Where the panel shows another certificate than a pinned one, it sees of us the start of
 * a TLS handshake and not a byte of HTTP.
 * @throws {Error} that says why not; the signal's reason
 */
export async function dialPanel(
  address: PanelAddress,
  limits: Limits,
  signal: AbortSignal,
): Promise<Dialled> {
  const socket = await openSocket(address, signal)
  try {
    return { webSocket: await upgrade(address.url, socket, limits, signal), socket }
  } catch (error) {
    socket.destroy()
    throw error
  }
}

async function openSocket({ url, pins }: PanelAddress, signal: AbortSignal): Promise<Socket> {
  const { hostname, port, protocol } = new URL(url)
  const host = hostname.replace(/^\[(.*)\]$/, '$1')
  if (protocol === 'ws:')
    return await opened(connectTcp({ host, port: Number(port || 80) }), 'connect', signal)
  const secure = connectTls({
    host,
    port: Number(port || 443),
    minVersion: 'TLSv1.3',
    ALPNProtocols: ['http/1.1'],
    ...(isIP(host) === 0 ? { servername: host } : {}),
    // the pin below takes its place: a chain says nothing about a certificate that is known already
    rejectUnauthorized: false,
  })
  await opened(secure, 'secureConnect', signal)
  if (pins?.accepts(secure.getPeerX509Certificate())) return secure
  secure.destroy()
  throw new Error('its certificate is not the one that panel.pin names')
}

async function opened<S extends Socket>(socket: S, event: string, signal: AbortSignal): Promise<S> {
  try {
    await once(socket, event, { signal })
    socket.on('error', () => undefined) // told by what follows
    return socket
  } catch (error) {
    socket.on('error', () => undefined)
    socket.destroy()
    signal.throwIfAborted()
    throw error
  }
}

function upgrade(url: string, socket: Socket, limits: Limits, signal: AbortSignal): Promise<WebSocket> {
  return new Promise((resolve, reject) => {
    const options = { ...webSocketLimits(limits), createConnection: () => socket }
    const webSocket = new WebSocket(url, [PANEL_SUBPROTOCOL], options)
    const onAbort = (): void => {
      reject(signal.reason as Error)
      webSocket.terminate()
    }
    if (signal.aborted) onAbort()
    signal.addEventListener('abort', onAbort, { once: true })
    webSocket.once('open', () => {
      signal.removeEventListener('abort', onAbort)
      resolve(webSocket)
    })
    // stays: an error of a later frame is followed by the close that tells of it
    webSocket.on('error', (error) => {
      signal.removeEventListener('abort', onAbort)
      reject(error)
    })
  })
}
