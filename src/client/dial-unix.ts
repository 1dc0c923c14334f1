import { createConnection, type Socket } from 'node:net'
import { ConnectionError } from './connection-error.ts'
import { CLOSE_MS, type Dial, FRAME_MAX_BYTES, type Wire } from './wire.ts'

const SCHEME = 'unix://'

export function isUnixUrl(url: string): boolean {
  return url.startsWith(SCHEME)
}

/** A wire over a unix socket of an agent on this host: a line is a frame, whoever may open the socket is trusted. */
export function dialUnix(url: string): Dial {
  const path = url.slice(SCHEME.length)
  return (user, signal) =>
    new Promise((resolve, reject) => {
      signal.throwIfAborted()
      const socket = createConnection(path)
      const onAbort = (): void => {
        reject(signal.reason as Error)
        socket.destroy()
      }
      signal.addEventListener('abort', onAbort, { once: true })
      let cause: Error | undefined
      socket.on('error', (error) => {
        cause = error
        signal.removeEventListener('abort', onAbort)
        reject(new ConnectionError('unreachable', `${path}: ${error.message}`, { cause: error }))
      })
      socket.once('connect', () => {
        signal.removeEventListener('abort', onAbort)
        readLines(socket, (line) => user.text(line))
        socket.once('close', () => {
          user.closed(
            new ConnectionError('lost', `${path}: ${cause?.message ?? 'the agent ended the connection'}`, {
              cause,
            }),
          )
        })
        resolve(wireOf(socket))
      })
    })
}

function readLines(socket: Socket, onLine: (line: string) => void): void {
  let held = ''
  socket.setEncoding('utf8')
  socket.on('data', (text: string) => {
    const lines = (held + text).split('\n')
    held = lines.pop() ?? ''
    for (const line of lines) if (line !== '') onLine(line)
    if (held.length > FRAME_MAX_BYTES) socket.destroy(new Error('a line without an end'))
  })
}

function wireOf(socket: Socket): Wire {
  return {
    send: (frame) => void socket.write(`${frame}\n`),
    close: () =>
      new Promise((resolve) => {
        if (socket.closed) return resolve()
        const timer = setTimeout(() => socket.destroy(), CLOSE_MS)
        socket.once('close', () => {
          clearTimeout(timer)
          resolve()
        })
        socket.destroySoon() // an end alone would leave the agent to answer what nobody waits for
      }),
    terminate: () => void socket.destroy(),
  }
}
