import type { WebSocket } from 'ws'
import type { PanelAttempt } from '../core/panel/enrolment.ts'
import { CLOSE } from '../protocol/limits.ts'
import { type PanelMessage, readPanelFrame } from '../protocol/panel.ts'

const END_MS = 1000

/** The panel ended the connection, or broke the rules of the handshake. */
export class HandshakeError extends Error {
  override readonly name = 'HandshakeError'
  readonly code: number | undefined

  constructor(message: string, code?: number) {
    super(message)
    this.code = code
  }
}

/**
 * Lets the panel prove itself, then proves who we are. `begin` is called in the tick in which the panel's welcome comes,
 * so that it can listen before any later frame. Anything but the one message that may come ends the connection.
 * @throws {Error} when it does not get so far; the connection has ended then, or ends within a second
 */
export function handshake(
  webSocket: WebSocket,
  attempt: PanelAttempt,
  options: { timeoutMs: number; begin: () => void },
): Promise<void> {
  return new Promise((resolve, reject) => {
    let step: 'proof' | 'answering' | 'welcome' | 'done' = 'proof'
    const settle = (): void => {
      step = 'done'
      clearTimeout(timer)
      webSocket.off('message', onMessage)
      webSocket.off('close', onClose)
    }
    const fail = (error: Error): void => {
      if (step === 'done') return
      settle()
      webSocket.close(CLOSE.malformed, 'the handshake failed')
      setTimeout(() => webSocket.terminate(), END_MS).unref()
      reject(error)
    }
    const answer = async (proof: PanelMessage<'panel.proof'>): Promise<void> => {
      step = 'answering'
      const frame = await attempt.answer(proof)
      if (step !== 'answering') return
      step = 'welcome'
      webSocket.send(frame)
    }
    const onMessage = (data: Buffer, isBinary: boolean): void => {
      const message = isBinary ? null : readPanelFrame(data.toString(), 'panel.proof', 'panel.welcome')
      if (message?.method === 'panel.proof' && step === 'proof')
        void answer(message.params).catch((error: Error) => fail(error))
      else if (message?.method === 'panel.welcome' && step === 'welcome') {
        settle()
        options.begin()
        resolve()
      } else fail(new HandshakeError(`the panel sent something else than its ${step}`))
    }
    const onClose = (code: number, reason: Buffer): void => {
      if (step === 'welcome' && code === CLOSE.tokenEnded) attempt.refused()
      settle()
      reject(new HandshakeError(closeText(code, reason), code))
    }
    const timer = setTimeout(
      () => fail(new HandshakeError(`the panel did not finish the handshake within ${options.timeoutMs} ms`)),
      options.timeoutMs,
    )
    webSocket.on('message', onMessage)
    webSocket.on('close', onClose)
    webSocket.send(attempt.challenge)
  })
}

/** What a panel gave as its reason, in words that are safe to show. */
export function closeText(code: number, reason: Buffer): string {
  const said = reason.toString().replaceAll(/\p{C}/gu, '')
  if (code === 1006) return 'the connection broke'
  return said === ''
    ? `the panel closed the connection (${code})`
    : `the panel closed the connection: ${said}`
}
