import type { PeerCertificate } from 'node:tls'
import { WebSocket } from 'ws'
import { ConnectionError } from './connection-error.ts'
import { wireOf } from './node-wire.ts'
import { closedWith, refusedBy } from './refusals.ts'
import { webSocketUrl } from './target.ts'
import { type Dial, FRAME_MAX_BYTES, HANDSHAKE_MS } from './wire.ts'

export interface NodeDialOptions {
  url: string
  token?: string | undefined
  /**
   * The certificate to trust, and none else: how an agent with a certificate of its own is pinned. Checked before the
   * token leaves.
   */
  ca?: string | Buffer | readonly (string | Buffer)[] | undefined
  /** For a pinned certificate that names another host; gives an error to refuse. Only together with `ca`. */
  checkServerIdentity?: ((host: string, certificate: PeerCertificate) => Error | undefined) | undefined
}

/** A wire over a WebSocket of `ws`, with the token in a header. */
export function dialWebSocket(options: NodeDialOptions): Dial {
  const url = webSocketUrl(options.url)
  const { token, ca, checkServerIdentity } = options
  if (checkServerIdentity && ca === undefined)
    throw new ConnectionError('unreachable', 'checkServerIdentity without ca would trust any host', {
      isFinal: true,
    })
  return (user, signal) =>
    new Promise((resolve, reject) => {
      signal.throwIfAborted()
      const socket = new WebSocket(url, {
        perMessageDeflate: false,
        maxPayload: FRAME_MAX_BYTES,
        handshakeTimeout: HANDSHAKE_MS,
        ...(token === undefined ? {} : { headers: { Authorization: `Bearer ${token}` } }),
        ...(ca === undefined ? {} : { ca: typeof ca === 'string' || Buffer.isBuffer(ca) ? ca : [...ca] }),
        // the typings want a boolean; Node takes the error
        ...(checkServerIdentity
          ? { checkServerIdentity: checkServerIdentity as unknown as () => boolean }
          : {}),
      })
      const onAbort = (): void => {
        reject(signal.reason as Error)
        socket.terminate()
      }
      signal.addEventListener('abort', onAbort, { once: true })
      let cause: Error | undefined
      socket.on('error', (error) => {
        cause = error
        signal.removeEventListener('abort', onAbort)
        reject(new ConnectionError('unreachable', `${url}: ${error.message}`, { cause: error }))
      })
      socket.once('unexpected-response', (request, response) => {
        signal.removeEventListener('abort', onAbort)
        reject(refusedBy(response.statusCode ?? 0, response.headers['retry-after']))
        request.destroy()
      })
      socket.once('open', () => {
        signal.removeEventListener('abort', onAbort)
        socket.once('close', (code) => user.closed(closedWith(code, cause)))
        resolve(wireOf(socket))
      })
      socket.on('message', (data: Buffer, isBinary) => {
        if (isBinary) socket.close(1003)
        else user.text(data.toString())
      })
      socket.on('ping', () => user.alive())
    })
}
