// The agent's way from a bus to WebSockets, without supervisord.
import { AuthFailures } from '../../src/core/access/auth-failures.ts'
import { ClientAddresses } from '../../src/core/access/client-address.ts'
import { createLogger } from '../../src/logger.ts'
import { Gate } from '../../src/transports/gate.ts'
import { HttpTransport } from '../../src/transports/http.ts'
import { WebSocketTransport } from '../../src/transports/websocket.ts'
import { parts } from '../../test/server/support.ts'
import { EVENT, publishing } from './fan-out-pace.ts'

const TOKENS = 8

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

publishing({ seq: () => bus.seq, publish: () => bus.publish(EVENT.type, EVENT.payload) })
process.send?.({ port: http.address()?.port, tokens })
