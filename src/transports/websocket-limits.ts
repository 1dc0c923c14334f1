import type { Limits } from '../server/limits.ts'

/** Options of `ws` that bound what a peer can make us hold, whoever of both has dialled. */
export function webSocketLimits({ frameInBytes }: Limits) {
  return {
    perMessageDeflate: false,
    maxPayload: frameInBytes,
    maxFragments: 64,
    maxBufferedChunks: 512,
    maxPendingAutoPongs: 8,
    closeTimeout: 2000,
  }
}
