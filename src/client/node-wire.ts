import { CLOSE_MS, type Wire } from './wire.ts'

/** What is used of a WebSocket of `ws`. */
export interface NodeSocket {
  readonly readyState: number
  readonly CLOSED: number
  send(text: string): void
  close(code?: number, reason?: string): void
  terminate(): void
  on(event: 'message', listener: (data: unknown, isBinary: boolean) => void): unknown
  on(event: string, listener: (...values: unknown[]) => void): unknown
  once(event: 'close', listener: () => void): unknown
}

export function wireOf(socket: NodeSocket): Wire {
  return {
    send: (frame) => socket.send(frame),
    close: () =>
      new Promise((resolve) => {
        if (socket.readyState === socket.CLOSED) return resolve()
        const timer = setTimeout(() => socket.terminate(), CLOSE_MS)
        socket.once('close', () => {
          clearTimeout(timer)
          resolve()
        })
        socket.close(1000)
      }),
    terminate: () => socket.terminate(),
  }
}
