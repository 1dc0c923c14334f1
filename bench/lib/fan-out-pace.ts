// Publishes while it is told to, as fast as the slowest subscriber takes it.

export const EVENT = {
  type: 'process.state',
  payload: { process: 'worker:worker_00', program: 'worker', from: 'STARTING', to: 'RUNNING', pid: 4711 },
} as const

/** Events on their way that the slowest subscriber has not got yet; far less than the agent's ring holds. */
const AHEAD_MAX = 2_000
/** Events in one turn of the loop, as when many processes change at once. */
const BATCH = 10

/** Obeys the parent process: `go`, `stop`, and how far the slowest subscriber is. */
export function publishing(source: { seq: () => number; publish: () => void }): void {
  let slowest = 0
  let isGoing = false
  const turn = () => {
    if (!isGoing) return
    for (let i = 0; i < BATCH && source.seq() - slowest < AHEAD_MAX; i++) source.publish()
    setImmediate(turn)
  }
  process.on('message', (message: 'go' | 'stop' | { slowest: number }) => {
    if (typeof message === 'object') slowest = message.slowest
    else {
      isGoing = message === 'go'
      turn()
    }
  })
}
