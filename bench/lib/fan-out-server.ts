// The agent's way from a bus to WebSockets, without supervisord: publishes as fast as it is all taken.
import { AuthFailures } from '../../src/core/access/auth-failures.ts'
import { ClientAddresses } from '../../src/core/access/client-address.ts'
import { createLogger } from '../../src/logger.ts'
import { Gate } from '../../src/transports/gate.ts'
import { HttpTransport } from '../../src/transports/http.ts'
import { WebSocketTransport } from '../../src/transports/websocket.ts'
import { parts } from '../../test/server/support.ts'

const TOKENS = 8
/** Events on their way that the slowest subscriber has not got yet; far less than the ring holds. */
const AHEAD_MAX = 2_000
/** Events in one turn of the loop. */
const BATCH = 10

const logger = createLogger('warn')
const undo: (() => unknown)[] = []
process.on('SIGTERM', () => {
  void Promise.all(undo.map((task) => task())).then(() => process.exit())
})
const { bus, store, sessions } = await parts({ teardown: (task) => void undo.push(task) })
const addresses = new ClientAddresses({ trustedProxies: [] })
const failures = new AuthFailures()
const gate = new Gate({ tokens: store, failures, addresses, logger })
const http = new HttpTransport({
  listen: { host: '127.0.0.1', port: 0 },
  gate,
  health: () => 'ok',
  metrics: () => '',
  metricsOpenOnLoopback: false,
  logger,
})
const open = sessions.open.bind(sessions)
new WebSocketTransport({ http, gate, tokens: store, failures, allowedOrigins: [], open, logger }).start()
await http.start()
const tokens: string[] = []
for (let i = 0; i < TOKENS; i++)
  tokens.push((await store.create({ name: `t${i}`, role: 'viewer' }, 'local:admin')).token)

let slowest = 0
const publish = () => {
  for (let i = 0; i < BATCH && bus.seq - slowest < AHEAD_MAX; i++)
    bus.publish('process.state', {
      process: 'worker:worker_00',
      program: 'worker',
      from: 'STARTING',
      to: 'RUNNING',
      pid: 4711,
    })
  setImmediate(publish)
}
process.on('message', (message: 'go' | { slowest: number }) => {
  if (message === 'go') publish()
  else slowest = message.slowest
})
process.send?.({ port: http.address()?.port, tokens })
