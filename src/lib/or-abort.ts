/** What the promise gives, or the signal's reason as soon as it aborts; the promise goes on. */
export function orAbort<T>(running: Promise<T>, signal: AbortSignal): Promise<T> {
  running.catch(() => undefined) // whoever runs it tells of it when nobody waits any more
  if (signal.aborted) return Promise.reject(signal.reason)
  return new Promise((resolve, reject) => {
    const abort = () => reject(signal.reason)
    signal.addEventListener('abort', abort, { once: true })
    running.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort))
  })
}
