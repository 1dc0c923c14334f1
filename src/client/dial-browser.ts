import { SUBPROTOCOL } from '../protocol/limits.ts'
import { ConnectionError } from './connection-error.ts'
import { closedWith } from './refusals.ts'
import { webSocketUrl } from './target.ts'
import { CLOSE_MS, type Dial, HANDSHAKE_MS, type Wire } from './wire.ts'

/** What is used of a browser's WebSocket. */
interface BrowserSocket {
  readonly readyState: number
  send(text: string): void
  close(code?: number): void
  addEventListener(type: string, listener: (event: { data?: unknown; code?: number }) => void): void
}
type BrowserSocketClass = new (url: string, protocols: string[]) => BrowserSocket

const OPEN = 1
const CLOSED = 3

/** A wire over the WebSocket of a browser, with the token among the subprotocols: it cannot set a header. */
export function dialBrowser(options: { url: string; token?: string | undefined }): Dial {
  const url = webSocketUrl(options.url)
  const protocols = [SUBPROTOCOL, ...(options.token === undefined ? [] : [`bearer.${options.token}`])]
  return (user, signal) =>
    new Promise((resolve, reject) => {
      signal.throwIfAborted()
      const { WebSocket } = globalThis as unknown as { WebSocket: BrowserSocketClass }
      const socket = new WebSocket(url, protocols)
      let isOpen = false
      const give = (error: Error): void => {
        clearTimeout(timer)
        signal.removeEventListener('abort', onAbort)
        reject(error)
        if (socket.readyState !== CLOSED) socket.close()
      }
      const onAbort = (): void => give(signal.reason as Error)
      const timer = setTimeout(() => give(unreachable(url)), HANDSHAKE_MS)
      signal.addEventListener('abort', onAbort, { once: true })
      socket.addEventListener('open', () => {
        isOpen = true
        clearTimeout(timer)
        signal.removeEventListener('abort', onAbort)
        resolve(wireOf(socket, (error) => user.closed(error)))
      })
      socket.addEventListener('message', ({ data }) => {
        if (typeof data === 'string') user.text(data)
        else socket.close()
      })
      socket.addEventListener('error', () => isOpen || give(unreachable(url)))
      socket.addEventListener('close', ({ code = 1006 }) => {
        if (isOpen) user.closed(closedWith(code))
        else give(unreachable(url))
      })
    })
}

function unreachable(url: string): ConnectionError {
  return new ConnectionError('unreachable', `${url}: refused or not reachable; a browser does not tell which`)
}

function wireOf(socket: BrowserSocket, closed: (error: ConnectionError) => void): Wire {
  return {
    send: (frame) => {
      if (socket.readyState === OPEN) socket.send(frame)
    },
    close: () =>
      new Promise((resolve) => {
        if (socket.readyState === CLOSED) return resolve()
        const timer = setTimeout(resolve, CLOSE_MS)
        socket.addEventListener('close', () => {
          clearTimeout(timer)
          resolve()
        })
        socket.close(1000)
      }),
    terminate: () => {
      // a browser waits long for a peer that is gone: nobody waits with it
      socket.close()
      closed(closedWith(1006))
    },
  }
}
