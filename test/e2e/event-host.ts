// An agent without supervisord that publishes numbered events until there are enough: for tests that kill it.
// Arguments: folder, port (0 = any), how many events there shall be, how many of them at once: given that, it begins at
// SIGUSR2; bytes of a file of the journal. Prints `{port, token}` when it listens; `/metrics` tells the number of sessions.
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { AuthFailures } from '../../src/core/access/auth-failures.ts'
import { ClientAddresses } from '../../src/core/access/client-address.ts'
import { EventJournal } from '../../src/core/events/journal.ts'
import { createLogger } from '../../src/logger.ts'
import { Gate } from '../../src/transports/gate.ts'
import { HttpTransport } from '../../src/transports/http.ts'
import { WebSocketTransport } from '../../src/transports/websocket.ts'
import { parts } from '../server/support.ts'

const BATCH = '40'
const PAUSE_MS = 8

const [folder = '', port = '0', total = '0', batch = '', fileBytes] = process.argv.slice(2)
const logger = createLogger('warn')
const undo: (() => unknown)[] = []
const { bus, store, sessions } = await parts(
  { teardown: (task) => void undo.push(task) },
  {
    journal: new EventJournal({
      folder: join(folder, 'journal'),
      logger,
      now: Date.now,
      ...(fileBytes ? { limits: { fileBytes: Number(fileBytes), totalBytes: 1e9, keepMs: 1e9 } } : {}),
    }),
    tokensFile: join(folder, 'tokens.json'),
    ring: { events: 4096, bytes: 4 * 1024 * 1024 },
  },
)
const addresses = new ClientAddresses({ trustedProxies: [] })
const failures = new AuthFailures()
const gate = new Gate({ tokens: store, failures, addresses, logger })
const http = new HttpTransport({
  listen: { host: '127.0.0.1', port: Number(port) },
  gate,
  health: () => 'ok',
  metrics: () => String(sessions.count),
  metricsOpenOnLoopback: true,
  logger,
})
const open = sessions.open.bind(sessions)
new WebSocketTransport({ http, gate, tokens: store, failures, allowedOrigins: [], open, logger }).start()
await http.start()
const tokenFile = join(folder, 'token')
if (!existsSync(tokenFile))
  writeFileSync(tokenFile, (await store.create({ name: 'panel', role: 'viewer' }, 'local:admin')).token)
const token = readFileSync(tokenFile, 'utf8')
process.stdout.write(`${JSON.stringify({ port: http.address()?.port, token })}\n`)

const begin = () => {
  const timer = setInterval(() => {
    for (let i = 0; i < Number(batch || BATCH) && bus.seq < Number(total); i++)
      bus.publish('process.removed', { process: `p${bus.seq + 1}`, program: 'p', group: 'p' })
    if (bus.seq >= Number(total)) clearInterval(timer)
  }, PAUSE_MS)
}
if (batch === '') begin()
else process.once('SIGUSR2', begin)
process.on('SIGTERM', () => void Promise.all(undo.map((task) => task())).then(() => process.exit()))
