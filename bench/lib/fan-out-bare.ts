// What the `ws` package alone can do: the same frames, no agent.
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { WebSocketServer } from 'ws'
import { StoredEvent } from '../../src/core/events/stored-event.ts'
import { SCOPES } from '../../src/protocol/scopes.ts'
import { EVENT, publishing } from './fan-out-pace.ts'

const SEES_ALL = { scopes: new Set(SCOPES), users: ['*'] }

const http = createServer()
const server = new WebSocketServer({ server: http, perMessageDeflate: false })
server.on('connection', (socket) => {
  socket.send('{"jsonrpc":"2.0","method":"hello"}')
  socket.on('message', () => socket.send('{"jsonrpc":"2.0","id":1,"result":{}}'))
})
let seq = 0
publishing({
  seq: () => seq,
  publish: () => {
    const event = { epoch: 'dQw4w9Wg', seq: ++seq, at: new Date().toISOString(), ...EVENT }
    const frame = new StoredEvent(event).frame('e1', SEES_ALL)
    for (const client of server.clients) client.send(frame, { binary: false })
  },
})
http.listen(0, '127.0.0.1', () =>
  process.send?.({ port: (http.address() as AddressInfo).port, tokens: ['none'] }),
)
