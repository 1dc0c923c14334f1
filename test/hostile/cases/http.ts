import { bearer, upgradeRequest } from '../../transports/support.ts'
import type { Attack, Case } from '../attack.ts'

/** A request as bytes, and the status of its answer. */
const rows: { it: string; bytes: (attack: Attack) => string | Buffer; expect: string; isSlow?: true }[] = [
  { it: 'garbage', bytes: () => 'xyzzy\r\n\r\n', expect: '400' },
  { it: 'zeros', bytes: () => Buffer.alloc(64), expect: '400' },
  {
    it: 'a TLS hello on the plain port',
    bytes: () => Buffer.from('16030100a5010000a10303'.padEnd(340, '0'), 'hex'),
    expect: '400',
  },
  { it: 'the preface of HTTP/2', bytes: () => 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', expect: '400' },
  {
    it: 'a length and chunks at once',
    bytes: () =>
      'POST /ws HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nG',
    expect: '400',
  },
  {
    it: 'two lengths',
    bytes: () => 'POST /ws HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\na',
    expect: '400',
  },
  { it: 'a request without Host', bytes: () => 'GET /healthz HTTP/1.1\r\n\r\n', expect: '400' },
  {
    it: 'a header without a name',
    bytes: () => 'GET /healthz HTTP/1.1\r\nHost: a\r\n: b\r\n\r\n',
    expect: '400',
  },
  { it: 'a space before the colon', bytes: () => 'GET /healthz HTTP/1.1\r\nHost : a\r\n\r\n', expect: '400' },
  { it: 'a NUL in a header', bytes: () => 'GET /healthz HTTP/1.1\r\nHost: a\0b\r\n\r\n', expect: '400' },
  { it: 'a space in the target', bytes: () => 'GET /health z HTTP/1.1\r\nHost: a\r\n\r\n', expect: '400' },
  {
    it: 'a header of 12 KiB',
    bytes: ({ tokens }) => upgradeRequest({ ...bearer(tokens.viewer), 'X-Long': 'a'.repeat(12 * 1024) }),
    expect: '431',
  },
  {
    it: 'a target of 12 KiB',
    bytes: () => `GET /${'a'.repeat(12 * 1024)} HTTP/1.1\r\nHost: a\r\n\r\n`,
    expect: '431',
  },
  {
    it: 'two thousand headers',
    bytes: () => `GET /healthz HTTP/1.1\r\nHost: a\r\n${'abc: def\r\n'.repeat(2000)}\r\n`,
    expect: '431',
  },
  {
    it: 'a proxy request by CONNECT',
    bytes: () => 'CONNECT /ws:1 HTTP/1.1\r\nHost: a\r\n\r\n',
    expect: 'cut',
  },
  { it: 'OPTIONS of everything', bytes: () => 'OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n', expect: '404' },
  { it: 'TRACE', bytes: () => 'TRACE /healthz HTTP/1.1\r\nHost: a\r\n\r\n', expect: '405' },
  {
    it: 'a POST to /healthz',
    bytes: () => 'POST /healthz HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n',
    expect: '405',
  },
  {
    it: 'a body that is promised and never sent',
    bytes: () => 'POST /ws HTTP/1.1\r\nHost: a\r\nContent-Length: 999999999\r\n\r\n',
    expect: '405',
  },
  { it: 'no such path', bytes: () => 'GET /../../etc/passwd HTTP/1.1\r\nHost: a\r\n\r\n', expect: '404' },
  { it: 'metrics without a token', bytes: () => 'GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n', expect: '401' },
  {
    it: 'metrics with a token of some programs',
    bytes: ({ tokens }) =>
      `GET /metrics HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer ${tokens.narrow}\r\n\r\n`,
    expect: '403',
  },
  {
    it: 'metrics with a token in the query',
    bytes: ({ tokens }) => `GET /metrics?token=${tokens.viewer} HTTP/1.1\r\nHost: a\r\n\r\n`,
    expect: '401',
  },
  {
    it: 'two requests in one write: the first is answered, the connection ends',
    bytes: () => 'GET /healthz HTTP/1.1\r\nHost: a\r\n\r\nGET /healthz HTTP/1.1\r\nHost: a\r\n\r\n',
    expect: '200',
  },
  {
    it: 'half a request, then nothing',
    bytes: () => 'GET /ws HTTP/1.1\r\nHost: a\r\n',
    expect: '408',
    isSlow: true,
  },
  { it: 'nothing at all', bytes: () => '', expect: '408', isSlow: true },
]

export const http: Case[] = [
  ...rows.map(
    ({ bytes, ...row }): Case => ({ ...row, send: async (attack) => await attack.status(bytes(attack)) }),
  ),
  {
    it: 'a byte now and then does not keep a connection',
    expect: 'let go',
    isSlow: true,
    async send(attack) {
      const client = attack.bytes('GET /ws HTTP/1.1\r\nHost: a\r\nX: ')
      const drip = setInterval(() => client.socket.write('a'), 100)
      attack.teardown(() => clearInterval(drip))
      await client.ended
      // a byte that crosses the answer resets the connection, and the answer may go with it
      return client.status === 408 || client.status === 0 ? 'let go' : String(client.status)
    },
  },
  {
    it: 'a reset in the middle of a request',
    expect: 'cut',
    async send(attack) {
      const client = attack.bytes('GET /ws HTTP/1.1\r\nHos')
      await new Promise((resolve) => client.socket.once('connect', resolve))
      client.socket.resetAndDestroy()
      await client.ended
      return 'cut'
    },
  },
  {
    it: 'a hundred connections at once that say nothing are let go',
    expect: '100 ended',
    isSlow: true,
    async send(attack) {
      const clients = Array.from({ length: 100 }, () => attack.bytes(''))
      await Promise.all(clients.map(({ ended }) => ended))
      return `${clients.length} ended`
    },
  },
]
